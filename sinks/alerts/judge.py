"""One closed minute against what is normal: which series fell, rose or went silent; all baselines must be surprised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sinks.alerts.baseline import (
    HISTORY_MINUTES_MIN,
    Bools,
    Floats,
    Indices,
    Normal,
    expect_counts,
    expect_rates,
    expect_shortly,
    interval,
    surprise,
    usual_range,
    window_sum,
)
from sinks.alerts.rules import MINUTE, Direction, Finding, Kind, Reading
from sinks.alerts.traffic import ALL_TRAFFIC, WINDOWS, Series, Traffic, bases

# The budget: fewer than one false alarm a month over 200 pairs, most of them noisier than Poisson. 200 pairs * 43,200
# minutes * 2.5 (windows overlap) are 22 million looks a month in each direction. What keeps the sum below one are the
# deviations, the effects demanded beside them (a level must also have moved by 30 %, or doubled) and second opinions.
# The long windows rest on few blocks, so their dispersion is less certain and their tails, as measured, are heavier.
FALL_DEVIATIONS = {1: 5.2, 2: 5.2, 5: 5.8, 15: 6.0, 60: 6.0}
RISE_DEVIATIONS = 6.5
SECOND_DEVIATIONS = 4.0  # of the other baselines; they must agree, not prove again
RATE_DEVIATIONS = 3.0  # of the rate, for a fallen count to be called a fallen rate

# observed / expected, by window: in a quarter of an hour or more a day's own course moves that much and more, so the
# long windows speak of rare names that all but vanished, and of nothing else
FALL_RATIO_MAX = {1: 0.7, 2: 0.7, 5: 0.65, 15: 0.4, 60: 0.2}
RISE_RATIO_MIN = {1: 2.0, 2: 2.0, 5: 2.5, 15: 4.0, 60: 8.0}
EXPECTED_MIN = 10.0  # hits a window must lead one to expect before their fall is judged
RISEN_MIN = 50.0  # hits a window must hold before it is a spike
BASE_MIN = 50.0  # hits of the base a window must hold before a rate is judged
TRAFFIC_STEADY = (0.7, 1.5)  # base / its expectation: then a fall is one of the rate, not of the traffic

GOOD_DEVIATIONS = 3.0  # an open alert's reading is good again within this and within the ratios below
GOOD_FALL_RATIO = 0.75
GOOD_RISE_RATIO = 1.5


def judge_minute(traffic: Traffic, usable: Bools, fresh: Callable[[str], bool]) -> list[Finding]:
    """What stands out in the last minute of `traffic`, at most one finding a series and direction.

    usable: see traffic.usable_minutes. fresh: whether a site was seen alive by an earlier judgement; before that its
    traffic cannot fall, for history that was imported ends where it ends.
    """
    if not traffic.series:
        return []
    base, has_rate = bases(traffic)
    alive = np.array([fresh(site) for site, _ in traffic.series], dtype=np.bool_)
    found: dict[tuple[Series, Direction], Finding] = {}
    for window in WINDOWS:
        if traffic.counts.shape[1] < window + HISTORY_MINUTES_MIN:
            continue
        rows = _worth_a_look(traffic, base, usable, window)
        if not len(rows):
            continue
        by_count = _by_count(traffic.counts[rows], usable[rows], window)
        by_rate = _by_rate(traffic.counts[rows], base[rows], usable[rows], window)
        rated = has_rate[rows] & (by_rate.base >= BASE_MIN) & (base[rows, -1] >= BASE_MIN / window)
        fell = by_count.fell & (alive[rows] | rated) | by_rate.fell & rated
        for direction, flags in ((Direction.DOWN, fell), (Direction.UP, by_count.rose)):
            for at in np.flatnonzero(flags):
                series = traffic.series[rows[at]]
                if (series, direction) not in found:
                    minute = traffic.minutes[1] - MINUTE
                    look = (by_count, by_rate, int(at), bool(rated[at]))
                    found[series, direction] = _finding(series, minute, window, direction, *look)
    return list(found.values())


def read_again(traffic: Traffic, finding: Finding) -> Reading | None:
    """How the last minutes of `traffic` stand against what an open alert expected; None: too little data.

    An alert found in one or two minutes is read by the minute, one of a longer window by that window.
    """
    series = (finding.site, finding.subject)
    window = finding.window if finding.window > 2 else 1
    if finding.kind is Kind.CONVERSION_DROP and finding.rate:
        if series not in traffic.series:
            site = (finding.site, ALL_TRAFFIC)
            if site not in traffic.series:
                return None
            observed, held = 0.0, float(window_sum(_row(traffic, traffic.pages, site), window)[0])
        else:
            index = traffic.series.index(series)
            base, _ = bases(traffic)
            observed = float(traffic.counts[index, -window:].sum())
            held = float(base[index, -window:].sum())
        if held < BASE_MIN / 2:
            return None
        expected = finding.rate * held
    else:
        observed = (
            float(window_sum(_row(traffic, traffic.counts, series), window)[0])
            if series in traffic.series
            else 0.0
        )
        expected = finding.expected * window
    z = float(surprise(np.array([observed]), np.array([expected]), np.array([finding.dispersion]))[0])
    if finding.direction is Direction.DOWN:
        good = z > -GOOD_DEVIATIONS and observed >= GOOD_FALL_RATIO * expected
    else:
        good = z < GOOD_DEVIATIONS or observed <= GOOD_RISE_RATIO * expected
    low, high = interval(expected, finding.dispersion)
    return Reading(good, observed > 0, observed / window, expected / window, low / window, high / window)


@dataclass(frozen=True, slots=True)
class _Look:
    """Some series through one window, by count or by rate."""

    observed: Floats
    normal: Normal
    z: Floats
    fell: Bools
    rose: Bools
    base: Floats  # sums of the base over the window; zeros when looking by count


def _worth_a_look(traffic: Traffic, base: Floats, usable: Bools, window: int) -> Indices:
    """Rows that moved enough against the last twenty minutes; the costly part is left out for all others."""
    observed = window_sum(traffic.counts, window)
    by_count = expect_shortly(traffic.counts, None, usable, window)
    by_rate = expect_shortly(traffic.counts, base, usable, window)
    with np.errstate(invalid="ignore"):
        fell = (observed <= FALL_RATIO_MAX[window] * by_count) | (
            observed <= FALL_RATIO_MAX[window] * by_rate
        )
        rose = (observed >= RISE_RATIO_MIN[window] * by_count) & (observed >= RISEN_MIN)
    late = (traffic.late | traffic.late[traffic.site])[:, -window:].any(
        axis=1
    )  # a judged minute is never reopened
    return np.flatnonzero(usable[:, -window:].all(axis=1) & ~late & (fell | rose))


def _by_count(counts: Floats, usable: Bools, window: int) -> _Look:
    low, high = usual_range(counts, usable, window)
    normal = expect_counts(counts, usable, window)
    look = _look(window_sum(counts, window), normal, expect_shortly(counts, None, usable, window), window)
    return replace(look, fell=look.fell & (look.observed < low), rose=look.rose & (look.observed > high))


def _by_rate(counts: Floats, base: Floats, usable: Bools, window: int) -> _Look:
    normal = expect_rates(counts, base, usable, window)
    look = _look(window_sum(counts, window), normal, expect_shortly(counts, base, usable, window), window)
    return replace(look, base=window_sum(base, window))


def _look(observed: Floats, normal: Normal, short: Floats, window: int) -> _Look:
    z = surprise(observed, normal.expected, normal.dispersion)
    second = surprise(observed, short, normal.dispersion)
    with np.errstate(invalid="ignore"):
        fell = (
            (z <= -FALL_DEVIATIONS[window])
            & (second <= -SECOND_DEVIATIONS)
            & (observed <= FALL_RATIO_MAX[window] * np.minimum(normal.expected, short))
            & (normal.expected >= EXPECTED_MIN)
        )
        rose = (
            (z >= RISE_DEVIATIONS)
            & (second >= SECOND_DEVIATIONS)
            & (observed >= RISE_RATIO_MIN[window] * np.maximum(normal.expected, short))
            & (observed >= RISEN_MIN)
        )
    return _Look(observed, normal, z, fell, rose, np.zeros_like(observed))


def _finding(
    series: Series,
    minute: int,
    window: int,
    direction: Direction,
    count: _Look,
    rate: _Look,
    at: int,
    rated: bool,
) -> Finding:
    observed = float(count.observed[at])
    kind, look, share = Kind.SPIKE, count, None
    if direction is Direction.DOWN:
        kind = Kind.SILENCE if observed == 0 else Kind.DROP
        if observed and rated and rate.z[at] <= -RATE_DEVIATIONS and _is_steady(rate, count, at):
            kind, look = Kind.CONVERSION_DROP, rate
            share = float(rate.normal.expected[at] / rate.base[at])
    expected, dispersion = float(look.normal.expected[at]), float(look.normal.dispersion[at])
    low, high = interval(expected, dispersion)
    return Finding(
        site=series[0],
        subject=series[1],
        direction=direction,
        kind=kind,
        window=window,
        minute=minute,
        observed=observed / window,
        expected=expected / window,
        low=low / window,
        high=high / window,
        dispersion=dispersion,
        rate=share,
    )


def _is_steady(rate: _Look, count: _Look, at: int) -> bool:
    """Whether the traffic itself holds: what its rate leads one to expect is what the count leads one to expect."""
    by_rate, by_count = float(rate.normal.expected[at]), float(count.normal.expected[at])
    return bool(np.isnan(by_count)) or TRAFFIC_STEADY[0] * by_count <= by_rate <= TRAFFIC_STEADY[1] * by_count


def _row(traffic: Traffic, values: Floats, series: Series) -> Floats:
    return values[[traffic.series.index(series)]]
