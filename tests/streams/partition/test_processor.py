"""A partition processor decides in order, acknowledges what is kept, gives way to others; logs are lists."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from pathlib import Path

import pytest

from schemas.clean_pack import decode_clean_pack, read_clean_head
from schemas.dead_letter import DeadLetter
from schemas.topics import CLEAN, DEAD, RAW
from streams.partition.processor import (
    CLOSE_SECONDS_MAX,
    TRANSITIONS,
    PartitionProcessor,
    State,
)
from tests.streams.partition.office import Office, pack, settle, work


def test_an_offset_is_acknowledged_after_its_clean_pack_is_kept(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await office.processor.take(office.arrive(pack(1)))

    office = work(tmp_path, story)
    assert office.outbox.effects == [f"sent to {CLEAN}", f"kept in {CLEAN}", "acknowledged 0"]


def test_a_dead_letter_is_kept_before_its_clean_pack_is_sent(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await office.processor.take(office.arrive(b"junk"))

    office = work(tmp_path, story)
    assert office.outbox.effects[:3] == [f"sent to {DEAD}", f"kept in {DEAD}", f"sent to {CLEAN}"]
    [record] = office.logs.logs[DEAD, 0]
    assert DeadLetter.from_message(record.value, record.headers).value == b"junk"
    assert read_clean_head(office.logs.logs[CLEAN, 0][0].value).answers[0].dead == "not_a_pack"


def test_a_dead_letter_is_not_sent_again_after_a_crash_before_its_clean_pack(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        message = office.arrive(b"junk")
        dead_letter = DeadLetter.from_message(b"junk", [
            ("reason", b"not_a_pack"), ("topic", RAW.encode()), ("topic_id", b"raw-1"), ("partition", b"0"),
            ("offset", b"0"),
        ])  # fmt: skip
        office.logs.append(DEAD, dead_letter.value, dead_letter.headers())
        await office.processor.take(message)

    office = work(tmp_path, story)
    assert len(office.logs.logs[DEAD, 0]) == 1
    assert office.accepted() == [0]


def test_only_so_many_packs_are_under_way(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        office.outbox.at_once = False
        messages = [office.arrive(pack(number)) for number in range(5)]
        tasks = [asyncio.create_task(office.processor.take(message)) for message in messages]
        await asyncio.sleep(0.5)
        await settle()
        assert len(office.outbox.waiting) == 3
        while not all(task.done() for task in tasks) or office.outbox.waiting:
            if office.outbox.waiting:
                office.outbox.deliver()
            await settle()

    assert work(tmp_path, story).accepted() == [0, 1, 2, 3, 4]


def test_a_failed_send_is_the_end_of_the_worker(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        office.outbox.at_once = False
        await office.processor.take(office.arrive(pack(1)))
        office.outbox.fail()
        await settle()
        assert office.gave_up == ["a clean pack was not delivered: _MSG_TIMED_OUT"]
        office.processor._state = State.CLOSED  # the process would be gone; let the test end

    assert "acknowledged 0" not in work(tmp_path, story).outbox.effects


def test_after_a_foreign_write_the_tail_is_read_again_and_nothing_is_lost(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await office.processor.take(office.arrive(pack(1)))
        await settle()
        office.outbox.at_once = False
        for number in (2, 3, 2):  # the last one is a copy
            await office.processor.take(office.arrive(pack(number)))
        office.logs.append(CLEAN, office.logs.logs[CLEAN, 0][0].value)  # a late writer's repeat
        for _ in range(3):
            office.outbox.deliver()
        office.outbox.at_once = True
        await settle()  # no further message comes

    office = work(tmp_path, story)
    assert office.accepted() == [0, 1, 2, 3]
    assert [one for one in office.outbox.effects if one.startswith("ack")] == [
        f"acknowledged {n}" for n in range(4)
    ]


@pytest.mark.parametrize("when", ["before the close", "during the close"])
def test_a_partition_taken_away_when_somebody_else_wrote_closes_at_once_and_acknowledges_nothing_more(
    tmp_path: Path, when: str
) -> None:
    async def story(office: Office) -> None:
        await office.processor.take(office.arrive(pack(1)))
        await settle()
        office.outbox.at_once = False
        for number in (2, 3):
            await office.processor.take(office.arrive(pack(number)))
        office.logs.append(CLEAN, office.logs.logs[CLEAN, 0][0].value)  # a late writer's repeat
        if when == "during the close":
            closing = asyncio.create_task(office.processor.close())
            await asyncio.sleep(0)
        office.outbox.deliver()
        if when == "before the close":
            await settle()
            closing = asyncio.create_task(office.processor.close())
        started = time.monotonic()
        await closing
        assert time.monotonic() - started < CLOSE_SECONDS_MAX / 2
        office.outbox.deliver()
        await settle()
        assert not office.processor.ready

    office = work(tmp_path, story)
    assert [one for one in office.outbox.effects if one.startswith("ack")] == ["acknowledged 0"]


def test_a_state_follows_only_where_the_table_says_so() -> None:
    for state in State:
        for following in State:
            processor = PartitionProcessor(0, None)  # type: ignore[arg-type]
            processor._state = state
            if following is state or following in TRANSITIONS[state]:
                processor._enter(following)
            else:
                with pytest.raises(RuntimeError, match=f"from {state.name} to {following.name}"):
                    processor._enter(following)


def test_another_worker_that_took_over_is_believed(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await office.processor.take(office.arrive(pack(1)))
        await settle()
        office.outbox.at_once = False
        later = office.arrive(pack(2))
        await office.processor.take(later)
        other = PartitionProcessor(0, office.dependencies)
        office.outbox.at_once = True
        held, office.outbox.waiting = office.outbox.waiting, deque()
        await other.take(office.message(1))
        await settle()
        office.outbox.waiting = held
        office.outbox.deliver()  # the frozen one's pack arrives now
        await settle()
        await office.processor.take(office.arrive(pack(3)))
        await settle()
        await other.close()

    office = work(tmp_path, story)
    assert office.accepted() == [0, 1, 2]
    stored = [decode_clean_pack(record.value) for record in office.logs.logs[CLEAN, 0]]
    assert len(stored) == 4


def test_messages_the_consumer_did_not_bring_are_fetched(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        for number in range(5):
            office.arrive(pack(number))
        await office.processor.take(office.message(4))
        await office.processor.take(office.message(1))

    office = work(tmp_path, story)
    assert office.accepted() == [0, 1, 2, 3, 4]
    assert "acknowledged 1" in office.outbox.effects  # decided before


def test_a_message_that_is_brought_while_its_answer_is_under_way_is_acknowledged_once_that_is_kept(
    tmp_path: Path,
) -> None:
    async def story(office: Office) -> None:
        await office.processor.open()
        office.outbox.at_once = False
        messages = [office.arrive(pack(number)) for number in range(3)]
        caught_up = asyncio.create_task(office.processor.catch_up())
        await settle()
        assert len(office.outbox.waiting) == 3, "it read for itself"
        for message in messages:
            await office.processor.take(message)
        assert not [one for one in office.outbox.effects if one.startswith("acknowledged")]
        for _ in messages:
            office.outbox.deliver()
        await settle()
        assert [one for one in office.outbox.effects if one.startswith("acknowledged")] == [
            f"acknowledged {number}" for number in range(3)
        ]
        await caught_up

    assert work(tmp_path, story).accepted() == [0, 1, 2]


def test_what_retention_took_is_passed_over(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await office.processor.take(office.arrive(pack(0)))
        for number in range(1, 5):
            office.arrive(pack(number))
        office.logs.low[RAW, 0] = 3
        await office.processor.take(office.message(4))

    assert work(tmp_path, story).accepted() == [0, 3, 4]


def test_a_closed_processor_decides_nothing(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await office.processor.open()
        await office.processor.close()
        await office.processor.take(office.arrive(pack(1)))

    assert work(tmp_path, story).outbox.effects == []


def test_a_disk_that_fails_is_the_end_of_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space")

    async def story(office: Office) -> None:
        monkeypatch.setattr("streams.partition.store.DeduplicationStore.remember", full)
        await office.processor.take(office.arrive(pack(1)))
        await settle()

    office = work(tmp_path, story)
    assert office.gave_up
    assert office.gave_up[0].startswith("OSError at")
    assert "acknowledged 0" not in office.outbox.effects
