"""When a minute is closed, and what holds it back."""

import pytest

from sinks.alerts.closing import (
    SPOOL_GONE_MS,
    Snapshot,
    SpoolReading,
    Watermarks,
    closed_through,
    due_minute,
    packs_missing,
    spool_holds,
)

NOON_MS = 1_800_000_000_000
NOON = NOON_MS // 1000


def snapshot(
    taken_at_ms: int = NOON_MS + 62_000, spool_is_empty: bool = True, **ends: tuple[int, int]
) -> Snapshot:
    marks = {
        int(name[1:]): Watermarks(*pair) for name, pair in (ends or {"p0": (0, 10), "p1": (0, 5)}).items()
    }
    return Snapshot(taken_at_ms, "topic", marks, spool_is_empty)


LOADED = {("topic", 0): 9, ("topic", 1): 4}


@pytest.mark.parametrize(
    ("after_ms", "minute"), [(61_999, NOON - 60), (62_000, NOON), (121_999, NOON), (122_000, NOON + 60)]
)
def test_a_minute_is_due_two_seconds_after_its_end(after_ms: int, minute: int) -> None:
    assert due_minute(NOON_MS + after_ms) == minute


def test_a_minute_is_closed_when_every_partition_is_loaded() -> None:
    assert closed_through(snapshot(), LOADED) == NOON


@pytest.mark.parametrize("missing", [{("topic", 0): 8, ("topic", 1): 4}, {("topic", 0): 9}, {}])
def test_one_pack_that_is_not_loaded_keeps_it_open(missing: dict[tuple[str, int], int]) -> None:
    assert closed_through(snapshot(), missing) is None


def test_packs_loaded_beyond_the_snapshot_do_no_harm() -> None:
    assert closed_through(snapshot(), {("topic", 0): 900, ("topic", 1): 4}) == NOON


def test_a_silent_topic_closes_minutes_too() -> None:
    assert closed_through(snapshot(p0=(0, 0), p1=(7, 7)), {}) == NOON


def test_a_topic_made_anew_under_the_old_name_is_not_taken_for_loaded() -> None:
    assert closed_through(snapshot(), {("another", 0): 900, ("another", 1): 900}) is None


def test_a_full_spool_keeps_it_open() -> None:
    assert closed_through(snapshot(spool_is_empty=False), LOADED) is None


def test_without_partitions_nothing_is_closed() -> None:
    assert closed_through(Snapshot(NOON_MS, "topic", {}, True), {}) is None


def test_the_lag_counts_packs_that_are_still_there() -> None:
    assert packs_missing(snapshot(p0=(100, 110), p1=(0, 5)), {("topic", 1): 2}) == 12


def test_a_dead_edge_holds_nothing_back_unless_it_just_spoke_of_packs() -> None:
    assert spool_holds(3, None, NOON_MS)
    assert not spool_holds(0, SpoolReading(3, NOON_MS), NOON_MS)
    assert not spool_holds(None, None, NOON_MS)
    assert not spool_holds(None, SpoolReading(0, NOON_MS), NOON_MS)
    assert spool_holds(None, SpoolReading(3, NOON_MS), NOON_MS + 1_000)
    assert not spool_holds(None, SpoolReading(3, NOON_MS), NOON_MS + SPOOL_GONE_MS)
