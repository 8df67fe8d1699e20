"""The watcher on in-memory parts: minutes judged once, alerts told once, whatever dies or goes away in between."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from runtime.kafka import KafkaUnavailable
from sinks.alerts.loop import LATE_MS, Watcher
from sinks.alerts.rules import MINUTE, Kind, State, Transition
from tests.sinks.alerts.watch_fakes import Effects, FakeEdge, FakePager, FakeStore, FakeTopic, Killed

NOON = 1_800_000_000 // MINUTE * MINUTE
STEP_MS = 300


class World:
    """A watcher and all it talks to, with a clock that tests turn."""

    def __init__(self, now: int = NOON) -> None:
        self.effects: Effects = []
        self.heard: list[Transition] = []
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.store = FakeStore(self.effects)
        self.topic, self.edge = FakeTopic(self.store), FakeEdge()
        self.now_ms = now * 1000
        self.start()

    def start(self) -> None:
        """A new process."""
        self.pager = FakePager(self.effects, self.heard)
        self.watcher = Watcher(
            self.store, self.topic, self.edge, self.pager, lambda e, **f: self.said.append((e, f))
        )

    def run_until(self, second: float) -> None:
        """Step until the clock shows this; what is away is away."""
        while self.now_ms < second * 1000:
            with suppress(OSError, KafkaUnavailable):
                self.watcher.step(self.now_ms)
            self.now_ms += STEP_MS

    def live(self, minute: int, **traffic: Any) -> None:
        """One minute of traffic, and six seconds after its end."""
        self.store.minute(minute, **traffic)
        self.store.offset += 5
        self.run_until(minute + MINUTE + 6)

    def told(self) -> list[tuple[State, Kind, str]]:
        return [(one.state, one.kind, one.subject) for one in self.heard]


def world_with_history() -> World:
    world = World()
    world.store.history(NOON)
    return world


FALL = {"page_views": 300, "purchases": 24}
OPENED_AND_RESOLVED = [
    (State.OPEN, Kind.CONVERSION_DROP, "purchase"),
    (State.RESOLVED, Kind.CONVERSION_DROP, "purchase"),
]


def test_fallen_purchases_are_heard_within_ten_seconds_of_the_second_minute_and_resolved_once() -> None:
    world = world_with_history()
    for place in range(12):
        world.live(NOON + place * MINUTE, **(FALL if place < 6 else {}))
        if place == 1:
            assert world.told() == OPENED_AND_RESOLVED[:1]
    assert world.told() == OPENED_AND_RESOLVED
    assert [row["state"] for row in world.store.rows.values()] == ["open", "resolved"]


def test_imported_history_is_never_judged_and_never_falls_silent() -> None:
    world = World()
    world.store.history(NOON, 30)
    world.store.history(NOON - 30 * MINUTE, 120, page_views=3_000, purchases=5)
    world.run_until(NOON + 15 * MINUTE)
    assert world.told() == []


def test_a_site_that_goes_silent_is_one_alert_and_data_resolves_it() -> None:
    world = world_with_history()
    for place in range(3):
        world.live(NOON + place * MINUTE)
    for place in range(3, 8):
        world.live(NOON + place * MINUTE, page_views=0, purchases=0)
    assert world.told() == [(State.OPEN, Kind.SILENCE, "")]
    for place in range(8, 40):
        world.live(NOON + place * MINUTE)
    assert world.told() == [(State.OPEN, Kind.SILENCE, ""), (State.RESOLVED, Kind.SILENCE, "")]


def test_a_spike_is_one_alert() -> None:
    world = world_with_history()
    for place in range(6):
        world.live(
            NOON + place * MINUTE, page_views=900 if place < 3 else 300, purchases=180 if place < 3 else 60
        )
    assert world.told() == [(State.OPEN, Kind.SPIKE, ""), (State.RESOLVED, Kind.SPIKE, "")]


def test_a_night_like_the_nights_before_raises_nothing_and_one_without_them_does() -> None:
    for nights in (3, 0):
        world = world_with_history()
        for night in range(1, nights + 1):
            world.store.history(NOON + 5 * MINUTE - night * 86_400, 125)
        for place in range(5):
            world.live(NOON + place * MINUTE)
        for place in range(5, 30):
            world.live(NOON + place * MINUTE, page_views=0, purchases=0)
        assert world.told()[:1] == ([] if nights else [(State.OPEN, Kind.SILENCE, "")])


def test_a_purchase_fall_at_an_hour_of_nights_is_still_found() -> None:
    """Earlier days say nothing about a rate while their traffic was gone."""
    world = world_with_history()
    for night in range(1, 4):
        world.store.history(NOON - 12 * 3_600 - night * 86_400, 300)
    for place in range(2):
        world.live(NOON + place * MINUTE, **FALL)
    assert world.told() == OPENED_AND_RESOLVED[:1]


def test_a_minute_is_not_judged_before_it_is_loaded() -> None:
    world = world_with_history()
    world.live(NOON)
    world.topic.behind = 3
    world.live(NOON + MINUTE, page_views=0, purchases=0)
    world.run_until(NOON + 20 * MINUTE)
    assert world.told() == []
    assert world.watcher.standing.late
    assert world.watcher.standing.packs_missing == 3
    assert next(fields for event, fields in world.said if event == "minute_not_closed")["packs_missing"] == 3
    assert world.now_ms - NOON * 1000 > LATE_MS
    for place in range(1, 20):
        world.store.minute(NOON + place * MINUTE)
    world.topic.behind = 0
    world.store.offset += 3
    world.run_until(NOON + 20 * MINUTE + 5)
    assert world.watcher.standing.judged == NOON + 19 * MINUTE
    assert world.told() == []


def test_packs_in_a_spool_hold_a_minute_back_until_the_offsets_behind_them_are_read() -> None:
    world = world_with_history()
    world.live(NOON)
    world.edge.packs = 4
    world.run_until(NOON + 5 * MINUTE)
    assert world.watcher.standing.judged == NOON
    world.edge.packs, world.topic.behind = 0, 4
    world.run_until(NOON + 6 * MINUTE)
    assert world.watcher.standing.judged == NOON
    for place in range(1, 6):
        world.store.minute(NOON + place * MINUTE)
    world.topic.behind = 0
    world.store.offset += 4
    world.run_until(NOON + 6 * MINUTE + 6)
    assert world.watcher.standing.judged == NOON + 5 * MINUTE
    assert world.told() == []


def test_a_steady_lag_does_not_keep_minutes_open_for_ever() -> None:
    world = world_with_history()
    for place in range(1_300):  # ClickHouse is 135 s behind, all the time
        if place >= 450:
            world.store.offset += 1
        if place % 200 == 0:
            world.store.minute(NOON + place // 200 * MINUTE)
        world.topic.behind = place + 1 - world.store.offset
        world.run_until(world.now_ms / 1000 + 0.3)
    assert world.watcher.standing.judged >= NOON + MINUTE


@pytest.mark.parametrize("part", ["store", "topic"])
def test_a_part_that_is_away_for_minutes_raises_nothing(part: str) -> None:
    world = world_with_history()
    world.live(NOON)
    getattr(world, part).away = True
    for place in range(1, 5):
        world.live(NOON + place * MINUTE)
    getattr(world, part).away = False
    world.live(NOON + 5 * MINUTE)
    assert world.watcher.standing.judged == NOON + 5 * MINUTE
    assert world.told() == []


def test_a_page_nobody_takes_does_not_stop_the_judging_and_is_sent_later() -> None:
    world = world_with_history()
    world.pager.answers = False
    for place in range(12):
        world.live(NOON + place * MINUTE, **(FALL if place < 6 else {}))
    assert world.watcher.standing.judged == NOON + 11 * MINUTE
    assert world.told() == []
    world.pager.answers = True
    world.run_until(NOON + 12 * MINUTE + 8)
    assert world.told() == OPENED_AND_RESOLVED


def test_after_hours_of_downtime_only_the_last_is_judged_and_the_past_wakes_nobody() -> None:
    world = world_with_history()
    world.live(NOON)
    for place in range(1, 301):
        fallen = 30 <= place < 40 or 270 <= place < 280
        world.store.minute(NOON + place * MINUTE, **(FALL if fallen else {}))
    world.start()
    world.now_ms = (NOON + 301 * MINUTE) * 1000
    world.run_until(NOON + 301 * MINUTE + 6)
    assert world.watcher.standing.judged == NOON + 300 * MINUTE
    minutes = [row["minute"] // MINUTE - NOON // MINUTE for row in world.store.rows.values()]
    assert minutes in ([270, 281], [271, 281]), (
        "the fall three hours ago is history, the one half an hour ago is kept"
    )
    assert world.told() == []


def test_late_arrivals_never_reopen_a_judged_minute() -> None:
    world = world_with_history()
    for place in range(4):
        world.live(NOON + place * MINUTE)
    world.store.minute(NOON + MINUTE, page_views=5_000)
    world.live(NOON + 4 * MINUTE)
    assert world.told() == []


def test_killed_at_any_line_it_opens_and_resolves_once_and_repeats_at_most_what_it_could_not_write_down() -> (
    None
):
    """The program dies before each of its effects in turn; a new process goes on with what was written."""

    def run(die_at: int) -> World:
        world = world_with_history()
        real = world.effects

        class Counting(list[tuple[str, Any]]):
            deaths = 0

            def append(self, effect: tuple[str, Any]) -> None:
                real.append(effect)
                if len(real) == die_at:
                    raise Killed

        counting = Counting()
        world.store.effects = counting
        world.pager._effects = counting
        for place in range(12):
            world.store.minute(NOON + place * MINUTE, **(FALL if place < 6 else {}))
            world.store.offset += 5
            try:
                world.run_until(NOON + (place + 1) * MINUTE + 6)
            except Killed:
                world.start()
                world.pager._effects = counting
                world.run_until(NOON + (place + 1) * MINUTE + 12)
        return world

    whole = run(0)
    assert whole.told() == OPENED_AND_RESOLVED
    tried = set()
    for die_at in range(1, len(whole.effects) + 1):
        effect = whole.effects[die_at - 1][0]
        world = run(die_at)
        tried.add(effect)
        assert [row["state"] for row in world.store.rows.values()] == ["open", "resolved"], (die_at, effect)
        once = list(dict.fromkeys(one.transition_id for one in world.heard))
        assert len(once) == 2, (die_at, effect)
        assert len(world.heard) - len(once) <= 1
        if len(world.heard) > 2:
            assert effect in ("sent", "save"), "only between sending and writing that down"
    assert {"save", "store", "sent", "loaded", "traffic"} <= tried


def test_a_write_whose_answer_was_lost_is_followed_not_decided_again() -> None:
    world = world_with_history()
    world.live(NOON)
    real_save = world.store.save
    lost = []

    def save(memory: Any) -> None:
        real_save(memory)
        if not lost and memory.alert_state.open:
            lost.append(memory)
            raise OSError("no answer")

    world.store.save = save  # type: ignore[method-assign]
    for place in range(1, 10):
        world.live(NOON + place * MINUTE, **(FALL if place < 5 else {}))
    assert lost
    assert world.told() == OPENED_AND_RESOLVED


def test_rows_that_show_up_just_after_their_pack_are_waited_for() -> None:
    """One insert feeds several tables in turn: `progress` may be ahead of `rollup_minute` for a moment."""
    world = world_with_history()
    world.live(NOON)
    world.store.offset += 5
    world.run_until(NOON + 2 * MINUTE + 2.5)
    world.store.minute(NOON + MINUTE)
    world.run_until(NOON + 2 * MINUTE + 6)
    assert world.watcher.standing.judged == NOON + MINUTE
    assert world.told() == []


def test_a_watcher_that_wakes_up_behind_another_follows_what_that_one_decided() -> None:
    world = world_with_history()
    world.live(NOON)
    frozen = world.watcher
    world.start()
    for place in range(1, 4):
        world.live(NOON + place * MINUTE, **FALL)
    assert world.told() == OPENED_AND_RESOLVED[:1]
    decided = world.store.version()
    for _ in range(20):
        frozen.step(world.now_ms)
        world.now_ms += STEP_MS
    assert world.store.version() == decided
    assert frozen.standing.judged == NOON + 3 * MINUTE
    assert world.told() == OPENED_AND_RESOLVED[:1]
