"""A loader that stands still is ended, one that waits or was frozen is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest

from runtime.kafka import KafkaUnavailable
from runtime.watchdog import UNSEEN_S_MAX
from sinks.loader.watchdog import (
    CALL_S_MAX,
    LOOK_EVERY_S,
    STALL_S_MAX,
    Look,
    Patience,
    TopicEnds,
    Watchdog,
)

STALL_LOOKS = int(STALL_S_MAX / LOOK_EVERY_S)
CALL_LOOKS = int(CALL_S_MAX / LOOK_EVERY_S)


def reasons(looks: int, *, turning: bool, **found: object) -> list[str]:
    """What so many looks at a loader give that finds always the same."""
    patience = Patience()
    always: dict[str, object] = {"offsets": {0: 5}, "waits": False, "consumer_lag": 3, **found}
    return [
        patience.judge(Look(number if turning else 7, **always))  # type: ignore[arg-type]
        for number in range(looks + 1)
    ]


def test_packs_that_wait_while_none_is_loaded_end_the_loader() -> None:
    *before, last = reasons(STALL_LOOKS, turning=True)
    assert not any(before)
    assert last == "packs wait and none is loaded"


@pytest.mark.parametrize(
    "found",
    [{"consumer_lag": 0}, {"consumer_lag": None}, {"waits": True}, {"offsets": {}}],
    ids=lambda found: str(*found),
)
def test_a_loader_with_nothing_to_do_or_something_to_wait_for_is_left_alone(found: dict[str, object]) -> None:
    assert not any(reasons(10 * CALL_LOOKS, turning=True, **found))


@pytest.mark.parametrize(
    "found",
    [{"consumer_lag": 0}, {"consumer_lag": None}, {"waits": True}, {"offsets": {}}],
    ids=lambda found: str(*found),
)
def test_a_call_that_never_returns_ends_the_loader_whatever_it_waits_for(found: dict[str, object]) -> None:
    *before, last = reasons(CALL_LOOKS, turning=False, **found)
    assert not any(before)
    assert last == f"a call has not returned for {CALL_S_MAX:.0f} s"


def test_a_loaded_pack_renews_patience() -> None:
    patience = Patience()
    looks = (Look(number, {0: number // 5}, False, 9) for number in range(10 * STALL_LOOKS))
    assert not any(patience.judge(look) for look in looks)


class Still:
    """A loader between two calls that never loads anything."""

    turns = 0
    waits = False

    @property
    def next_offsets(self) -> dict[int, int]:
        Still.turns += 1
        return {0: 5}


class Ends:
    """Kafka with an end the test gives, or away."""

    def __init__(self, end: int | None, topic: str = "one") -> None:
        self._end, self._id = end, topic

    def ends(self, partitions: list[int]) -> dict[int, int]:
        if self._end is None:
            raise KafkaUnavailable("away")
        return dict.fromkeys(partitions, self._end)

    def topic_id(self) -> str:
        return self._id


def watch(kafka: TopicEnds, looks: int) -> tuple[list[str], Mapping[int, int]]:
    """Let the watchdog look so often; what it gave up for, and the ends it heard of."""

    class Stop(threading.Event):
        left = looks

        def wait(self, timeout: float | None = None) -> bool:
            Stop.left -= 1
            return Stop.left < 0

    given_up: list[str] = []
    watchdog = Watchdog(Still(), kafka, "one", given_up.append)
    watchdog.run(Stop())
    return given_up, watchdog.highs


def test_the_watchdog_gives_up_on_a_loader_behind_the_end_and_not_on_one_at_it() -> None:
    given_up, highs = watch(Ends(9), STALL_LOOKS + 1)
    assert given_up == ["packs wait and none is loaded"]
    assert highs == {0: 9}
    assert watch(Ends(5), 3 * STALL_LOOKS)[0] == []
    assert watch(Ends(None), 3 * STALL_LOOKS)[0] == [], "Kafka is away: nobody here can help"


def test_a_topic_made_anew_ends_the_loader() -> None:
    assert watch(Ends(5, "another"), 15)[0] == ["the clean topic was made anew"]


def test_a_watchdog_that_hangs_itself_is_said_to_be_blind(monkeypatch: pytest.MonkeyPatch) -> None:
    watchdog = Watchdog(Still(), Ends(5), "one", lambda reason: None)
    assert not watchdog.is_blind
    later = time.monotonic() + UNSEEN_S_MAX + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert watchdog.is_blind
