"""All parts on one machine, load generator included: a held rate without growing lag, and how soon a hit is
queryable."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import AbstractContextManager, nullcontext, suppress
from math import inf
from statistics import quantiles

import psutil

from tests.platform import Platform
from tests.speed.loads import Load
from tests.speed.machine import consumer_lag, family, http_load, send_load, wait_seconds

Figures = dict[str, float]
CONSUMERS = ("FAIRPIXEL_STREAMS_PORT", "FAIRPIXEL_SINKS_PORT")


def held_rate(platform: Platform, events_per_second: int, seconds: float) -> Figures:
    """Send batches of 100 at a fixed rate; lag sampled each second: its mean in the first and the last third
    must be alike."""
    samples: list[int] = []
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(1):
            # Asked of the programs: `fairpixel status` would start a process each time, on the cores that are measured.
            with suppress(OSError):
                samples.append(sum(consumer_lag(platform, variable) for variable in CONSUMERS))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        result = http_load(
            int(platform.env["FAIRPIXEL_EDGE_PORT"]),
            16,
            seconds,
            events_per_second / 100,
            "batch",
            platform.secret_key,
        )
    finally:
        stop.set()
        sampler.join()
    start = time.perf_counter()
    platform.settle()
    third = max(1, len(samples) // 3)
    return {
        "held_events_per_second": result["requests"] * 100 / result["seconds"], "held_failed": result["failed"],
        "held_lag_packs_first_third": sum(samples[:third]) / third,
        "held_lag_packs_last_third": sum(samples[-third:]) / third,
        "held_settled_after_s": time.perf_counter() - start, "held_p99_ms": result["p99_ms"],
    }  # fmt: skip


def queryable(
    platform: Platform,
    load: Load,
    seconds: float,
    beside: AbstractContextManager[object] | None = None,
    look_every_s: float = 0.02,
    warm_up_s: float = 10,
) -> Figures:
    """Seconds from sending a pixel until a query shows its row, at a steady rate of other traffic.

    beside: what else happens meanwhile; entered when the measuring begins. look_every_s: between two queries, each of
    which costs ClickHouse 25 ms of CPU.

    After ten seconds of that traffic: until then the broker's machine compiles what it runs, on both cores.
    """
    send_load(platform, load, warm_up_s)
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}
    stop = threading.Event()

    def probe() -> None:
        while not stop.wait(0.05):
            event_id = uuid.uuid4().hex
            sent[event_id] = time.perf_counter()
            platform.get(f"{platform.edge}/p.gif?k=demo&e=probe&consent=all&id={event_id}")

    def look() -> None:
        while not stop.is_set() or sent.keys() - seen.keys():
            rows = platform.query(
                "SELECT event_id FROM fairpixel.events WHERE site = 'demo' AND name = 'probe' "
                "AND received_at > now() - 30"
            )
            now = time.perf_counter()
            for row in rows:
                seen.setdefault(row["event_id"], now)
            if stop.is_set() and now - max(sent.values()) > 20:
                break
            time.sleep(look_every_s)

    threads = [threading.Thread(target=target) for target in (probe, look)]
    for thread in threads:
        thread.start()
    try:
        with beside or nullcontext():
            send_load(platform, load, seconds)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    waits = [seen[event_id] - at for event_id, at in sent.items() if event_id in seen]
    cuts = quantiles(waits, n=100) if len(waits) > 1 else [inf] * 99
    return {
        "queryable_p50_s": cuts[49],
        "queryable_p99_s": cuts[98],
        "queryable_never": len(sent) - len(waits),
    }


def warm_start(platform: Platform) -> Figures:
    """Seconds of a `fairpixel up --detach` on existing data until everything is ready."""
    start = time.perf_counter()
    platform.up()
    return {"warm_start_s": time.perf_counter() - start}


def idle_memory(platform: Platform, seconds: float = 20) -> Figures:
    """Resident memory of everything the platform runs, without traffic."""
    wait_seconds(seconds)
    folder = platform.env["FAIRPIXEL_DATA"]
    ours = [
        one
        for one in psutil.process_iter()
        if _environment(one).get("FAIRPIXEL_DATA") == folder and one.pid != psutil.Process().pid
    ]
    everything = {one.pid: one for process in ours for one in family(process)}
    return {"idle_resident_mb": sum(one.memory_full_info().pss for one in everything.values()) / 1e6}


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}
