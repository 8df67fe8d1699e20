"""The search for the highest rate, and what makes a rate one that is not held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.speed.highest import PRECISION, STEP, Trial, highest_held

HELD = Trial(
    due=20_000,
    answered=19_950,
    failed=0,
    p99_ms=80,
    backlog=[100, 110, 90, 100, 105, 95],
    packs_per_second=100,
)


def up_to(limit: float, tried: list[float]) -> Callable[[float], bool]:
    def holds(rate: float) -> bool:
        tried.append(rate)
        return rate <= limit

    return holds


@given(st.floats(200, 50_000))
def test_the_search_ends_just_below_what_is_held(limit: float) -> None:
    tried: list[float] = []
    found = highest_held(up_to(limit, tried), 8_000, trials_max=100)
    assert found <= limit <= found * (1 + PRECISION) * 1.000001
    assert len(tried) < 60


def test_the_rate_is_raised_and_then_the_gap_is_halved() -> None:
    tried: list[float] = []
    found = highest_held(up_to(120, tried), 100, step=1.5, precision=0.12)
    # A rate that does not hold is tried twice.
    assert tried == [100, 150, 150, 125, 125, 112.5]
    assert found == 112.5


def test_one_bad_moment_does_not_end_the_search() -> None:
    bad = iter([True, False])

    def holds(rate: float) -> bool:
        return rate <= 150 and (rate != 125 or not next(bad))

    assert highest_held(holds, 100) > 125


def test_a_start_that_is_too_high_goes_down() -> None:
    tried: list[float] = []
    assert highest_held(up_to(70, tried), 100, step=1.5, precision=0.6) == pytest.approx(100 / 1.5)
    assert tried == [100, 100, 100 / 1.5]


@pytest.mark.parametrize("trials_max", [1, 2, 5, 6])
def test_trials_are_bounded(trials_max: int) -> None:
    for limit in (0, 10**12):
        tried: list[float] = []
        found = highest_held(up_to(limit, tried), 100, trials_max=trials_max)
        assert len(tried) == trials_max
        assert found == (0.0 if not limit else pytest.approx(100 * STEP ** (trials_max - 1)))


def test_a_rate_that_keeps_up_is_held() -> None:
    assert HELD.problem() == ""


@pytest.mark.parametrize(
    ("trial", "problem"),
    [
        (replace(HELD, failed=1), "1 requests failed"),
        (replace(HELD, answered=19_000), "95% of what was due was answered"),
        (replace(HELD, p99_ms=300), "p99 is 300 ms"),
        (replace(HELD, backlog=[10, 20, 30, 40, 50, 90]), "the backlog grew by 0.6 s"),
    ],
)
def test_why_a_rate_is_not_held_is_named(trial: Trial, problem: str) -> None:
    assert trial.problem() == problem


def test_a_backlog_that_shrinks_or_was_seen_once_does_not_grow() -> None:
    assert replace(HELD, backlog=[500, 100, 0]).backlog_growth_s() < 0
    assert replace(HELD, backlog=[500]).backlog_growth_s() == 0
    assert replace(HELD, backlog=[0], packs_per_second=0).problem() == ""
