"""Earlier results and now: a figure is better or worse when it moved further than the rounds of either differ."""

from __future__ import annotations

from math import inf

import pytest
from rich.console import Console

from tests.speed.compare import (
    BETTER,
    ONE_ROUND,
    WITHIN_NOISE,
    WORSE,
    compare,
    compare_figure,
    remarks,
    show_comparison,
)
from tests.speed.results import Results

HERE = {"cores": 2, "model": "A CPU", "kernel": "6.1"}
PIXEL = "edge_us_per_pixel"


def results(name: str, *values: float, commit: str = "aaa") -> Results:
    return Results([{name: value} for value in values], HERE, commit, "2026-11-30T10:00:00+00:00")


def printed(before: Results, now: Results) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        show_comparison(console, before, now, "earlier.json")
    return capture.get()


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        ([100, 102, 98], [90, 91, 89], BETTER),
        ([100, 102, 98], [110, 111, 109], WORSE),
        ([100, 102, 98], [103, 104, 102], WITHIN_NOISE),
        ([100, 102, 98], [90, 80, 100], WITHIN_NOISE),
        ([100, 80, 120], [90, 91, 89], WITHIN_NOISE),
        ([100, 100, 100], [100.9, 100.9, 100.9], WITHIN_NOISE),
        ([100, 100, 100], [101.1, 101.1, 101.1], WORSE),
        ([100], [90, 91, 89], BETTER),
        ([100, 102, 98], [90], BETTER),
        ([100], [90], ONE_ROUND),
        ([100], [100], WITHIN_NOISE),
        ([0, 0], [0, 0], WITHIN_NOISE),
        ([0, 0], [3, 3], WORSE),
        ([0, 0, 2], [2, 2, 2], WITHIN_NOISE),
        ([1, 1], [inf, inf], WORSE),
        ([inf, inf], [1, 1], BETTER),
        ([inf, inf], [inf, inf], WITHIN_NOISE),
        ([1, 1, inf], [2, 2, 2], WITHIN_NOISE),
    ],
)
def test_less_is_better_only_beyond_the_noise(before: list[float], now: list[float], verdict: str) -> None:
    assert compare_figure(PIXEL, before, now, more=False).verdict == verdict


def test_where_more_is_better_the_same_move_is_worse() -> None:
    assert compare_figure("x", [100, 101], [90, 91], more=True).verdict == WORSE
    assert compare_figure("x", [100, 101], [110, 111], more=True).verdict == BETTER


def test_ratio_and_noise_are_shares_of_the_earlier_median() -> None:
    found = compare_figure(PIXEL, [100, 104, 96], [80, 81, 79], more=False)
    assert (found.before, found.now) == (100, 80)
    assert found.ratio == 0.8
    assert found.noise == 0.08


def test_one_bad_round_of_three_makes_no_verdict() -> None:
    assert compare_figure(PIXEL, [50, 50, 50], [49, 48, 70], more=False).verdict == WITHIN_NOISE


def test_only_figures_of_both_files_are_compared() -> None:
    before = Results([{PIXEL: 50.0, "edge_p99_ms": 9.0, "gone_figure": 1.0}], HERE)
    now = Results([{PIXEL: 40.0, "held_p99_ms": 9.0, "gone_figure": 2.0}], HERE)
    assert [one.name for one in compare(before, now)] == [PIXEL]


def test_the_comparison_shows_each_figure_with_its_ratio_and_noise() -> None:
    text = printed(results(PIXEL, 50, 51, 49), results(PIXEL, 40, 40, 40, commit="bbb"))
    (line,) = (line.split() for line in text.splitlines() if "server CPU a pixel" in line)
    assert [word for word in line if word != "│"][-6:] == ["50.00", "40.00", "0.80", "±", "4%", "better"]
    assert "1 better, 0 worse, 0 within noise, 0 noise unknown" in text


def test_a_detail_shows_only_when_it_changed() -> None:
    name = "cost_200_kafka_percent"
    assert "CPU of kafka" not in printed(results(name, 5, 6, 4), results(name, 5, 6, 5))
    assert "CPU of kafka" in printed(results(name, 5, 5, 5), results(name, 9, 9, 9))


def test_an_earlier_file_that_says_nothing_of_itself_is_compared_with_a_remark() -> None:
    before = Results([{PIXEL: 50.0}], {"cores": 2, "memory_gb": 8})
    (remark,) = remarks(before, results(PIXEL, 50))
    assert "does not say its commit, date, model, kernel" in remark


def test_another_machine_is_named() -> None:
    before = Results([{PIXEL: 50.0}], {**HERE, "model": "Another CPU"}, "bbb", "2026-11-29")
    (remark,) = remarks(before, results(PIXEL, 50))
    assert "another machine: model Another CPU, now A CPU" in remark


def test_two_files_without_a_common_figure_say_so() -> None:
    text = printed(results("edge_p99_ms", 5, commit="bbb"), results(PIXEL, 50))
    assert "no figure in common" in text


def test_figures_that_this_version_does_not_have_are_named() -> None:
    before = Results([{PIXEL: 50.0, "gone_figure": 1.0}], HERE, "bbb", "2026-11-29")
    (remark,) = remarks(before, results(PIXEL, 50))
    assert "gone_figure" in remark
