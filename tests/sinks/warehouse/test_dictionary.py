"""Every column in which something of an event is kept is explained once, and so stands in the notice of each site."""

from __future__ import annotations

from schemas.dictionary.columns import COLUMNS, GROUPS
from sinks.warehouse.client import HttpWarehouse

# Tables in which nothing of an event is: what was applied, alerts (counts and sentences), and places in the logs.
OTHERS = ("migrations", "alert_state", "alerts", "positions")


def test_each_column_that_holds_something_of_an_event_is_explained_and_no_other(
    warehouse: HttpWarehouse,
) -> None:
    rows = warehouse.rows(
        "SELECT DISTINCT name FROM system.columns WHERE database = currentDatabase() AND table IN "
        "(SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree') "
        f"AND table NOT IN {OTHERS}"
    )
    assert {str(row["name"]) for row in rows} == set(COLUMNS)


def test_no_column_stands_in_two_groups() -> None:
    assert sum(len(group.columns) for group in GROUPS) == len(COLUMNS)
