"""Levels, dispersions and surprise against exact sums and known shapes."""

import math

import numpy as np
import pytest

from sinks.alerts.baseline import (
    HISTORY_MINUTES_MIN,
    expect_counts,
    expect_rates,
    expect_shortly,
    median,
    surprise,
    trend_level,
    usual_range,
    window_sum,
)
from tests.sinks.alerts.traffic_maker import noisy


def exact_tail(observed: int, mean: float, dispersion: float, lower: bool) -> float:
    """The negative binomial tail by summing its terms."""

    def log_mass(x: int) -> float:
        if dispersion <= 1.0:
            return x * math.log(mean) - mean - math.lgamma(x + 1)
        k, p = mean / (dispersion - 1), 1 / dispersion
        return (
            math.lgamma(x + k) - math.lgamma(k) - math.lgamma(x + 1) + k * math.log(p) + x * math.log(1 - p)
        )

    terms = range(observed + 1) if lower else range(observed, observed + 4_000)
    return math.fsum(math.exp(log_mass(x)) for x in terms)


@pytest.mark.parametrize(
    ("mean", "dispersion", "deviations"),
    [
        (mean, dispersion, deviations)
        for mean in (10.0, 60.0, 300.0)
        for dispersion in (1.0, 2.0, 4.0)
        for deviations in (-5.0, -4.0, -3.0, 3.0, 5.0, 7.0)
        if mean + deviations * math.sqrt(mean * dispersion) >= 0  # there are no counts below nothing
    ],
)
def test_surprise_is_that_of_the_exact_tail(mean: float, dispersion: float, deviations: float) -> None:
    observed = round(mean + deviations * math.sqrt(mean * dispersion))
    z = float(surprise(np.array([observed]), np.array([mean]), np.array([dispersion]))[0])
    exact = math.log10(exact_tail(observed, mean, dispersion, lower=deviations < 0))
    normal = math.log10(math.erfc(abs(z) / math.sqrt(2)) / 2)
    assert normal == pytest.approx(exact, abs=0.35), "within a factor of about two, in tails down to 1e-12"


def test_what_nobody_knows_surprises_nobody() -> None:
    assert np.isnan(surprise(np.array([5.0]), np.array([np.nan]), np.array([1.0])))[0]


def test_the_level_is_unmoved_by_a_bad_quarter_of_the_history() -> None:
    rng = np.random.default_rng(1)
    counts = noisy(rng, np.full((50, 125), 100.0))
    counts[:, 40:70] = 5.0
    expected = expect_counts(counts, np.ones_like(counts, dtype=bool), 1).expected
    assert np.all(np.abs(expected - 100) < 15)


def test_a_steady_rise_is_continued_not_lagged_behind() -> None:
    counts = np.linspace(100, 300, 121)[None, :].repeat(2, axis=0)
    expected = expect_counts(counts, np.ones_like(counts, dtype=bool), 1).expected
    assert expected == pytest.approx([300, 300], rel=0.02)


def test_the_trend_is_not_drawn_beyond_what_was_seen() -> None:
    means = np.array([[10.0, 10, 10, 10, 10, 10, 10, 400, 700, 1000]])
    assert trend_level(means, 500.0)[0] <= 1250


@pytest.mark.parametrize("dispersion", [1.0, 3.0])
def test_the_dispersion_found_is_that_of_the_noise(dispersion: float) -> None:
    rng = np.random.default_rng(2)
    counts = noisy(rng, np.full((400, 181), 80.0), dispersion)
    found = expect_counts(counts, np.ones_like(counts, dtype=bool), 1).dispersion
    assert dispersion * 0.95 < float(np.median(found)) < dispersion * 1.35, "a little above, never below"


def test_a_season_is_not_taken_for_noise() -> None:
    rng = np.random.default_rng(3)
    shape = 1 + 0.8 * np.sin(2 * np.pi * np.arange(181) / 1440)
    counts = noisy(rng, np.tile(200 * shape, (200, 1)))
    found = expect_counts(counts, np.ones_like(counts, dtype=bool), 1).dispersion
    assert float(np.median(found)) < 1.35


def test_too_little_history_gives_no_expectation() -> None:
    counts = np.full((1, HISTORY_MINUTES_MIN), 100.0)
    assert np.isnan(expect_counts(counts, np.ones_like(counts, dtype=bool), 1).expected[0])
    more = np.full((1, HISTORY_MINUTES_MIN + 1), 100.0)
    assert expect_counts(more, np.ones_like(more, dtype=bool), 1).expected[0] == pytest.approx(100)


def test_minutes_under_an_alert_teach_nothing() -> None:
    counts = np.full((1, 181), 100.0)
    counts[:, 100:] = 10.0
    usable = np.ones_like(counts, dtype=bool)
    usable[:, 100:180] = False
    usable[:, 60:180] &= np.arange(60, 180) < 100
    assert np.isnan(expect_counts(counts, usable, 1).expected[0]), (
        "too few minutes are left: unknown, not ten"
    )
    usable[:, 130:180] = False
    counts[:, 100:130], usable[:, 100:130] = 100.0, True
    assert expect_counts(counts, usable, 1).expected[0] == pytest.approx(100, rel=0.01)


def test_a_rate_follows_its_base() -> None:
    base = np.full((1, 121), 300.0)
    counts = base * 0.2
    base[:, -1] = 900.0
    assert expect_rates(counts, base, np.ones_like(base, dtype=bool), 1).expected[0] == pytest.approx(180)
    assert expect_shortly(counts, base, np.ones_like(base, dtype=bool), 1)[0] == pytest.approx(180)


def test_the_usual_range_leaves_out_holes_and_flukes() -> None:
    counts = np.full((1, 181), 50.0)
    counts[:, 5], counts[:, 90], counts[:, 100] = 0.0, 500.0, 0.0
    usable = np.ones_like(counts, dtype=bool)
    usable[:, 100] = False
    low, high = usual_range(counts, usable, 1)
    assert (low[0], high[0]) == (50, 50)


def test_medians_and_sums_of_rows() -> None:
    rows = np.array([[1.0, np.nan, 3.0], [np.nan] * 3, [5.0, 1.0, 2.0]])
    assert np.array_equal(median(rows), [2.0, np.nan, 2.0], equal_nan=True)
    assert list(window_sum(np.array([[1.0, 2.0, 3.0]]), 2)) == [5.0]
