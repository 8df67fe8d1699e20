"""Where a connection stands: only the ways of its table, and each of them, are walked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from ingest.serving import connections
from ingest.serving.connection import TRANSITIONS, Connection, State
from tests.ingest import stage as stage_module
from tests.ingest.builders import run
from tests.ingest.stage import PIXEL, POST, Stage

EVENT = POST % (25, b'{"event": "x", "id": "a"}')
CHUNKED = b"POST /v1/events HTTP/1.1\r\nAuthorization: Bearer demo\r\nTransfer-Encoding: chunked\r\n\r\n"
IN_CHUNKS = CHUNKED + b'19\r\n{"event": "x", "id": "a"}\r\n0\r\n\r\n'
GARBAGE = b"\x16\x03\x01"
IDLE, ANSWERING, LAST_ANSWER, PARSING, SURPLUS, ENDING, CLOSED, LOST = State


class Watched(Connection):
    """Remembers each state it enters, however that is done."""

    walked: list[State]

    @property
    def _state(self) -> State:  # type: ignore[override]
        return self.walked[-1]

    @_state.setter
    def _state(self, state: State) -> None:
        self.walked = [*getattr(self, "walked", ()), state]


def says(*pieces: bytes) -> Callable[[Stage], None]:
    def read(stage: Stage) -> None:
        for piece in pieces:
            stage.connection.data_received(piece)

    return read


def then_stops(first: Callable[[Stage], None]) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        first(stage)
        stage.connection.shutdown()

    return act


def fails(stage: Stage) -> None:
    async def endpoint(*_: Any) -> None:
        raise KeyError("of somebody")

    stage.connection.logger.disabled = True
    stage.shared.posts = {"/v1/events": endpoint}
    stage.connection.data_received(EVENT)


def is_silent(stage: Stage) -> None:
    says(IN_CHUNKS)(stage)

    def end_once_answered() -> None:
        if stage.connection.timeout_keep_alive_task is None:
            loop.call_later(0.001, end_once_answered)
        else:
            stage.connection.timeout_keep_alive_handler()

    loop = asyncio.get_running_loop()
    end_once_answered()


# What happens; the states it leads through at once; and those that follow once the event is kept.
JOURNEYS: dict[str, tuple[Callable[[Stage], None], list[State], list[State]]] = {
    "nothing": (says(), [IDLE], []),
    "a pixel": (says(PIXEL % b"a"), [IDLE, ANSWERING], [IDLE]),
    "a pixel behind a pixel": (says(PIXEL % b"a", PIXEL % b"b"), [IDLE, ANSWERING], [IDLE, ANSWERING, IDLE]),
    "a hot POST": (says(EVENT), [IDLE, ANSWERING], [IDLE]),
    "an event by the parser": (says(IN_CHUNKS), [IDLE, PARSING], [IDLE]),
    "a pixel behind one by the parser": (says(IN_CHUNKS, PIXEL % b"b"), [IDLE, PARSING], [IDLE]),
    "empty lines": (says(b"\r\n\r\n"), [IDLE, PARSING, IDLE], []),
    "half a head": (says(PIXEL[:20]), [IDLE, PARSING], []),
    "half a body": (says(CHUNKED), [IDLE, PARSING], []),
    "the wish to end": (
        says(b"GET /p.gif?k=demo HTTP/1.1\r\nConnection: close\r\n\r\n"),
        [IDLE, PARSING],
        [CLOSED],
    ),
    "garbage": (says(GARBAGE), [IDLE, PARSING, ENDING, CLOSED], []),
    "garbage behind an event": (says(IN_CHUNKS + GARBAGE), [IDLE, PARSING, ENDING], [CLOSED]),
    "a stop at rest": (then_stops(says()), [IDLE, CLOSED], []),
    "a stop in half a head": (then_stops(says(PIXEL[:20])), [IDLE, PARSING, CLOSED], []),
    "a stop before an answer": (then_stops(says(PIXEL % b"a")), [IDLE, ANSWERING, LAST_ANSWER], [CLOSED]),
    "an endpoint that fails": (fails, [IDLE, ANSWERING], [LAST_ANSWER, CLOSED]),
    "silence": (is_silent, [IDLE, PARSING], [IDLE, CLOSED]),
    "one too many": (says(), [IDLE, SURPLUS], []),
    "a pixel, one too many": (says(PIXEL % b"a"), [IDLE, SURPLUS], [CLOSED]),
    "garbage, one too many": (says(GARBAGE), [IDLE, SURPLUS, ENDING, CLOSED], []),
}


def walk(monkeypatch: pytest.MonkeyPatch, name: str, *, is_answered: bool) -> list[State]:
    """The states of a connection from its first moment until its peer is gone."""
    monkeypatch.setattr(stage_module, "Connection", Watched)
    if "too many" in name:
        monkeypatch.setattr(connections, "CONNECTIONS_MAX", 0)
    found: list[State] = []

    async def journey() -> None:
        stage = Stage()
        assert isinstance(stage.connection, Watched)
        JOURNEYS[name][0](stage)
        for _ in range(40 if is_answered else 0):
            stage.packer.flush()
            stage.sent.settle_all()
            await asyncio.sleep(0.001)
        stage.connection.connection_lost(None)
        found.extend(stage.connection.walked)

    run(journey)
    return found


@pytest.mark.parametrize("name", JOURNEYS)
def test_a_connection_goes_these_ways(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    _, before, after = JOURNEYS[name]
    assert walk(monkeypatch, name, is_answered=False) == [*before, LOST]
    assert walk(monkeypatch, name, is_answered=True) == [*before, *after, LOST]


def test_the_table_holds_these_ways_and_no_others() -> None:
    walked = {
        step
        for _, before, after in JOURNEYS.values()
        for states in ([*before, LOST], [*before, *after, LOST])
        for step in pairwise(states)
    }
    assert walked == {(state, following) for state in State for following in TRANSITIONS[state]}


def test_a_state_follows_only_where_the_table_says_so() -> None:
    async def journey() -> None:
        one = Stage().connection
        for state in State:
            for following in State:
                one._state = state
                if following is state or following in TRANSITIONS[state]:
                    one._enter(following)
                    assert one._state is following
                else:
                    with pytest.raises(RuntimeError, match=f"from {state.name} to {following.name}"):
                        one._enter(following)
                    assert one._state is state

    run(journey)


def test_an_answer_that_comes_twice_is_written_once() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(PIXEL % b"a")
        await stage.answers(1)
        written = stage.wire.written
        stage.connection._write(b"again")
        assert stage.wire.written == written

    run(journey)


@pytest.mark.parametrize("late", [PIXEL % b"late", EVENT, IN_CHUNKS, GARBAGE])
@pytest.mark.parametrize(
    "name", ["the wish to end", "garbage", "a stop at rest", "a stop before an answer", "silence"]
)
def test_what_comes_behind_the_end_is_for_nobody(name: str, late: bytes) -> None:
    async def journey() -> None:
        stage = Stage()
        JOURNEYS[name][0](stage)
        async with asyncio.timeout(5):
            while not stage.wire.is_closing():
                stage.packer.flush()
                stage.sent.settle_all()
                await asyncio.sleep(0.001)
        taken = len(stage.rows)
        stage.connection.data_received(late)
        await asyncio.sleep(0.002)
        assert len(stage.rows) == taken
        assert not stage.wire.is_late

    run(journey)


def test_a_hit_meets_no_state_but_idle_and_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its two steps are written down in the code without the table's check, which spares each hit two calls."""
    monkeypatch.setattr(Connection, "_enter", lambda *_: pytest.fail("a hit asks the table"))

    async def journey() -> None:
        stage = Stage()
        for number in range(3):
            stage.connection.data_received(PIXEL % b"%d" % number)
            await stage.answers(number + 1)

    assert ANSWERING in TRANSITIONS[IDLE]
    assert IDLE in TRANSITIONS[ANSWERING]
    run(journey)
