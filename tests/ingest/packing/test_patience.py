"""Who waits for an answer: whose events may stay in an open pack for longer, and whose may not."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

import pytest

from ingest.packing.patience import LOOK_AGAIN_S, WINDOW_HITS, Patience
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


@pytest.mark.parametrize("fast_path", [True, False])
def test_the_first_post_of_a_connection_may_wait_and_one_right_after_an_answer_may_not(
    fast_path: bool,
) -> None:
    async def journey() -> None:
        stage = Stage(fast_path=fast_path)
        for number, expected in enumerate((True, False, False), 1):
            stage.connection.data_received(POSTED)
            await rows_in_packs(stage, number)
            assert is_patient(stage) is expected
            await stage.answers(number)

    run(journey)


@pytest.mark.parametrize("fast_path", [True, False])
def test_hits_may_wait_until_nearly_all_come_right_after_an_answer(fast_path: bool) -> None:
    async def journey() -> None:
        stage = Stage(fast_path=fast_path)
        stage.packer._patience._since = -1.0  # the first window has lasted long enough
        for number in range(1, WINDOW_HITS + 3):
            stage.connection.data_received(HIT)
            await rows_in_packs(stage, number)
            assert is_patient(stage) is (number < WINDOW_HITS), number
            await stage.answers(number)

    run(journey)


def test_a_sender_that_took_its_time_may_wait_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(POSTED)
        await stage.answers(1)
        monkeypatch.setattr(connection, "GOES_ON_S", 0.0)
        stage.connection.data_received(POSTED)
        await rows_in_packs(stage, 2)
        assert is_patient(stage)

    run(journey)


PATIENT_S, HURRIED_S = 0.025, 0.003


class Edge:
    """A packer of one partition as patience.py meets it: hits in, waits out; times in seconds."""

    def __init__(self) -> None:
        self.patience = Patience()
        self.closes_at = 0.0
        self.waits: list[float] = []

    def hit(self, now: float, answered_at: float) -> float:
        """When this hit is answered."""
        may_wait = self.patience.may_wait(now - answered_at <= connection.GOES_ON_S, now)
        if now >= self.closes_at:
            self.closes_at = now + (PATIENT_S if may_wait else HURRIED_S)
        elif not may_wait:
            self.closes_at = min(self.closes_at, now + HURRIED_S)
        self.waits.append(self.closes_at - now)
        return self.closes_at


def senders_that_wait(edge: Edge, senders: int, think_s: float, seconds: float) -> int:
    """Each sends its next hit so long after its answer; how many were sent."""
    due = [(0.0, -1.0, number) for number in range(senders)]
    for sent in count():
        now, answered_at, number = heapq.heappop(due)
        if now >= seconds:
            return sent
        answered_at = edge.hit(now, answered_at)
        heapq.heappush(due, (answered_at + think_s, answered_at, number))
    raise AssertionError


def behind_a_proxy(edge: Edge, rate: float, seconds: float, *, begins: float = 0.0) -> None:
    """Hits of many pages in even steps, each on the connection that was free last."""
    free: list[float] = []  # when each of the free connections was answered; the last one is taken first
    busy: list[float] = []
    for number in range(int(rate * seconds)):
        now = begins + number / rate
        while busy and busy[0] <= now:
            free.append(heapq.heappop(busy))
        heapq.heappush(busy, edge.hit(now, free.pop() if free else -1.0))


@pytest.mark.parametrize("senders", [1, 2, 16, 64])
@pytest.mark.parametrize("think_s", [0.0002, 0.002, 0.008])
def test_whoever_waits_for_each_hit_loses_little(senders: int, think_s: float) -> None:
    hurried = senders * 20.0 / (HURRIED_S + think_s)
    assert senders_that_wait(Edge(), senders, think_s, 20.0) >= 0.93 * hurried


@pytest.mark.parametrize("rate", [60, 200, 1_000, 2_000, 5_000])
def test_hits_of_many_pages_behind_a_proxy_go_on_waiting(rate: float) -> None:
    edge = Edge()
    behind_a_proxy(edge, rate, 20.0)
    settled = edge.waits[int(rate) :]
    assert sum(settled) / len(settled) > 0.9 * PATIENT_S / 2


@pytest.mark.parametrize("rate", [200, 2_000])
def test_hits_behind_a_proxy_wait_again_after_somebody_who_waited_for_each(rate: float) -> None:
    edge = Edge()
    senders_that_wait(edge, 16, 0.0002, 3.0)
    before = len(edge.waits)
    behind_a_proxy(edge, rate, 2 * LOOK_AGAIN_S + 5.0, begins=3.0)
    settled = edge.waits[before + int(rate * (LOOK_AGAIN_S + 1.0)) :]
    assert sum(settled) / len(settled) > 0.9 * PATIENT_S / 2


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
