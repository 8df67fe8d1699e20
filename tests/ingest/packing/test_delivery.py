"""Kafka slow, away, full or broken: the spool takes over, empties again, and nobody is answered twice or never."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from ingest.counts import Counts
from ingest.packing.delivery import Delivery
from ingest.packing.outbox import KafkaOutbox
from ingest.packing.pack import Pack, close_pack
from ingest.packing.spool import Spool, SpoolLimits
from ingest.packing.spool_files import SpoolFiles
from runtime.kafka_access import KafkaAccess
from schemas.ring import DAY_MS
from tests.ingest.builders import KEY, RING, row, run
from tests.processes import free_port


class Kafka:
    """A broker in memory: `mood` is good, slow (says nothing) or bad (refuses)."""

    def __init__(self, mood: str = "good") -> None:
        self.mood = mood
        self.messages: list[bytes] = []
        self._reports: list[tuple[Callable[[bool], None], bool]] = []
        self.silent: list[Callable[[bool], None]] = []

    def send(self, partition: int, message: bytes, on_delivery: Callable[[bool], None]) -> None:
        if self.mood == "slow":
            self.silent.append(on_delivery)
        else:
            if self.mood == "good":
                self.messages.append(message)
            self._reports.append((on_delivery, self.mood == "good"))

    def poll(self, timeout_s: float) -> bool:
        import time

        time.sleep(0.002)
        return bool(self._reports)

    def settle(self) -> None:
        reports, self._reports = self._reports, []
        for on_delivery, kept in reports:
            on_delivery(kept)

    def fetch_partition_count(self, timeout_s: float) -> int:
        return 1


def pack(name: str) -> Pack:
    return close_pack("edge-1", 0, [row(name)], [], KEY, name.encode().ljust(16), b"n" * 12)


def deliver(
    tmp_path: Path,
    kafka: Kafka,
    journey: Callable[[Delivery], object],
    limits: SpoolLimits | None = None,
    wait_ms: int = 100,
) -> None:
    """Run a journey through a delivery with this Kafka."""

    async def whole() -> None:
        loop = asyncio.get_running_loop()
        spool = Spool(
            SpoolFiles(tmp_path / "edge-1"), limits or SpoolLimits(10**9, DAY_MS), loop.call_soon_threadsafe
        )
        delivery = Delivery(kafka, spool, tmp_path, lambda: RING, Counts(), wait_ms)
        try:
            await journey(delivery)  # type: ignore[misc]
        finally:
            await delivery.stop()

    run(whole)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(8):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_pack_kafka_has_is_answered_once(tmp_path: Path) -> None:
    kafka = Kafka()

    async def journey(delivery: Delivery) -> None:
        kept: list[bool] = []
        delivery.send(pack("a"), kept.append)
        await until(lambda: kept)
        assert kept == [True]
        assert delivery.spool_packs == 0
        assert delivery.is_healthy

    deliver(tmp_path, kafka, journey)


@pytest.mark.parametrize("mood", ["slow", "bad"])
def test_the_spool_answers_for_a_kafka_that_does_not_and_empties_when_it_does(
    tmp_path: Path, mood: str
) -> None:
    kafka = Kafka(mood)

    async def journey(delivery: Delivery) -> None:
        kept: list[bool] = []
        for name in "abc":
            delivery.send(pack(name), kept.append)
        await until(lambda: len(kept) == 3)
        assert kept == [True] * 3
        delivery.send(pack("d"), kept.append)  # goes to the spool at once
        await until(lambda: len(kept) == 4)
        assert kafka.messages == []
        kafka.mood = "good"
        for late in kafka.silent:
            late(False)  # the producer gives up on what it had
        await until(lambda: delivery.spool_packs == 0)
        assert kafka.messages == [pack(name).message for name in "abcd"]  # in order
        delivery.send(pack("e"), kept.append)  # by the spool once more where its end is not known yet
        await until(lambda: len(kept) == 5 and len(kafka.messages) == 5)
        assert kafka.messages[-1] == pack("e").message

    deliver(tmp_path, kafka, journey)


def test_a_late_word_from_kafka_answers_nobody_twice(tmp_path: Path) -> None:
    kafka = Kafka("slow")

    async def journey(delivery: Delivery) -> None:
        kept: list[bool] = []
        delivery.send(pack("a"), kept.append)
        await until(lambda: kept)
        for late in kafka.silent:
            late(True)
        assert kept == [True]

    deliver(tmp_path, kafka, journey)


def test_a_full_spool_is_said_so_and_kafka_back_makes_room(tmp_path: Path) -> None:
    kafka = Kafka("bad")

    async def journey(delivery: Delivery) -> None:
        kept: list[bool] = []
        for number in range(30):
            delivery.send(pack(f"p{number}"), kept.append)
            await until(lambda number=number: len(kept) == number + 1)  # type: ignore[misc]
        assert kept[0] is True
        assert kept[-1] is False
        assert not delivery.can_accept
        kafka.mood = "good"
        await until(lambda: delivery.can_accept)
        delivery.send(pack("after"), kept.append)
        await until(lambda: len(kept) == 31)
        assert kept[-1] is True

    deliver(tmp_path, kafka, journey, SpoolLimits(3_000, DAY_MS))


def test_a_disk_that_takes_nothing_while_kafka_is_away_is_said_until_either_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka, payload = Kafka("bad"), []

    def refuse(output: object, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def journey(delivery: Delivery) -> None:
        with monkeypatch.context() as full:
            full.setattr("ingest.packing.spool_files._write_all", refuse)
            delivery.send(pack("finds the disk full"), payload.append)
            await until(lambda: delivery.warnings)
            delivery.send(pack("refused"), payload.append)
            await until(lambda: payload == [False, False])
            assert not delivery.can_accept
            kafka.mood = "good"
            while payload[-1] is False:
                delivery.send(pack("sent again"), payload.append)
                await asyncio.sleep(0.05)
            assert delivery.can_accept
        await until(lambda: not delivery.warnings)

    deliver(tmp_path, kafka, journey)


def test_what_a_dead_edge_left_is_drained_by_a_live_one(tmp_path: Path) -> None:
    from ingest.packing.spool_files import Record

    left = SpoolFiles(tmp_path / "edge-7")
    left.append([Record(0, 1, pack("left").message)])
    left.close()
    kafka = Kafka()

    async def journey(delivery: Delivery) -> None:
        await until(lambda: kafka.messages)
        assert kafka.messages == [pack("left").message]
        await until(lambda: not (tmp_path / "edge-7").exists())

    deliver(tmp_path, kafka, journey)


def test_what_is_left_at_a_stop_is_drained_after_the_next_start(tmp_path: Path) -> None:
    kafka = Kafka("bad")
    kept: list[bool] = []

    async def before(delivery: Delivery) -> None:
        delivery.send(pack("a"), kept.append)
        await until(lambda: kept)

    async def after(delivery: Delivery) -> None:
        assert delivery.spool_packs == 1
        kafka.mood = "good"
        await until(lambda: delivery.spool_packs == 0)

    deliver(tmp_path, kafka, before)
    deliver(tmp_path, kafka, after)
    assert kafka.messages == [pack("a").message]


def test_a_producer_that_turned_fatal_is_replaced_and_what_it_held_is_not_forgotten() -> None:
    outbox = KafkaOutbox(KafkaAccess(f"127.0.0.1:{free_port()}"))
    reports: list[bool] = []
    outbox.send(0, b"x", reports.append)
    producer = outbox._producer
    outbox._heard(KafkaError(KafkaError._FATAL, "made by a test", True))
    assert outbox.poll(0)
    outbox.settle()
    assert outbox._producer is not producer
    assert reports == [False]
    outbox.poll(0)
    outbox.settle()
    assert reports == [False]
