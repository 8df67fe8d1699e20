"""The same hours of earlier days: whether a fall or a rise is what this time of day brings. Pure; for findings only.

It compares shapes, not levels: what earlier days did at this time, relative to their own hour before. A night that
begins as the nights before begins is ordinary, whatever today's traffic is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sinks.alerts.baseline import Floats, surprise
from sinks.alerts.judge import FALL_RATIO_MAX, RISE_RATIO_MIN, SECOND_DEVIATIONS
from sinks.alerts.rules import MINUTE, Direction, Finding

DAY = 86_400
DAYS = (1, 2, 3, 4, 5, 6, 7, 14)  # days back
SAME_WEEKDAY = (7, 14)
NEAR_MINUTES = 15  # what happened a quarter of an hour earlier or later happened at this time
SMOOTH_MINUTES = 10  # shorter stretches of an earlier day are noise, and the noise is counted already
BEFORE_MINUTES = 75  # the hour a day is measured by
BEFORE_MIN = 30.0  # hits in it; a day with fewer says nothing about shares
REACH_MINUTES = BEFORE_MINUTES + NEAR_MINUTES  # before the window


@dataclass(frozen=True, slots=True)
class Day:
    """Hits by minute of one series on one earlier day, from REACH_MINUTES before the window to NEAR_MINUTES after."""

    back: int  # days
    counts: Floats


def day_span(finding: Finding, back: int) -> tuple[int, int]:
    """First minute, and the one after the last, of what `Day.counts` must hold."""
    end = finding.minute + MINUTE - back * DAY
    return end - (finding.window + REACH_MINUTES) * MINUTE, end + NEAR_MINUTES * MINUTE


def is_ordinary(finding: Finding, before: Floats, days: Sequence[Day]) -> bool:
    """Whether most earlier days, or most of the same weekday, moved like this at this time.

    before: today's hits in the BEFORE_MINUTES that end NEAR_MINUTES ahead of the window. No day says anything: no.
    """
    level = float(before.mean()) if len(before) else 0.0
    groups = [days, [day for day in days if day.back in SAME_WEEKDAY]]
    return any(_agree(finding, [_would_be(finding, level, day) for day in group]) for group in groups)


def _agree(finding: Finding, wanted: Sequence[float | None]) -> bool:
    """Whether the median of what the days lead one to expect, a minute, is no surprise any more."""
    known = [value for value in wanted if value is not None]
    if not known:
        return False
    expected = float(np.median(known)) * finding.window
    observed = finding.observed * finding.window
    z = float(
        surprise(np.array([observed]), np.array([max(expected, 0.01)]), np.array([finding.dispersion]))[0]
    )
    if finding.direction is Direction.DOWN:
        return observed > FALL_RATIO_MAX[finding.window] * expected or z > -SECOND_DEVIATIONS
    return observed < RISE_RATIO_MIN[finding.window] * expected or z < SECOND_DEVIATIONS


def _would_be(finding: Finding, level: float, day: Day) -> float | None:
    """Hits a minute that `day` leads one to expect: its own extreme near this time, scaled to today's hour before."""
    hour, near = day.counts[:BEFORE_MINUTES], day.counts[BEFORE_MINUTES:]
    size = min(max(finding.window, SMOOTH_MINUTES), len(near))
    sums = np.convolve(near, np.ones(size), mode="valid") / size
    own = float(hour.mean())
    known = own * BEFORE_MINUTES >= BEFORE_MIN
    if finding.direction is Direction.DOWN:
        return level * float(sums.min()) / own if known else None
    if known and level * BEFORE_MINUTES >= BEFORE_MIN:
        return level * float(sums.max()) / own
    return float(sums.max()) if sums.max() > 0 else None  # a day that began with nothing, as today did


def as_day(back: int, span: tuple[int, int], hits: Mapping[int, int]) -> Day:
    """Make a Day from hits by minute; minutes without hits count 0."""
    return Day(back, np.array([hits.get(minute, 0) for minute in range(*span, MINUTE)], dtype=np.float64))
