"""Who waits for an answer: whose events may stay in an open pack for longer, and whose may not."""

from __future__ import annotations

import asyncio

import pytest

from ingest.serving import connection
from tests.ingest.builders import run
from tests.ingest.stage import PIXEL, POST, Stage

HIT, EVENT = PIXEL % b"a", b'{"event":"a","id":"b"}'
POSTED = POST % (len(EVENT), EVENT)


def is_patient(stage: Stage) -> bool:
    """Whether the last row's pack may wait; one that may not is closed within 3 ms, also under a test."""
    return bool(stage.packs[-1].is_patient)


async def rows_in_packs(stage: Stage, count: int) -> None:
    async with asyncio.timeout(5):
        while len(stage.rows) < count:
            await asyncio.sleep(0)


@pytest.mark.parametrize("request_bytes", [HIT, POSTED], ids=["pixel", "event"])
@pytest.mark.parametrize("fast_path", [True, False])
def test_the_first_request_of_a_connection_may_wait_and_one_right_after_an_answer_may_not(
    request_bytes: bytes, fast_path: bool
) -> None:
    async def journey() -> None:
        stage = Stage(fast_path=fast_path)
        for number, expected in enumerate((True, False, False), 1):
            stage.connection.data_received(request_bytes)
            await rows_in_packs(stage, number)
            assert is_patient(stage) is expected
            await stage.answers(number)

    run(journey)


def test_a_sender_that_took_its_time_may_wait_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(HIT)
        await stage.answers(1)
        monkeypatch.setattr(connection, "GOES_ON_S", 0.0)
        stage.connection.data_received(HIT)
        assert is_patient(stage)

    run(journey)


def test_of_pipelined_requests_only_the_first_may_wait() -> None:
    async def journey() -> None:
        stage = Stage(fast_path=False)
        stage.connection.data_received(POSTED + POSTED)
        await rows_in_packs(stage, 1)
        assert is_patient(stage)
        await stage.answers(1)
        await rows_in_packs(stage, 2)
        assert not is_patient(stage)

    run(journey)
