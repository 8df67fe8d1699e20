"""The consumer of the direct topic on a real broker: shared, paused, committed when told to and not before."""

from __future__ import annotations

import time
import uuid

import pytest

from ingest.direct import inbox as direct_inbox
from ingest.direct.inbox import DirectMessage, KafkaInbox
from runtime.kafka_access import KafkaAccess
from schemas.dead_letter import DeadLetter
from schemas.drops import DeadReason
from schemas.links import Origin
from schemas.topics import DIRECT
from tests.ingest.direct.topic import as_json, dead_letters, write
from tests.processes import await_that, free_port


def fetch(inbox: KafkaInbox, mark: str, count: int) -> list[DirectMessage]:
    """So many messages that carry the mark; what other tests wrote is passed over."""
    found: list[DirectMessage] = []

    def fetched() -> bool:
        batch = inbox.fetch(500, 0.1)
        found.extend(one for one in batch if mark.encode() in one.value)
        return len(found) >= count

    await_that(fetched, 20, f"{count} messages are fetched")
    return found


@pytest.fixture
def mark() -> str:
    return f"e-{uuid.uuid4().hex}"


def test_what_was_not_committed_comes_again(kafka: str, mark: str) -> None:
    group = uuid.uuid4().hex
    write(kafka, *(as_json(event=mark, id=str(n)) for n in range(6)))
    first = KafkaInbox(KafkaAccess(kafka), group)
    taken = fetch(first, mark, 6)
    assert len({one.origin for one in taken}) == 6
    assert all(
        len(one.origin.topic_id) == 22 and abs(one.time_ms - time.time() * 1000) < 60_000 for one in taken
    )
    first.commit(taken[:4])
    first.close()
    second = KafkaInbox(KafkaAccess(kafka), group)
    again = fetch(second, mark, 2)
    assert {one.origin for one in again} == {one.origin for one in taken[4:]}
    second.close()


def test_while_it_holds_nothing_is_read_and_nothing_is_lost(kafka: str, mark: str) -> None:
    inbox = KafkaInbox(KafkaAccess(kafka), uuid.uuid4().hex)
    write(kafka, as_json(event=mark))
    fetch(inbox, mark, 1)
    write(kafka, *(as_json(event=mark) for _ in range(3)))
    for _ in range(5):
        inbox.pause(0.1)
    assert len(fetch(inbox, mark, 3)) == 3
    inbox.close()


def test_large_messages_are_fetched_in_bounded_turns(
    kafka: str, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_inbox, "FETCH_BYTES_MAX", 300_000)
    large = as_json(event=mark, properties={"filler": "x" * 180_000})
    write(kafka, *[large] * 20)
    inbox = KafkaInbox(KafkaAccess(kafka), uuid.uuid4().hex)
    turns: list[int] = []
    found = 0

    def fetched() -> bool:
        nonlocal found
        batch = inbox.fetch(500, 0.1)
        turns.append(sum(len(one.value) for one in batch))
        found += sum(mark.encode() in one.value for one in batch)
        return found == 20

    await_that(fetched, 20, "all are fetched")
    assert max(turns) < 400_000  # two of them; the broker hands over five at a time
    inbox.close()


def test_lag_is_what_was_written_and_not_taken(kafka: str, mark: str) -> None:
    inbox = KafkaInbox(KafkaAccess(kafka), uuid.uuid4().hex)
    write(kafka, as_json(event=mark))
    inbox.commit(fetch(inbox, mark, 1))
    await_that(lambda: not inbox.fetch(1, 0.1) and inbox.consumer_lag() == 0, 20, "all is taken")
    inbox.close()


def test_a_letter_is_buried_with_its_origin(kafka: str) -> None:
    inbox = KafkaInbox(KafkaAccess(kafka), uuid.uuid4().hex)
    origin = Origin(uuid.uuid4().hex, 1, 77)
    assert inbox.send_dead_letters([DeadLetter(DeadReason.NOT_AN_EVENT, DIRECT, origin, b"sealed")])
    assert [dead_letter.value for dead_letter in dead_letters(kafka) if dead_letter.origin == origin] == [
        b"sealed"
    ]
    inbox.close()


def test_without_kafka_every_call_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.direct.inbox.DEAD_LETTER_SEND_S_MAX", 0.2)
    inbox = KafkaInbox(KafkaAccess(f"127.0.0.1:{free_port()}"))
    began = time.monotonic()
    dead_letter = DeadLetter(DeadReason.NOT_AN_EVENT, DIRECT, Origin("t", 0, 0), b"sealed")
    assert inbox.fetch(10, 0.1) == []
    inbox.pause(0.1)
    assert not inbox.send_dead_letters([dead_letter])
    assert inbox.consumer_lag() == 0
    inbox.close()
    assert time.monotonic() - began < 5
