"""Every query that a page shows to analysts runs, as a reader may run it."""

from __future__ import annotations

import re

from schemas.clean_pack import CLEAN_PACK
from schemas.drops import DropReason
from sinks.warehouse.client import HttpWarehouse
from sinks.warehouse.container import splice
from tests.processes import REPO
from tests.sinks.packs import Chain, sighting_pack
from tests.sinks.server import ClickHouse

PAGES = ("clickhouse", "alerts")
QUERIES = [
    (page, query)
    for page in PAGES
    for query in re.findall(
        r"^```sql\n(.*?)^```", (REPO / "docs" / f"{page}.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
]


def test_the_page_for_analysts_shows_ten_queries() -> None:
    assert [page for page, _ in QUERIES].count("clickhouse") == 10


def test_every_shown_query_runs_without_a_password(warehouse: HttpWarehouse, clickhouse: ClickHouse) -> None:
    chain = Chain()
    packs = [chain.pack(20, drops=[DropReason.NO_CONSENT], refused=1), chain.pack(5), sighting_pack(chain)]
    warehouse.insert("runs", splice(CLEAN_PACK, packs), token="t")
    reader = HttpWarehouse(clickhouse.url, "", "")
    for page, query in QUERIES:
        rows = reader.rows(query)
        # Alerts are the watcher's; minutes of the last days have no rows of this fixed time.
        assert rows or page == "alerts" or "now()" in query, query
