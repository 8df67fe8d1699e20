"""The worker on a real broker: poison, kills, freezes, a broker that goes away."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.event import Event
from schemas.seal import read_envelope
from schemas.topics import STREAMS_GROUP
from tests.broker import make_topics_anew
from tests.processes import await_that
from tests.streams.make import sealed
from tests.streams.workers import Workers, now_ms, pages, stored

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def workers(kafka: str, tmp_path: Path) -> Iterator[Workers]:
    make_topics_anew(kafka)
    found = Workers(kafka, tmp_path)
    yield found
    found.stop()


def ids(prefix: str, count: int) -> set[str]:
    return {f"{prefix}-{number}" for number in range(count)}


def test_packs_become_accepted_clean_packs_and_repeats_store_nothing(workers: Workers) -> None:
    workers.start().await_ready()
    run = f"plain{now_ms()}"
    sent = workers.send(pages(run, range(20)))
    workers.send(pages(run, range(10)))  # other packs, old events
    for partition, value in sent:
        workers.send_bytes(partition, value)  # the same packs again, as out of a spool
    packs = workers.await_decided()
    mine = {one: count for one, count in stored(packs).items() if one.startswith(run)}
    assert mine == dict.fromkeys(ids(run, 20), 1)
    sent_ids = {read_envelope(value).pack_id.hex() for _, value in sent}
    again = [
        (one.accepted, count)
        for some in packs.values()
        for pack in some
        for one, count in zip(pack.head.answers, pack.counts, strict=True)
        if one.repeat and one.pack_id in sent_ids
    ]
    assert again == [((), 0)] * len(sent)


def test_a_backlog_of_a_partition_that_awaits_another_one_keeps_nobody_waiting(workers: Workers) -> None:
    """Of two partitions the second may be new, and then awaits the first: behind its messages the first one's wait."""
    run = f"backlog{now_ms()}"
    for number in range(0, 4_000, 20):
        workers.send(pages(run, range(number, number + 20)))
    workers.flush()
    workers.start()
    mine = {one: n for one, n in stored(workers.await_decided()).items() if one.startswith(run)}
    assert mine == dict.fromkeys(ids(run, 4_000), 1)


def test_packs_that_come_one_by_one_share_clean_packs(workers: Workers) -> None:
    workers.start().await_ready()
    run = f"steady{now_ms()}"
    for number in range(60):  # the input is a rate: 60 packs in about 0.6 s
        workers.send(pages(run, [number]))
        workers.flush()
        time.sleep(0.01)
    packs = workers.await_decided()
    answered = [len(pack.head.answers) for some in packs.values() for pack in some]
    assert sum(answered) == 60
    assert len(answered) <= 30, "a clean pack for each moment and partition, not for each raw pack"


def test_poison_becomes_one_dead_letter_each_and_its_neighbours_are_stored(workers: Workers) -> None:
    worker = workers.start()
    worker.await_ready()
    run = f"poison{now_ms()}"
    before = workers.raw_ends()[0]
    whole = sealed(pages(run, [99]), key=workers.key)
    poison = [b"junk", b"", None, whole[:-1] + bytes([whole[-1] ^ 1]), whole[:50], b"\xc3\x01" + bytes(30)]
    for number, value in enumerate(poison):
        workers.send(pages(run, [number]))
        workers.send_bytes(0, value)
    packs = workers.await_decided()
    origins = [one.origin for one in workers.dead_letters()]
    mine = [
        one for one in workers.dead_letters() if one.origin.partition == 0 and one.origin.offset >= before
    ]
    assert [one.value for one in mine] == [value or b"" for value in poison]
    assert len(set(origins)) == len(origins)
    assert {one for one in stored(packs) if one.startswith(run)} == ids(run, len(poison))
    assert worker.process.poll() is None


def test_a_killed_worker_goes_on_where_it_stopped_also_without_its_cache(workers: Workers) -> None:
    rng = random.Random(5)
    run, sent = f"kill{now_ms()}", 0
    cache = workers.folder / "data" / "streams" / "seen"
    for turn in range(4):
        worker = workers.start(FAIRPIXEL_STREAMS_INSTANCE="one")
        for _ in range(40):
            repeated = rng.sample(range(sent), min(sent, 2))
            workers.send(pages(run, [*range(sent, sent + 20), *repeated]))
            sent += 20
        workers.flush()
        worker.await_ready()
        time.sleep(rng.random() * 0.3)  # at some moment of the work
        worker.kill()
        if turn % 2:
            shutil.rmtree(cache)
    workers.start(FAIRPIXEL_STREAMS_INSTANCE="one")
    packs = workers.await_decided()
    assert {one: n for one, n in stored(packs).items() if one.startswith(run)} == dict.fromkeys(
        ids(run, sent), 1
    )


