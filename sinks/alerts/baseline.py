"""What is normal: robust level, dispersion and surprise of counts by minute. Pure; arrays hold one row a series.

Counts are taken as negative binomial with mean m and variance dispersion * m. The dispersion comes from differences of
neighbouring minutes, so neither a trend nor a season inflates it; outliers are clipped. The level is a trend line
through the last two hours (Theil-Sen over blocks), so a morning's rise is expected and a single bad quarter is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int_]

BLOCK_MINUTES = 10
HISTORY_MINUTES = 180  # what dispersion and range are taken from
TREND_MINUTES = 120  # what the level is taken from
SHORT_MINUTES = 20  # the second opinion: what was normal a moment ago
HISTORY_MINUTES_MIN = 60  # below this a series is not judged: nobody knows yet what is normal

# How far a level may be off although the fit looks good, as a share of it: the bend of a daily season over the reach of
# the window. A day of +-80 % bends 1.8 % over two hours; the flat levels of the long windows lag behind by an hour.
DRIFT = {1: 0.02, 2: 0.02, 5: 0.03, 15: 0.10, 60: 0.20}
# Longer windows use the flat level: a line drawn an hour ahead errs more than it helps.
TREND_WINDOW_MAX = 5  # minutes
DISPERSION_ERRORS = 0.75  # standard errors that are added to an estimated dispersion


@dataclass(frozen=True, slots=True)
class Normal:
    """What a window of minutes is expected to hold, a value a series; NaN where nobody knows."""

    expected: Floats  # sum over the window
    dispersion: Floats  # variance / mean of that sum, with the uncertainty of the level in it


def window_sum(counts: Floats, window: int) -> Floats:
    """The sum of the last `window` minutes. counts: [series, minutes], oldest first."""
    return np.asarray(counts[:, -window:].sum(axis=1), dtype=np.float64)


def expect_counts(counts: Floats, usable: Bools, window: int) -> Normal:
    """What the last `window` minutes should hold, judged by the usable minutes before them.

    counts, usable: [series, minutes], oldest first, the window last. Minutes that are not usable (before the first
    activity, under an alert) are left out as if they did not exist.
    """
    counts, usable = counts[:, :-window], usable[:, :-window]
    means = block_means(counts[:, -TREND_MINUTES:], usable[:, -TREND_MINUTES:])
    minutes = usable[:, -TREND_MINUTES:].sum(axis=1)
    if window <= TREND_WINDOW_MAX:
        level = trend_level(means, window / 2)
        spread = 4.5  # variance of a line's end over that of a mean: 1 + 12 * (1/2)^2 = 4, by Theil-Sen's efficiency
    else:
        level = median(means)
        spread = 1.57  # the same of a median: pi / 2
    return _normal(level * window, _dispersion_of(counts, usable, window), minutes, spread, window)


def expect_rates(counts: Floats, bases: Floats, usable: Bools, window: int) -> Normal:
    """What the last `window` minutes should hold, given what the base (such as page views) held in them.

    Shapes as in `expect_counts`; `bases` has the same shape as `counts`.
    """
    base_now = window_sum(bases, window)
    counts, bases, usable = counts[:, :-window], bases[:, :-window], usable[:, :-window]
    rate = median(
        block_rates(counts[:, -TREND_MINUTES:], bases[:, -TREND_MINUTES:], usable[:, -TREND_MINUTES:])
    )
    residuals = counts - rate[:, None] * bases
    level = _mean(counts, usable)
    dispersion = _upper(_dispersion(residuals, usable, level, 1), usable)
    return _normal(rate * base_now, dispersion, usable[:, -TREND_MINUTES:].sum(axis=1), 1.57, window)


def expect_shortly(counts: Floats, bases: Floats | None, usable: Bools, window: int) -> Floats:
    """The same by the twenty minutes before the window alone: a level that moved slowly is normal to this one."""
    counts, usable_before = counts[:, :-window], usable[:, :-window]
    short = slice(-SHORT_MINUTES, None)
    if bases is None:
        return np.asarray(median(block_means(counts[:, short], usable_before[:, short], 4)) * window)
    before = bases[:, :-window]
    rate = median(block_rates(counts[:, short], before[:, short], usable_before[:, short], 4))
    return np.asarray(rate * window_sum(bases, window))


def usual_range(counts: Floats, usable: Bools, window: int) -> tuple[Floats, Floats]:
    """The lowest and the highest sum of `window` minutes before this one, with the flukes of two left out."""
    counts, usable = (
        counts[:, -(HISTORY_MINUTES + window) : -window],
        usable[:, -(HISTORY_MINUTES + window) : -window],
    )
    if counts.shape[1] <= window:
        nothing = np.full(len(counts), np.nan)
        return nothing, nothing
    padded = np.cumsum(np.pad(np.where(usable, counts, np.nan), ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    if np.isnan(
        padded
    ).any():  # a running sum carries a hole to its end; windows with holes are counted apart
        padded = np.cumsum(np.pad(np.where(usable, counts, 0.0), ((0, 0), (1, 0))), axis=1)
        holes = np.cumsum(np.pad((~usable).astype(np.float64), ((0, 0), (1, 0))), axis=1)
        sums = np.where(
            holes[:, window:] == holes[:, :-window], padded[:, window:] - padded[:, :-window], np.nan
        )
    else:
        sums = padded[:, window:] - padded[:, :-window]
    ordered = np.sort(sums, axis=1)  # NaN last
    size = (~np.isnan(ordered)).sum(axis=1)
    skipped = np.minimum(2 * window + 1, size // 4)
    rows = np.arange(len(ordered))
    low = ordered[rows, np.minimum(skipped, ordered.shape[1] - 1)]
    high = ordered[rows, np.maximum(size - 1 - skipped, 0)]
    return low, high


def surprise(observed: Floats, expected: Floats, dispersion: Floats) -> Floats:
    """How far `observed` lies from `expected`, in standard deviations of a normal tail of the same probability.

    The signed root of the negative binomial deviance with half a count of continuity: within a few per cent of
    the exact tail from 1e-3 to 1e-12 (a test compares). Negative: fewer than expected. NaN where nothing is expected.
    """
    fewer = observed < expected
    x = np.where(fewer, np.minimum(observed + 0.5, expected), np.maximum(observed - 0.5, expected))
    with np.errstate(divide="ignore", invalid="ignore"):
        k = expected / np.maximum(dispersion - 1.0, 1e-6)
        log_x = np.where(x > 0, x * np.log(np.maximum(x, 1e-12) / expected), 0.0)
        deviance = 2.0 * (log_x - (x + k) * np.log1p((x - expected) / (expected + k)))
    size = np.sqrt(np.maximum(deviance, 0.0))
    return np.where(np.isnan(deviance), np.nan, np.where(fewer, -size, size))


def interval(expected: float, dispersion: float, z: float = 2.58) -> tuple[float, float]:
    """Where 99 of 100 ordinary windows lie, by the square-root transformation."""
    half = z * max(dispersion, 1.0) ** 0.5 / 2
    root = max(expected, 0.0) ** 0.5
    return max(root - half, 0.0) ** 2, (root + half) ** 2


def block_means(counts: Floats, usable: Bools, size: int = BLOCK_MINUTES) -> Floats:
    """Means of usable minutes in blocks counted from the end; NaN where less than half of a block is usable."""
    kept, there = _blocks(np.where(usable, counts, 0.0), size), _blocks(usable.astype(np.float64), size)
    return np.where(there * 2 >= size, kept / np.maximum(there, 1.0), np.nan)


def block_rates(counts: Floats, bases: Floats, usable: Bools, size: int = BLOCK_MINUTES) -> Floats:
    """Counts over bases in blocks counted from the end; NaN where less than half is usable or the base is empty."""
    top, base = _blocks(np.where(usable, counts, 0.0), size), _blocks(np.where(usable, bases, 0.0), size)
    there = _blocks(usable.astype(np.float64), size)
    return np.where((there * 2 >= size) & (base > 0), top / np.maximum(base, 1.0), np.nan)


def trend_level(means: Floats, ahead: float) -> Floats:
    """Theil-Sen's line through the blocks, read `ahead` minutes behind their end; within a quarter of what was seen."""
    count = means.shape[1]
    x = (np.arange(count) - count + 0.5) * BLOCK_MINUTES
    first, second = np.triu_indices(count, 1)
    slope = median((means[:, second] - means[:, first]) / (x[second] - x[first]))
    level = median(means - slope[:, None] * x) + slope * ahead
    low, high = _extremes(means)
    return np.asarray(np.clip(level, 0.8 * low, 1.25 * high))


