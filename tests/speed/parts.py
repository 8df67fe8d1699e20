"""Each part measured alone: edge, streams, loader, log import. Every function returns figures of one round."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from operator import ge
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from ingest.serving.sockets import raise_file_limit
from runtime.keyring import keep_ring
from schemas import topics
from schemas.clean_pack import read_clean_head
from tests.platform import Platform, await_that
from tests.speed.machine import (
    consumer_lag,
    cpu_seconds,
    http_load,
    measure_cpu,
    nginx,
    program,
    ready,
    resident_bytes,
)
from tests.speed.traffic import sealed_packs
from tests.speed.wrk import has_wrk, wrk_load

PACK_EVENTS = 500
# What an edge writes at some thousand hits a second, where packs close by their age.
SMALL_PACK_EVENTS = 50
FULL_CONNECTIONS = 256
Figures = dict[str, float]


def edge(platform: Platform, turns: int = 5, seconds: float = 2) -> Figures:
    """Server CPU a pixel with 64 keep-alive connections, interleaved with nginx; then batches of 100 events, half of
    the highest rate, and idle connections.

    Interleaved, as the speed of a shared machine changes by half within seconds: the ratio is a median of pairs.
    """
    port = int(platform.env["FAIRPIXEL_EDGE_PORT"])
    with program(platform, "ingest") as server, nginx(Path(platform.env["FAIRPIXEL_DATA"])) as reference:
        ready(platform, "FAIRPIXEL_EDGE_PORT")
        http_load(port, 64, 1, 0, "pixel")
        pixels, gifs = [], []
        for _ in range(turns):
            pixels.append(measure_cpu(server, port, "pixel", seconds))
            if reference is not None:
                gifs.append(measure_cpu(*reference, "gif", seconds / 2)["cpu_us"])
        figures = full_load(server, port, platform.folder, turns, seconds) if has_wrk() else {}
        per_second = median(one["per_second"] for one in pixels)
        batch = measure_cpu(server, port, "batch", seconds * 2, connections=8, warm_up=1)
        beacon = measure_cpu(server, port, "beacon", seconds * 2, warm_up=1)
        half = http_load(port, 64, seconds * 2, per_second / 2, "pixel")
        idle, idle_errors = hold_idle(port, 5_000, seconds * 2)
    figures |= {
        "edge_us_per_pixel": median(one["cpu_us"] for one in pixels),
        "edge_pixels_per_second": per_second,
        "edge_p99_ms": median(one["p99_ms"] for one in pixels),
        "edge_us_per_batched_event": batch["cpu_us"] / 100,
        "edge_us_per_beacon": beacon["cpu_us"],
        "edge_failed": sum(one["failed"] for one in (*pixels, batch, beacon, half)),
        "edge_p99_half_rate_ms": half["p99_ms"],
        "edge_idle_connections": idle,
        "edge_idle_errors": idle_errors,
    }
    if gifs:
        ratios = [pixel["cpu_us"] / gif for pixel, gif in zip(pixels, gifs, strict=True)]
        figures |= {"nginx_us_per_gif": median(gifs), "edge_over_nginx": median(ratios)}
    return figures


def full_load(server: psutil.Process, port: int, folder: Path, turns: int, seconds: float) -> Figures:
    """Server CPU a pixel at the highest rate: 256 connections of wrk, which leaves the edge a core of its own."""
    costs, rates = [], []
    for _ in range(turns):
        before = cpu_seconds(server)
        load = wrk_load(port, FULL_CONNECTIONS, seconds, 0, folder)
        costs.append((cpu_seconds(server) - before) / load["requests"] * 1e6)
        rates.append(load["requests"] / load["seconds"])
        assert not load["failed"], load
    return {"edge_full_us_per_pixel": median(costs), "edge_full_pixels_per_second": median(rates)}


def limit_site(platform: Platform) -> None:
    """Give the bench's site a rate and origins, so that the edge asks for them at each hit."""
    config = Path(platform.env["FAIRPIXEL_DATA"]) / "fairpixel.toml"
    text = config.read_text()
    assert "[sites.demo]" in text
    config.write_text(text.replace("[sites.demo]", "[sites.demo]\nevents_per_second_max = 10000000", 1))


