"""Broken bytes in any topic become one dead letter each; neighbours are stored; a mended one counts once."""

from __future__ import annotations

import gzip
import json
import os
import time
import urllib.request
import uuid
from collections import Counter
from pathlib import Path

from confluent_kafka import Producer

from runtime.keyring import read_ring
from schemas import topics
from schemas.pack import encode_raw_pack
from schemas.seal import Accepted, seal_pack
from tests.journeys.rows import fresh_id, row_of
from tests.platform import Platform, await_that

GARBAGE = b"\x00garbage \xff\xfe that nobody can read"


def write(platform: Platform, topic: str, value: bytes, partition: int = 0) -> None:
    producer = Producer(platform.kafka().client())
    producer.produce(topic, value, partition=partition)
    assert producer.flush(20) == 0


def dead_letters(platform: Platform) -> Counter[tuple[str, int, int]]:
    """How often each origin stands in the dead letter topic."""
    found: Counter[tuple[str, int, int]] = Counter()
    for dead_letter in platform.dead_letters():
        found[(dead_letter.topic, dead_letter.origin.partition, dead_letter.origin.offset)] += 1
    return found


def pids(platform: Platform) -> dict[str, int]:
    return {name: one["pid"] for name, one in platform.programs().items()}


def pixel(platform: Platform) -> str:
    event_id = fresh_id()
    platform.get(f"{platform.edge}/p.gif?k=demo&id={event_id}&consent=all")
    return event_id


def raw_pack(platform: Platform, event_ids: list[str]) -> bytes:
    """A sealed pack as the edge makes one."""
    now_ms = int(time.time() * 1_000)
    count = len(event_ids)
    columns = {
        "event_id": event_ids, "site": ["demo"] * count, "name": ["page_view"] * count, "kind": ["page"] * count,
        "source": ["pixel"] * count, "protocol": ["native"] * count, "trust": ["public"] * count,
        "received_at": [now_ms] * count, "consent": ["consent=all"] * count,
    }  # fmt: skip
    key = read_ring(Path(platform.env["FAIRPIXEL_KEYS"])).newest(now_ms)
    accepted = [Accepted(now_ms // 60_000 * 60, "demo", count)]
    body = encode_raw_pack("test", columns, count)
    return seal_pack(body, key, pack_id=os.urandom(16), nonce=os.urandom(12), accepted=accepted)


def test_broken_bytes_in_each_topic_are_one_dead_letter_each(platform: Platform) -> None:
    platform.settle()
    running, before = pids(platform), dead_letters(platform)
    neighbours = [pixel(platform)]
    for topic in (topics.RAW, topics.CLEAN):
        for partition in range(topics.PARTITIONS_DEFAULT):
            write(platform, topic, GARBAGE, partition)
            neighbours.append(pixel(platform))
    new = await_that(
        lambda: len(found := dead_letters(platform) - before) >= 4 and found, "four dead letters", 60, every=1
    )
    for event_id in neighbours:
        row_of(platform, event_id)
    neighbours = [pixel(platform) for _ in range(10)]
    for event_id in neighbours:
        row_of(platform, event_id)
    platform.settle()
    assert dead_letters(platform) - before == new
    assert set(new.values()) == {1}
    assert Counter(topic for topic, _, _ in new) == {topics.RAW: 2, topics.CLEAN: 2}
    assert pids(platform) == running, "a program was restarted"
    assert platform.run("ledger").returncode == 0


def test_a_mended_pack_counts_once_however_often_it_is_replayed(platform: Platform, tmp_path: Path) -> None:
    event_ids = [fresh_id() for _ in range(5)]
    good = raw_pack(platform, event_ids)
    broken = good[:-1] + bytes([good[-1] ^ 1])
    before = set(platform.dead_letter_offsets())
    write(platform, topics.RAW, broken, 1)
    ((partition, offset),) = await_that(
        lambda: set(platform.dead_letter_offsets()) - before, "the dead letter", 60
    )
    platform.settle()
    assert platform.run("ledger").returncode == 0
    mended = tmp_path / "mended.bin"
    mended.write_bytes(good)
    for _ in range(2):
        platform.run("replay", "--partition", str(partition), "--offset", str(offset), "--file", str(mended))
        for event_id in event_ids:
            row_of(platform, event_id)
        platform.settle()
    assert platform.run("ledger").returncode == 0


def test_garbage_in_the_dead_letter_topic_is_listed_and_breaks_nothing(platform: Platform) -> None:
    write(platform, topics.DEAD, uuid.uuid4().bytes)
    listed = platform.run("replay")
    assert listed.returncode == 0
    assert "not a dead letter" in listed.stdout
    row_of(platform, pixel(platform))


# What took longest in the pattern of web tokens, and its like in the others: of the size an edge takes.
WORST = ("eyJ" * 10_300, "a%40" * 7_500, "0" * 31_000, "a." * 15_000, "-" * 31_000, "(((" * 10_000, "٣" * 15_000,
         "4111 " * 6_000, "aA1_" * 7_500, "sk-" * 10_000, "a@a." * 7_500, "+1 " * 10_000)  # fmt: skip


def test_a_small_post_of_texts_that_take_patterns_long_stops_nothing(platform: Platform) -> None:
    platform.settle()
    running = pids(platform)
    posts = {text: [fresh_id() for _ in range(20)] for text in WORST}
    for text, event_ids in posts.items():
        events = [
            {"event": "hostile", "id": one, "consent": "all", "properties": {"t": text}} for one in event_ids
        ]
        body = gzip.compress(json.dumps({"events": events}, ensure_ascii=False).encode(), 9)
        request = urllib.request.Request(f"{platform.edge}/v1/events", body, {
            "Authorization": "Bearer demo", "Content-Type": "application/json", "Content-Encoding": "gzip",
        })  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        row_of(platform, pixel(platform))
    for event_ids in posts.values():
        for one in event_ids:
            row_of(platform, one)
    platform.settle()
    assert pids(platform) == running, "a program was restarted"
    assert platform.run("ledger").returncode == 0
