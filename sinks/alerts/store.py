"""What the watcher asks of ClickHouse, and what it keeps there: the SQL, over the seam `sinks.warehouse`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from sinks.alerts.delivery.message import row_of
from sinks.alerts.memory import Memory, decode_memory, encode_memory
from sinks.alerts.rules import Finding, Transition
from sinks.alerts.season import DAYS, Day, as_day, day_span
from sinks.alerts.traffic import SeriesRow

# Opens alone can never raise an alert, so mail counts nowhere, not even in the base of a rate. Lines of server logs
# are left out too: they come when somebody imports them, so their end is no silence, and beside the pixel's own hits
# they would count the same visit twice.
WATCHED = "kind != 'mail' AND source != 'log' AND name != ''"
MEMORY_NAME = "watcher"
NAMES_MAX = 1_000  # of a site: a step takes 0.1 s and 20 MB for them, and twelve times both for ten thousand


class Database(Protocol):
    """What the store needs of `sinks.warehouse.HttpWarehouse`; each call raises WarehouseError."""

    def execute(self, sql: str, params: dict[str, str] | None = None) -> None: ...

    def rows(self, sql: str, params: dict[str, str] | None = None) -> list[dict[str, Any]]: ...


class Store:
    """The watcher's tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> Memory | None:
        """The newest memory, None at the very first start."""
        found = self._database.rows(
            "SELECT version, value FROM alert_state WHERE name = {name:String} ORDER BY version DESC LIMIT 1",
            {"name": MEMORY_NAME},
        )
        return decode_memory(found[0]["value"], int(found[0]["version"])) if found else None

    def version(self) -> int:
        """The version of the newest memory; 0: none."""
        found = self._database.rows(
            "SELECT max(version) AS version FROM alert_state WHERE name = {name:String}",
            {"name": MEMORY_NAME},
        )
        return int(found[0]["version"]) if found else 0

    def save(self, memory: Memory) -> None:
        """Write the memory as one row. The same version again changes nothing."""
        row = {"name": MEMORY_NAME, "version": memory.version, "value": encode_memory(memory)}
        self._insert("alert_state", [row])

    def store(self, transitions: Sequence[Transition]) -> None:
        """Write transitions, a row each; rows that stand there already are replaced by themselves."""
        if transitions:
            self._insert("alerts", [row_of(one) for one in transitions])

    def loaded(self) -> dict[tuple[str, int], int]:
        """Highest raw offset whose clean pack is loaded, by topic id and partition."""
        found = self._database.rows(
            "SELECT origin_topic_id AS topic, origin_partition AS part, max(origin_offset) AS loaded FROM progress "
            "GROUP BY topic, part"
        )
        return {(str(row["topic"]), int(row["part"])): int(row["loaded"]) for row in found}

    def traffic(self, first: int, last: int) -> list[SeriesRow]:
        """Human hits by site, name and minute from `first` to `last`, both included (seconds since 1970).

        One row a pair with two arrays, not one a minute: 1,000 pairs of 4 hours are 2 MB of JSON instead of 20.
        Anybody with a public key invents names: of each site NAMES_MAX are told apart, those of most minutes first;
        the others count as "", for their site alone.
        """
        of_span = f"minute BETWEEN {_moment(first)} AND {_moment(last)} AND {WATCHED}"
        found = self._database.rows(
            "WITH busiest AS ("
            " SELECT site, name FROM rollup_minute"
            f" WHERE {of_span} AND human > 0"
            " GROUP BY site, name ORDER BY uniqExact(minute) DESC, sum(human) DESC, name"
            f" LIMIT {NAMES_MAX} BY site"
            ") SELECT site, known AS name, groupArray(m) AS minutes, groupArray(h) AS humans, groupArray(p) AS pages"
            " FROM ("
            " SELECT site, if((site, name) IN busiest, name, '') AS known, toUnixTimestamp(minute) AS m,"
            " sum(human) AS h, sumIf(human, kind = 'page') AS p"
            " FROM rollup_minute"
            f" WHERE {of_span}"
            " GROUP BY site, known, minute HAVING h > 0"
            ") GROUP BY site, known",
        )
        return [(row["site"], row["name"], row["minutes"], row["humans"], row["pages"]) for row in found]

    def earlier_days(self, finding: Finding) -> list[Day]:
        """The same hours of earlier days, for days the site was already measured on."""
        spans = {back: day_span(finding, back) for back in DAYS}
        ranges = " OR ".join(
            f"minute >= {_moment(start)} AND minute < {_moment(end)}" for start, end in spans.values()
        )
        found = self._database.rows(
            "SELECT toUnixTimestamp(minute) AS m, sum(human) AS h FROM rollup_minute"
            " WHERE site = {site:String} AND ({name:String} = '' OR name = {name:String})"
            f" AND ({ranges}) AND {WATCHED}"
            " GROUP BY m",
            {"site": finding.site, "name": finding.subject},
        )
        hits = {int(row["m"]): int(row["h"]) for row in found}
        return [as_day(back, span, hits) for back, span in spans.items()]

    def _insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        lines = "\n".join(json.dumps(row, ensure_ascii=True) for row in rows)
        self._database.execute(f"INSERT INTO {table} SETTINGS async_insert = 0 FORMAT JSONEachRow\n{lines}")


def _moment(seconds: int) -> str:
    return f"toDateTime({seconds:d}, 'UTC')"
