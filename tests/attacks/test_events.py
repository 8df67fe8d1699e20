"""Hostile events: whatever size, shape or text a sender gives an event or a pack, what is behind it is processed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from schemas.avro_codec import PackError, encode
from schemas.clean_pack import read_clean_head
from schemas.dead_letter import DeadLetter, LeftOut
from schemas.drops import DeadReason
from schemas.links import Origin
from schemas.seal import ENVELOPE, open_seal, read_envelope, seal_pack
from schemas.topics import CLEAN, CLEAN_SIZE_MAX, DEAD, RAW
from streams.partition.attempts import ATTEMPTS_MAX, Attempts
from tests.attacks.poisoned_streams import ENDLESS, FATAL
from tests.broker import make_topics_anew
from tests.processes import await_that
from tests.streams.make import KEY, RING, decided
from tests.streams.partition.office import Office, pack, settle, work
from tests.streams.workers import Workers, now_ms, pages, replay, stored

POISONED = "tests.attacks.poisoned_streams"
ONE_LETTER = b"a" * 60_000_000


@pytest.fixture
def workers(kafka: str, tmp_path: Path) -> Iterator[Workers]:
    make_topics_anew(kafka)
    found = Workers(kafka, tmp_path)
    yield found
    found.stop()


# Size


def test_a_dead_letter_too_large_for_its_topic_keeps_hash_size_and_place() -> None:
    dead_letter = DeadLetter(DeadReason.NOT_A_PACK, RAW, Origin("raw-1", 1, 7), b"a" * (CLEAN_SIZE_MAX + 1))
    short = dead_letter.shortened()
    assert short.value == b""
    assert short.left_out == LeftOut(hashlib.sha256(dead_letter.value).hexdigest(), CLEAN_SIZE_MAX + 1)
    assert (short.reason, short.topic, short.origin) == (
        dead_letter.reason,
        dead_letter.topic,
        dead_letter.origin,
    )
    assert DeadLetter.from_message(b"", short.headers()) == short


def test_a_dead_letter_that_fits_stays_as_it_came() -> None:
    dead_letter = DeadLetter(DeadReason.NOT_A_PACK, RAW, Origin("raw-1", 1, 7), b"a" * CLEAN_SIZE_MAX)
    assert dead_letter.shortened() is dead_letter
    assert DeadLetter.from_message(dead_letter.value, dead_letter.headers()) == dead_letter


def test_a_message_of_60_mb_leaves_a_stub_and_those_behind_it_are_decided(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        for value in (ONE_LETTER, pack(1)):
            await office.processor.take(office.arrive(value))

    office = work(tmp_path, story)
    assert office.accepted() == [0, 1]
    [record] = office.logs.logs[DEAD, 0]
    dead_letter = DeadLetter.from_message(record.value, record.headers)
    assert (record.value, dead_letter.origin.offset) == (b"", 0)
    assert dead_letter.left_out == LeftOut(hashlib.sha256(ONE_LETTER).hexdigest(), len(ONE_LETTER))


@pytest.mark.timeout(240)
def test_60_mb_that_the_producer_compressed_stop_no_worker(workers: Workers) -> None:
    take_any_size(workers.bootstrap)
    worker = workers.start()
    worker.await_ready()
    run = f"large{now_ms()}"
    compressing = Producer({
        "bootstrap.servers": workers.bootstrap, "compression.type": "zstd", "message.max.bytes": 100_000_000,
    })  # fmt: skip
    before = workers.log.bounds(DEAD, 0)[1]
    for number in range(4):
        workers.send(pages(run, [number]))
        workers.flush()
        compressing.produce(RAW, ONE_LETTER, partition=0)
        assert compressing.flush(30) == 0
    workers.send(pages(run, [4, 5, 6, 7]))
    packs = workers.await_decided()
    assert {one for one in stored(packs) if one.startswith(run)} == {f"{run}-{n}" for n in range(8)}
    dead_letters = [one for one in workers.dead_letters() if one.left_out]
    assert [one.left_out.size for one in dead_letters if one.left_out] == [len(ONE_LETTER)] * 4
    assert worker.process.poll() is None
    listed = replay(workers)
    assert listed.stdout.count("too large, not kept") == 4
    refused = replay(workers, "--partition", "0", "--offset", str(before))
    assert refused.returncode == 1
    assert "cannot be replayed" in refused.stderr


def take_any_size(bootstrap: str) -> None:
    """Let the raw topic take what unpacks to any size, as brokers before 4.4 do: they know no such limit."""
    limit = ConfigEntry(
        "max.decompressed.message.bytes", "2000000000", incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ConfigResource.Type.TOPIC, RAW, incremental_configs=[limit])
    admin = AdminClient({"bootstrap.servers": bootstrap})  # kept until the answer is there
    admin.incremental_alter_configs([resource])[resource].result(20)


def test_an_envelope_larger_than_the_raw_topic_takes_is_not_read() -> None:
    value = envelope(pack_id=b"p" * 60_000_000)
    tracemalloc.start()
    with pytest.raises(PackError):
        read_envelope(value)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def envelope(**other: object) -> bytes:
    """What stands around a sealed pack, with something else in some field."""
    usual = {
        "key_id": KEY.key_id, "pack_id": os.urandom(16), "accepted_minute": [], "accepted_site": [],
        "accepted_count": [], "compression": "none", "nonce": os.urandom(12), "sealed": b"",
    }  # fmt: skip
    return encode(ENVELOPE, {**usual, **other})


def accepting(minute: int = 0, site: str = "demo", count: int = 1, times: int = 1) -> bytes:
    return envelope(
        accepted_minute=[minute] * times, accepted_site=[site] * times, accepted_count=[count] * times
    )


@pytest.mark.parametrize(
    "value",
    [
        accepting(times=300_000, site=""), accepting(count=-1), accepting(count=10_001), accepting(minute=-1),
        accepting(minute=2**32), accepting(site="a" * 201), envelope(pack_id=b"p" * 1_000_000),
        envelope(nonce=b""), ENVELOPE.header + b"\x00" * 2 + b"\xff" * 1_000_000,
        # An array that says it holds 2^62 items, and one that says so again and again
        ENVELOPE.header + b"\x00\x00" + b"\xfe" * 8 + b"\xff\x01",
        ENVELOPE.header + b"\x00\x00" + b"\x02\x00" * 400_000,
    ],
    ids=range(11),
)  # fmt: skip
def test_impossible_words_around_a_pack_are_a_dead_letter(value: bytes) -> None:
    head = decided(value).pack.head
    assert head.answers[0].dead in ("unreadable", "uneven_columns")
    assert head.answers[0].accepted == ()


def test_a_pack_that_opens_to_gigabytes_is_inflated_no_further_than_a_pack_may_be() -> None:
    value = seal_pack(b"a" * 200_000_000, KEY, pack_id=bytes(16), nonce=bytes(12), accepted=())
    assert len(value) < 100_000
    found = read_envelope(value)
    tracemalloc.start()
    with pytest.raises(PackError, match="more than a pack may be"):
        open_seal(found, RING)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
    assert decided(value).pack.head.answers[0].dead == "unreadable"


# Poison


def end_while_deciding(path: Path, offset: int, *, asking_the_disk: bool = False) -> None:
    """What a worker leaves behind that ends in the middle of a decision."""
    stack = ExitStack()
    attempts = Attempts(path, "raw-1")
    stack.enter_context(attempts.deciding(offset))
    if asking_the_disk:
        stack.enter_context(attempts.elsewhere())
    ENDED.append(stack)  # never left, as by kill -9


ENDED: list[ExitStack] = []


def test_a_pack_that_ended_three_workers_is_a_dead_letter_and_those_behind_it_are_decided(
    tmp_path: Path,
) -> None:
    async def story(office: Office) -> None:
        for _ in range(3):
            end_while_deciding(office.dependencies.attempts(0), 1)
        for number in range(3):
            await office.processor.take(office.arrive(pack(number)))

    office = work(tmp_path, story)
    assert office.accepted() == [0, 1, 2]
    heads = [read_clean_head(record.value) for record in office.logs.logs[CLEAN, 0]]
    assert [(head.answers[0].dead, sum(one.count for one in head.answers[0].accepted)) for head in heads] == [
        ("", 1), ("poisonous", 1), ("", 1),
    ]  # fmt: skip
    [record] = office.logs.logs[DEAD, 0]
    dead_letter = DeadLetter.from_message(record.value, record.headers)
    assert (dead_letter.reason, dead_letter.value) == (
        DeadReason.POISONOUS,
        office.logs.logs[RAW, 0][1].value,
    )


def test_a_verdict_that_is_not_kept_yet_is_given_again(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        for _ in range(3):
            end_while_deciding(office.dependencies.attempts(0), 0)
        office.outbox.at_once = False
        message = office.arrive(pack(0))
        taking = asyncio.create_task(office.processor.take(message))
        while not office.outbox.waiting:
            await settle()
        assert (
            Attempts(office.dependencies.attempts(0), "raw-1").ended(0) == 3
        )  # as a worker finds it that comes after
        office.outbox.at_once = True
        office.outbox.deliver()
        await taking

    assert work(tmp_path, story).accepted() == [0]


def test_only_the_pack_that_was_being_decided_is_blamed(tmp_path: Path) -> None:
    path = tmp_path / "attempts" / "0"
    for offset in (7, 8, 9, 9):  # different packs, then one twice
        end_while_deciding(path, offset)
    assert [Attempts(path, "raw-1").ended(offset) for offset in (7, 8, 9, 10)] == [1, 1, 2, 0]
    assert Attempts(path, "raw-2").ended(9) == 0  # the topic was made anew


def test_a_pack_that_was_decided_or_was_waiting_for_the_disk_is_not_blamed(tmp_path: Path) -> None:
    path = tmp_path / "attempts" / "0"
    end_while_deciding(path, 9)
    end_while_deciding(path, 9, asking_the_disk=True)
    assert Attempts(path, "raw-1").ended(9) == 1
    attempts = Attempts(path, "raw-1")
    with attempts.deciding(8):  # was under way, and comes first once more
        pass
    assert Attempts(path, "raw-1").ended(9) == 1
    with attempts.deciding(9):
        pass
    assert Attempts(path, "raw-1").ended(9) == 0


@pytest.mark.parametrize("bug", [FATAL, ENDLESS])
@pytest.mark.timeout(300)
def test_a_pack_that_ends_or_holds_each_worker_takes_three_of_them(workers: Workers, bug: str) -> None:
    run = f"poison{now_ms()}"
    workers.send(pages(run, range(4)))
    [(partition, poisonous)] = workers.send(pages(f"{bug}{run}", [0]))
    workers.send(pages(run, range(4, 20)))
    workers.flush()
    ends, decided_all = 0, False
    while not decided_all and ends <= ATTEMPTS_MAX + 1:
        worker = workers.start(
            POISONED, FAIRPIXEL_STREAMS_STUCK_SECONDS_MAX="4", FAIRPIXEL_STREAMS_INSTANCE="one"
        )
        await_that(
            lambda one=worker: one.process.poll() is not None or workers.has_decided(),
            60,
            "the worker ends or is done",
        )
        decided_all = worker.process.poll() is None
        ends += not decided_all
        if not decided_all:
            shutil.rmtree(workers.folder / "data" / "streams" / "seen", ignore_errors=True)
    assert ATTEMPTS_MAX <= ends <= ATTEMPTS_MAX + 1, "the first may have decided it together with others"
    packs = workers.await_decided()
    assert {one: n for one, n in stored(packs).items() if run in one} == {f"{run}-{n}": 1 for n in range(20)}
    dead = [
        dead_letter for dead_letter in workers.dead_letters() if dead_letter.reason is DeadReason.POISONOUS
    ]
    assert [(dead_letter.value, dead_letter.origin.partition) for dead_letter in dead] == [
        (poisonous, partition)
    ]
    answers = [one for pack in packs[partition] for one in pack.head.answers]
    assert [sum(a.count for a in one.accepted) for one in answers if one.dead] == [1]
    assert worker.process.poll() is None
    listed = replay(workers)
    assert "poisonous" in listed.stdout
    assert "left where it is" in replay(workers, "--all").stdout
    worker.kill()
    workers.start(FAIRPIXEL_STREAMS_INSTANCE="one").await_ready()  # the bug is mended
    offset = next(
        record.offset
        for chunk in workers.log.read(DEAD, partition, *workers.log.bounds(DEAD, partition))
        for record in chunk
        if record.value == poisonous
    )
    assert replay(workers, "--partition", str(partition), "--offset", str(offset)).returncode == 0
    packs = workers.await_decided()
    assert stored(packs)[f"{bug}{run}-0"] == 1
