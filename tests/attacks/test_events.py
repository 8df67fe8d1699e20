"""Hostile events: whatever size, shape or text a sender gives an event or a pack, what is behind it is processed."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas.avro_codec import PackError, encode
from schemas.dead_letter import DeadLetter, LeftOut
from schemas.drops import DeadReason
from schemas.links import Origin
from schemas.seal import ENVELOPE, open_seal, read_envelope, seal_pack
from schemas.topics import CLEAN_SIZE_MAX, DEAD, RAW
from tests.broker import make_topics_anew
from tests.streams.make import KEY, RING, decided
from tests.streams.test_desk import Office, pack, work
from tests.streams.test_replay import replay
from tests.streams.workers import Workers, now_ms, pages, stored

ONE_LETTER = b"a" * 60_000_000


@pytest.fixture
def workers(kafka: str, tmp_path: Path) -> Iterator[Workers]:
    make_topics_anew(kafka)
    found = Workers(kafka, tmp_path)
    yield found
    found.stop()


# Size


def test_a_dead_letter_too_large_for_its_topic_keeps_hash_size_and_place() -> None:
    letter = DeadLetter(DeadReason.NOT_A_PACK, RAW, Origin("raw-1", 1, 7), b"a" * (CLEAN_SIZE_MAX + 1))
    short = letter.shortened()
    assert short.value == b""
    assert short.left_out == LeftOut(hashlib.sha256(letter.value).hexdigest(), CLEAN_SIZE_MAX + 1)
    assert (short.reason, short.topic, short.origin) == (letter.reason, letter.topic, letter.origin)
    assert DeadLetter.from_message(b"", short.headers()) == short


def test_a_dead_letter_that_fits_stays_as_it_came() -> None:
    letter = DeadLetter(DeadReason.NOT_A_PACK, RAW, Origin("raw-1", 1, 7), b"a" * CLEAN_SIZE_MAX)
    assert letter.shortened() is letter
    assert DeadLetter.from_message(letter.value, letter.headers()) == letter


def test_a_message_of_60_mb_leaves_a_stub_and_those_behind_it_are_decided(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        for value in (ONE_LETTER, pack(1)):
            await office.desk.take(office.arrive(value))

    office = work(tmp_path, story)
    assert office.accepted() == [0, 1]
    [record] = office.logs.logs[DEAD, 0]
    letter = DeadLetter.from_message(record.value, record.headers)
    assert (record.value, letter.origin.offset) == (b"", 0)
    assert letter.left_out == LeftOut(hashlib.sha256(ONE_LETTER).hexdigest(), len(ONE_LETTER))


@pytest.mark.timeout(240)
def test_60_mb_that_the_producer_compressed_stop_no_worker(workers: Workers) -> None:
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
    letters = [one for one in workers.dead_letters() if one.left_out]
    assert [one.left_out.size for one in letters if one.left_out] == [len(ONE_LETTER)] * 4
    assert worker.process.poll() is None
    listed = replay(workers)
    assert listed.stdout.count("too large, not kept") == 4
    refused = replay(workers, "--partition", "0", "--offset", str(before))
    assert refused.returncode == 1
    assert "cannot be replayed" in refused.stderr


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
    assert head.dead in ("unreadable", "uneven_columns")
    assert head.accepted == ()


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
    assert decided(value).pack.head.dead == "unreadable"