def test_a_frozen_worker_that_wakes_does_no_harm(workers: Workers) -> None:
    first = workers.start()
    first.await_ready()
    run, sent = f"freeze{now_ms()}", 0

    def load(packs: int) -> None:
        nonlocal sent
        for _ in range(packs):
            workers.send(pages(run, range(sent, sent + 20)))
            sent += 15  # five of each pack come again in the next
            time.sleep(0.005)

    load(60)
    first.signal(signal.SIGSTOP)  # in the middle of its work
    second = workers.start()
    load(60)
    workers.await_decided(60)
    first.signal(signal.SIGCONT)
    load(150)
    packs = workers.await_decided(60)
    expected = dict.fromkeys(ids(run, sent + 5), 1)
    assert {one: n for one, n in stored(packs).items() if one.startswith(run)} == expected
    assert second.lines("partition_opened")
    assert second.process.poll() is None


def test_partitions_move_between_two_workers_without_loss(workers: Workers) -> None:
    first = workers.start()
    first.await_ready()
    run = f"move{now_ms()}"
    workers.send(pages(run, range(200)))
    second = workers.start()
    for number in range(200, 1_000, 20):
        workers.send(pages(run, range(number, number + 20)))
        time.sleep(0.02)
    await_that(
        lambda: any(len(line["partitions"]) == 1 for line in second.lines("partitions_assigned")),
        30,
        "both have work",
    )
    workers.send(pages(run, range(900, 1_100)))
    workers.await_decided()
    first.signal(signal.SIGTERM)
    assert first.process.wait(20) == 0
    workers.send(pages(run, range(1_000, 1_200)))
    packs = workers.await_decided()
    assert {one: n for one, n in stored(packs).items() if one.startswith(run)} == dict.fromkeys(
        ids(run, 1_200), 1
    )


def test_a_changed_configuration_holds_from_then_on_and_a_broken_one_does_not(workers: Workers) -> None:
    worker = workers.start()
    worker.await_ready()
    workers.configure("[sites.demo]\nunknown_setting = 1\n")
    await_that(lambda: worker.lines("config_refused"), 10, "the broken file is refused")
    workers.configure('[sites.demo]\non_unknown = "drop"\n')
    await_that(lambda: worker.lines("config_read"), 10, "the new file is read")
    run = f"config{now_ms()}"
    silent: list[Event] = [replace(one, consent="") for one in pages(run, [1])]
    workers.send([*pages(run, [0]), *silent])
    packs = workers.await_decided()
    assert {one for one in stored(packs) if one.startswith(run)} == {f"{run}-0"}


def test_offsets_are_hints_and_the_clean_log_is_the_truth(workers: Workers, kafka: str) -> None:
    worker = workers.start(FAIRPIXEL_STREAMS_INSTANCE="one")
    worker.await_ready()
    run = f"hint{now_ms()}"
    workers.send(pages(run, range(50)))
    workers.await_decided()
    worker.signal(signal.SIGTERM)
    worker.process.wait(20)
    workers.send(pages(run, range(50, 100)))
    workers.send(pages(run, range(100, 120)))
    workers.flush()
    time.sleep(7)  # the group must have no member before its offsets may be set
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": STREAMS_GROUP, "enable.auto.commit": False})
    ends = workers.raw_ends()
    for moved in ({0: ends[0], 1: 0}, {0: 0, 1: max(0, ends[1] - 1)}):
        consumer.commit(
            offsets=[TopicPartition("events.raw.v1", p, at) for p, at in moved.items()], asynchronous=False
        )
        workers.start(FAIRPIXEL_STREAMS_INSTANCE="one").await_ready()
        workers.send(pages(run, range(120, 140)))
        workers.send(pages(run, range(140, 160)))
        packs = workers.await_decided()
        workers.running[-1].kill()
        time.sleep(7)
    consumer.close()
    assert {one: n for one, n in stored(packs).items() if one.startswith(run)} == dict.fromkeys(
        ids(run, 160), 1
    )
    assert workers.running[1].lines("gap_filled")