def median(values: Floats) -> Floats:
    """The median of each row, NaN left out; NaN for a row with nothing in it."""
    ordered = np.sort(values, axis=1)  # NaN last
    size = (~np.isnan(ordered)).sum(axis=1)
    rows = np.arange(len(ordered))
    if ordered.shape[1] == 0:
        return np.full(len(ordered), np.nan)
    low, high = (
        ordered[rows, np.maximum(size - 1, 0) // 2],
        ordered[rows, np.minimum(size // 2, ordered.shape[1] - 1)],
    )
    return np.where(size > 0, (low + high) / 2, np.nan)


def _normal(expected: Floats, dispersion: Floats, minutes: Indices, spread: float, window: int) -> Normal:
    known = minutes >= HISTORY_MINUTES_MIN
    of_level = 1.0 + spread * window / np.maximum(minutes, 1)
    return Normal(np.where(known, expected, np.nan), dispersion * of_level + DRIFT[window] ** 2 * expected)


def _dispersion_of(counts: Floats, usable: Bools, window: int) -> Floats:
    """By minutes; for longer windows at least that of five-minute sums, where bursts that last show up."""
    counts, usable = counts[:, -HISTORY_MINUTES:], usable[:, -HISTORY_MINUTES:]
    level = _mean(counts, usable)
    by_minute = _upper(_dispersion(counts, usable, level, 1), usable)
    if window < 5:
        return by_minute
    whole = _blocks(usable.astype(np.float64), 5) == 5
    return np.maximum(by_minute, _dispersion(_blocks(counts, 5), whole, level * 5, 1))


def _dispersion(values: Floats, usable: Bools, level: Floats, lag: int) -> Floats:
    """Variance over mean, from differences of neighbours clipped at four deviations."""
    both = usable[:, lag:] & usable[:, :-lag]
    differences = np.abs(values[:, lag:] - values[:, :-lag])
    differences[~both] = np.nan
    poisson = np.sqrt(2.0 * np.maximum(level, 1e-9))
    limit = 4.0 * np.maximum(1.4826 * np.nan_to_num(median(differences)), poisson)
    squares = np.where(both, np.minimum(np.nan_to_num(differences), limit[:, None]) ** 2, 0.0)
    return np.asarray(squares.sum(axis=1) / np.maximum(both.sum(axis=1), 1) / (2.0 * np.maximum(level, 1e-9)))


def _upper(dispersion: Floats, usable: Bools) -> Floats:
    """A little above the estimate, never below Poisson's 1; the standard error from n differences is sqrt(3 / n)."""
    error = np.sqrt(3.0 / np.maximum(usable[:, -HISTORY_MINUTES:].sum(axis=1), 1))
    return np.asarray(np.maximum(1.0, dispersion * (1.0 + DISPERSION_ERRORS * error)))


def _mean(counts: Floats, usable: Bools) -> Floats:
    return np.asarray(np.where(usable, counts, 0.0).sum(axis=1) / np.maximum(usable.sum(axis=1), 1))


def _blocks(values: Floats, size: int) -> Floats:
    count = values.shape[1] // size
    return np.asarray(
        values[:, values.shape[1] - count * size :].reshape(len(values), count, size).sum(axis=2)
    )


def _extremes(values: Floats) -> tuple[Floats, Floats]:
    empty = np.isnan(values)
    low, high = np.where(empty, np.inf, values).min(axis=1), np.where(empty, -np.inf, values).max(axis=1)
    return np.where(np.isinf(low), np.nan, low), np.where(np.isinf(high), np.nan, high)
