"""The table of costs: what the load generator and the kernel's counters say becomes a row."""

from __future__ import annotations

import pytest
from rich.console import Console

from tests.speed.cost import row, tables
from tests.speed.goals import GOALS, goal_of, in_order
from tests.speed.loads import LOADS, PROGRAMS, Load, parse_loads

PERCENT = dict.fromkeys(PROGRAMS, 2.0) | {"supervisor": 9.0}
RESIDENT = dict.fromkeys(PROGRAMS, 50.0)
SENT = {
    "due": 1_010, "requests": 1_000, "failed": 3, "seconds": 10.0, "p50_ms": 4.0, "p99_ms": 9.0, "late_p99_ms": 1.0,
}  # fmt: skip


def test_a_load_is_named_by_its_rate_and_a_batch_by_its_events_too() -> None:
    assert [load.name for load in LOADS] == ["idle", "20", "200", "2000", "20x100", "150x100"]
    assert Load("batch", 150).title == "150 batches/s"


def test_loads_come_in_the_order_of_the_table_each_once() -> None:
    assert [load.name for load in parse_loads("200, idle,200")] == ["idle", "200"]


@pytest.mark.parametrize("text", ["", "idle,", "2001", "20X100", "all"])
def test_what_is_no_load_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no load; there are idle, 20, "):
        parse_loads(text)


def test_a_row_sums_up_the_programs_without_the_supervisor() -> None:
    found = row(Load("pixel", 200), PERCENT, RESIDENT, SENT)
    assert found["cost_200_cpu_percent"] == 12.0
    assert found["cost_200_supervisor_percent"] == 9.0
    assert found["cost_200_mb"] == 300.0


def test_the_cost_of_an_event_counts_what_was_answered_and_not_what_was_due() -> None:
    pixels, batches = (
        row(load, PERCENT, RESIDENT, SENT) for load in (Load("pixel", 101), Load("batch", 101))
    )
    assert pixels["cost_101_us_per_event"] == pytest.approx(0.12 * 1e6 / 100)
    assert batches["cost_101x100_us_per_event"] == pytest.approx(0.12 * 1e6 / 10_000)
    assert pixels["cost_101_unanswered"] == 10


def test_a_row_without_one_answer_is_a_row() -> None:
    found = row(Load("pixel", 20), PERCENT, RESIDENT, {**SENT, "requests": 0})
    assert found["cost_20_us_per_event"] == float("inf")
    assert found["cost_20_unanswered"] == 1_010


def test_an_idle_row_has_no_answers() -> None:
    found = row(Load("pixel", 0), PERCENT, RESIDENT, None)
    assert found["cost_idle_cpu_percent"] == 12.0
    assert not any("answered" in name or "us_per_event" in name for name in found)


def test_every_figure_of_a_row_has_a_name_in_the_goals() -> None:
    for load in LOADS:
        assert set(row(load, PERCENT, RESIDENT, SENT if load.per_second else None)) <= set(GOALS)


def test_the_table_has_a_column_for_each_load_that_was_measured() -> None:
    figures = row(Load("pixel", 0), PERCENT, RESIDENT, None) | row(
        Load("pixel", 200), PERCENT, RESIDENT, SENT
    )
    console = Console(width=100)
    with console.capture() as capture:
        for table in tables(figures | {"disk_bytes_per_event_events": 17.25, "disk_bytes_per_event": 20.0}):
            console.print(table)
    lines = [line.split() for line in capture.get().splitlines()]
    assert ["requests", "a", "second", "idle", "200"] in lines
    assert ["all", "12.00", "12.00"] in lines
    assert ["unanswered", "–", "10.00"] in lines
    assert ["│", "events", "│", "17.25", "│"] in lines


def test_without_a_row_there_is_no_table() -> None:
    assert tables({"edge_us_per_pixel": 30.0}) == []


def test_a_figure_that_nobody_knows_stands_behind_the_others() -> None:
    names = in_order(["zebra", "disk_bytes_per_event_events", "idle_resident_mb", "edge_us_per_pixel"])
    assert names == ["edge_us_per_pixel", "idle_resident_mb", "disk_bytes_per_event_events", "zebra"]
    assert goal_of("zebra").meaning == "zebra"


def test_a_goal_is_reached_from_its_own_side() -> None:
    assert GOALS["edge_us_per_pixel"].reached(33)
    assert not GOALS["edge_us_per_pixel"].reached(34)
    assert not GOALS["streams_events_per_second"].reached(34_000)
    assert GOALS["nginx_us_per_gif"].reached(1) is None