def hold_idle(port: int, count: int, seconds: float) -> tuple[int, int]:
    """(connections that stayed open without a word while others sent pixels, errors of all of them)."""
    raise_file_limit(count + 1_000)
    held, errors = [], 0
    for _ in range(count):
        try:
            held.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        except OSError:
            errors += 1
    errors += int(http_load(port, 64, seconds, 1_000, "pixel")["failed"])
    for one in held:
        with suppress(OSError):  # counted when nothing comes back
            one.sendall(b"GET /p.gif?k=demo HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    alive = 0
    for one in held:
        one.settimeout(10)
        with suppress(OSError), one:
            alive += one.recv(1_000).startswith(b"HTTP/1.1 200 ")
    errors += len(held) - alive
    return alive, errors


def edge_memory(platform: Platform, rate: float, seconds: float) -> Figures:
    """Growth of the edge's memory under a steady rate, from a tenth of the time to its end."""
    port = int(platform.env["FAIRPIXEL_EDGE_PORT"])
    with program(platform, "ingest") as server:
        ready(platform, "FAIRPIXEL_EDGE_PORT")
        http_load(port, 64, seconds / 10, rate, "pixel")
        before = resident_bytes(server)
        http_load(port, 64, seconds * 0.9, rate, "pixel")
        after = resident_bytes(server)
    return {"edge_memory_growth_percent": (after / before - 1) * 100}


def fill_raw(platform: Platform, pack_count: int, seed: int, pack_events: int = PACK_EVENTS) -> None:
    """Write raw packs to the raw topic, as an edge would have."""
    now_ms = int(time.time() * 1_000)
    ring = keep_ring(Path(platform.env["FAIRPIXEL_KEYS"]), now_ms)
    producer = Producer(
        {
            **platform.kafka().client(),
            "enable.idempotence": True,
            "queue.buffering.max.kbytes": 2_000_000,
        }
    )
    for number, pack in enumerate(sealed_packs(Random(seed), pack_count, pack_events, now_ms, ring)):
        producer.produce(topics.RAW, pack, partition=number % topics.PARTITIONS_DEFAULT)
        producer.poll(0)
    assert producer.flush(60) == 0


def drain(platform: Platform) -> None:
    """Let streams and the loader work through whatever lies in the topics, so that a round begins empty."""
    with (
        program(platform, "deploy.embedded.clickhouse"),
        program(platform, "streams"),
        program(platform, "sinks"),
    ):
        for variable in ("FAIRPIXEL_STREAMS_PORT", "FAIRPIXEL_SINKS_PORT"):
            ready(platform, variable)
            await_that(
                lambda variable=variable: consumer_lag(platform, variable) == 0,
                "a backlog is worked through",
                600,
                every=0.5,
            )  # type: ignore[misc]


def streams(platform: Platform, pack_count: int, pack_events: int = PACK_EVENTS) -> Figures:
    """Events a second of one worker over a backlog of packs, by the broker's own clock; its CPU and memory."""
    before, raw_ends = _ends(platform, topics.CLEAN), _ends(platform, topics.RAW)
    with program(platform, "streams") as worker:
        await_that(lambda: all(map(ge, _answered(platform), raw_ends)), "streams works through", 300)
        used, resident = cpu_seconds(worker), resident_bytes(worker)
    first, last = _times(platform, before)
    events = pack_count * pack_events
    return {
        "streams_events_per_second": events / ((last - first) / 1_000),
        "streams_us_per_event": used / events * 1e6,
        "streams_resident_mb": resident / 1e6,
    }


def streams_small_packs(platform: Platform, pack_count: int, seed: int) -> Figures:
    """The same over a backlog of small packs; what it leaves is drained before anybody loads."""
    fill_raw(platform, pack_count, seed, SMALL_PACK_EVENTS)
    told = streams(platform, pack_count, SMALL_PACK_EVENTS)
    return {
        "streams_small_events_per_second": told["streams_events_per_second"],
        "streams_small_us_per_event": told["streams_us_per_event"],
    }


def loader(platform: Platform, clickhouse: psutil.Process, event_count: int) -> Figures:
    """Events a second into events and rollups over a backlog of clean packs, and CPU an event of the
    loader's own process."""
    before = platform.count("SELECT count() FROM fairpixel.events")
    with program(platform, "sinks") as worker:
        ready(platform, "FAIRPIXEL_SINKS_PORT")
        start, engine_before = time.perf_counter(), cpu_seconds(clickhouse)
        own_before = cpu_seconds(worker)
        await_that(platform.loaded, "the loader works through", 300, every=0.05)
        took = time.perf_counter() - start
        own, engine = cpu_seconds(worker) - own_before, cpu_seconds(clickhouse) - engine_before
        resident = resident_bytes(worker)
    rows = platform.count("SELECT count() FROM fairpixel.events") - before
    return {
        "loader_events_per_second": event_count / took, "loader_rows_per_second": rows / took,
        "loader_us_per_event": own / event_count * 1e6, "clickhouse_us_per_event": engine / event_count * 1e6,
        "loader_resident_mb": resident / 1e6,
    }  # fmt: skip


def log_import(platform: Platform, lines: int) -> Figures:
    """Lines a second of `fairpixel logs import`, start of the command included, and CPU a line."""
    path = platform.folder / "access.log"
    _write_log(path, lines, Random(lines))
    before = psutil.Process().cpu_times()
    start = time.perf_counter()
    platform.run("logs", "import", str(path), "--site", "demo", timeout=300)
    took = time.perf_counter() - start
    after = psutil.Process().cpu_times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {"import_lines_per_second": lines / took, "import_us_per_line": used / lines * 1e6}


def _write_log(path: Path, lines: int, rng: Random) -> None:
    from tests.speed.traffic import AGENTS

    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    with path.open("w") as file:
        for number in range(lines):
            file.write(
                f"198.18.{rng.randrange(256)}.{rng.randrange(1, 255)} - - [{stamp}] "
                f'"GET /products/{number % 3_000}/item-{number}.html?s={number % 77} HTTP/1.1" '
                f'200 {rng.randrange(500, 90_000)} "https://www.search.example/find?q={number % 500}" '
                f'"{AGENTS[number % len(AGENTS)]}"\n'
            )


def _consumer(platform: Platform) -> Consumer:
    # Closed while it connects, a consumer complains; nothing is wrong.
    quiet = {"group.id": "bench", "enable.auto.commit": False, "log_level": 0}
    return Consumer({**platform.kafka().client(), **quiet})


def _ends(platform: Platform, topic: str) -> list[int]:
    consumer = _consumer(platform)
    try:
        return [
            consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
            for p in range(topics.PARTITIONS_DEFAULT)
        ]
    finally:
        consumer.close()


def _answered(platform: Platform) -> list[int]:
    """For each partition the raw offset behind the last that a clean pack answers."""
    consumer = _consumer(platform)
    try:
        answered = []
        for partition, end in enumerate(_ends(platform, topics.CLEAN)):
            answered.append(0)
            if end:
                consumer.assign([TopicPartition(topics.CLEAN, partition, end - 1)])
                message: Any = await_that(lambda: consumer.poll(1), "a clean pack", 20)
                answered[-1] = read_clean_head(message.value()).origin.offset + 1
        return answered
    finally:
        consumer.close()


def _times(platform: Platform, starts: list[int]) -> tuple[int, int]:
    """Broker times (ms) of the first and the last clean pack behind `starts`."""
    ends, times = _ends(platform, topics.CLEAN), []
    consumer = _consumer(platform)
    try:
        for partition, (start, end) in enumerate(zip(starts, ends, strict=True)):
            for offset in (start, end - 1):
                if end > start:
                    consumer.assign([TopicPartition(topics.CLEAN, partition, offset)])
                    message: Any = await_that(lambda: consumer.poll(1), "a clean pack", 20)
                    times.append(message.timestamp()[1])
    finally:
        consumer.close()
    return min(times), max(times)
