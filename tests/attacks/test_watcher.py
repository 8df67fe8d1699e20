"""Against the watcher: anybody with a public key invents names of events, as many as the rates allow."""

from __future__ import annotations

import pytest

from sinks.alerts.rules import MINUTE
from sinks.alerts.store import Store
from sinks.alerts.traffic import build_traffic
from sinks.warehouse.client import HttpWarehouse
from tests.sinks.alerts.findings import NOON
from tests.sinks.alerts.rollups import rollup


def test_invented_names_beyond_a_number_count_for_their_site_alone(
    warehouse: HttpWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.alerts.store.NAMES_MAX", 2)
    steady = [("page_view", "page", "pixel", NOON + n * MINUTE, 10) for n in range(3)]
    steady += [("purchase", "purchase", "server", NOON + n * MINUTE, 1) for n in (0, 2)]
    invented = [(f"n{n}", "custom", "tag", NOON + MINUTE, 1_000) for n in range(50)]
    rollup(warehouse, "invented", [*steady, *invented])
    series_rows = [one for one in Store(warehouse).traffic(NOON, NOON + 2 * MINUTE) if one[0] == "invented"]
    assert {name: (minutes, hits) for _, name, minutes, hits, _ in series_rows} == {
        "page_view": ([NOON, NOON + MINUTE, NOON + 2 * MINUTE], [10, 10, 10]),
        "purchase": ([NOON, NOON + 2 * MINUTE], [1, 1]),
        "": ([NOON + MINUTE], [50_000]),
    }
    traffic = build_traffic(series_rows, NOON, NOON + 2 * MINUTE)
    assert traffic.series == (("invented", ""), ("invented", "page_view"), ("invented", "purchase"))
    assert traffic.counts[0].tolist() == [11, 50_010, 11]
