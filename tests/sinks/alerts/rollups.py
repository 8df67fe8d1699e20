"""Minutes of traffic, written where the watcher reads them."""

from __future__ import annotations

import json

from sinks.warehouse.client import HttpWarehouse


def rollup(warehouse: HttpWarehouse, site: str, hits: list[tuple[str, str, str, int, int]]) -> None:
    """hits: name, kind, source, minute, human; bots and a second part for the same minute come with them."""
    rows = [
        {"site": site, "name": n, "kind": k, "source": s, "minute": m, "hits": h * 2, "human": h, "bots": h}
        for n, k, s, m, h in hits
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    warehouse.execute(
        f"INSERT INTO rollup_minute (site, name, kind, source, minute, hits, human, bots) FORMAT JSONEachRow\n{lines}"
    )
