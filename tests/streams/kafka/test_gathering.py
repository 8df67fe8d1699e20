"""When the worker's consumer lets messages gather, and when it must not."""

from __future__ import annotations

import pytest

from streams.kafka.gathering import ENOUGH_BYTES, ENOUGH_MESSAGES, Rests


def rests_before(batches: list[tuple[int, int]]) -> list[int]:
    """Before which batches, each of (messages, bytes), there is a rest."""
    rests, found = Rests(), []
    for number, batch in enumerate(batches):
        if rests.is_due():
            found.append(number)
        rests.taken(*batch)
    return found


def test_messages_that_come_one_by_one_gather_before_every_other_batch() -> None:
    assert rests_before([(1, 500)] * 7) == [2, 4, 6]


def test_nothing_waits_after_silence() -> None:
    assert rests_before([(0, 0), (1, 500), (0, 0), (1, 500), (0, 0), (1, 500)]) == []


@pytest.mark.parametrize("large", [(ENOUGH_MESSAGES, 500), (1, ENOUGH_BYTES)], ids=["messages", "bytes"])
def test_a_backlog_is_read_without_rests(large: tuple[int, int]) -> None:
    assert rests_before([large] * 20) == []
    assert rests_before([(1, 500), large, (1, 500), large, (1, 500), (1, 500)]) == []
