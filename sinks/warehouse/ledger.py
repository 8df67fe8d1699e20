"""Ask ClickHouse whether accepted = kept + dropped + dead, and where it is not: site, minute, then pack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from runtime.clickhouse import Param

PLACES_MAX = 20  # minutes and packs that are named; the first of them are where to look
LOOKS_MAX = 4
LOOK_EVERY_S = 0.7  # a block reaches one table after another: only what stands at each look is a difference


class Database(Protocol):
    """What this needs of `sinks.warehouse`; raises WarehouseError."""

    def rows(self, sql: str, params: Mapping[str, Param] | None = None) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Report:
    """The ledger of some sites since some time; `is_equal` when every event is accounted for and every sum agrees."""

    totals: list[dict[str, Any]] = field(default_factory=list)  # a site each
    differences: list[dict[str, Any]] = field(
        default_factory=list
    )  # a site and minute of receipt each, with packs
    drops: list[dict[str, Any]] = field(
        default_factory=list
    )  # minutes whose list of drops is not what was counted
    rollups: list[dict[str, Any]] = field(
        default_factory=list
    )  # minutes of occurrence whose sums differ from the rows

    sealed: list[dict[str, Any]] = field(
        default_factory=list
    )  # packs that arrived otherwise than an edge sealed them

    @property
    def is_equal(self) -> bool:
        return not (self.differences or self.drops or self.rollups or self.sealed)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"equal": self.is_equal, **asdict(self)}


def read_ledger(database: Database, site: str, since: int, sleep: Callable[[float], None]) -> Report:
    """The report for a site ("": all) from `since` on (seconds since 1970; 0: from the beginning)."""
    params = {"site": site, "since": str(since)}
    totals = database.rows(TOTALS, params)
    refused_by = {row["site"]: row["refused_by"] for row in database.rows(REFUSED, params)}
    for one in totals:
        one["refused_by"] = refused_by.get(one["site"], {})
    differences = _standing(database, DIFFERENCES, params, ("site", "minute", "difference"), sleep)
    for one in differences:
        one["packs"] = database.rows(PACKS, {"site": one["site"], "minute": one["minute"]})
    return Report(
        totals,
        differences,
        _standing(database, DROPS, params, ("site", "minute", "reason", "listed", "counted"), sleep),
        _standing(database, ROLLUPS, params, ("site", "name", "minute", "hits", "value"), sleep),
    )


def _standing(
    database: Database, sql: str, params: dict[str, str], key: tuple[str, ...], sleep: Callable[[float], None]
) -> list[dict[str, Any]]:
    """The rows that come at every look."""
    found = {tuple(row[name] for name in key): row for row in database.rows(sql, params)}
    for _ in range(LOOKS_MAX - 1):
        if not found:
            break
        sleep(LOOK_EVERY_S)
        again = {tuple(row[name] for name in key) for row in database.rows(sql, params)}
        found = {place: row for place, row in found.items() if place in again}
    return list(found.values())[:PLACES_MAX]


_WHERE = "(site = {site:String} OR {site:String} = '') AND minute >= toDateTime({since:UInt32}, 'UTC')"

TOTALS = f"""
SELECT site, sum(accepted) AS accepted, sum(kept) AS kept, sumMap(dropped) AS dropped, sum(dead) AS dead,
       sum(refused) AS refused, sum(difference) AS difference
FROM ledger WHERE {_WHERE} GROUP BY site ORDER BY site"""

REFUSED = f"""
SELECT site, sumMap(map(reason, count)) AS refused_by FROM refusals WHERE {_WHERE} GROUP BY site"""

DIFFERENCES = f"""
SELECT site, minute, accepted, kept, dropped, dead, difference
FROM ledger WHERE {_WHERE} AND difference != 0 ORDER BY minute, site LIMIT 1000"""

# A pack that was dead and came again mended counts as what it became: the row without `dead` speaks.
PACKS = f"""
SELECT origin_partition AS partition, origin_offset AS offset, lower(hex(max(pack))) AS pack_id,
       sum(part_accepted) AS accepted, sum(part_kept) AS kept, sum(part_dropped) AS dropped, sum(part_dead) AS dead,
       toInt64(accepted) - toInt64(kept) - toInt64(dropped) - toInt64(dead) AS difference
FROM
(
    SELECT argMin(origin_topic_id, dead != '') AS topic_id,
           argMin(accepted.origin_partition, dead != '') AS origin_partition,
           argMin(accepted.origin_offset, dead != '') AS origin_offset, toString(pack_id) AS pack,
           toUInt64(max(count)) AS part_accepted, toUInt64(0) AS part_kept,
           toUInt64(argMin(accepted.dropped, dead != '')) AS part_dropped,
           if(min(dead != ''), part_accepted, 0) AS part_dead
    FROM accepted WHERE site = {{site:String}} AND minute = toDateTime({{minute:String}}, 'UTC') GROUP BY pack_id
    UNION ALL
    SELECT origin_topic_id, origin_partition, origin_offset, '', 0, count(), 0, 0
    FROM events
    WHERE site = {{site:String}} AND received_at >= toDateTime64({{minute:String}}, 3, 'UTC')
      AND received_at < toDateTime64({{minute:String}}, 3, 'UTC') + INTERVAL 1 MINUTE
    GROUP BY origin_topic_id, origin_partition, origin_offset
)
GROUP BY topic_id, origin_partition, origin_offset
HAVING difference != 0 ORDER BY partition, offset LIMIT {PLACES_MAX}"""

# drops keeps a week; a day less is compared, so that nothing on its way out is missed.
DROPS = f"""
SELECT site, minute, reason, sum(part_listed) AS listed, sum(part_counted) AS counted
FROM
(
    SELECT site, minute, toString(reason) AS reason, count() AS part_listed, toUInt64(0) AS part_counted
    FROM drops WHERE {_WHERE} AND minute >= now() - INTERVAL 6 DAY GROUP BY site, minute, reason
    UNION ALL
    SELECT site, minute, toString(reason), 0, sum(count)
    FROM drops_minute WHERE {_WHERE} AND minute >= now() - INTERVAL 6 DAY GROUP BY site, minute, reason
)
GROUP BY site, minute, reason HAVING listed != counted ORDER BY minute, site LIMIT 1000"""

ROLLUPS = f"""
SELECT site, name, minute, sum(part_hits) AS hits, sum(part_human) AS human, sum(part_uncertain) AS uncertain,
       sum(part_bots) AS bots, sum(part_value) AS value, sum(part_human_value) AS human_value
FROM
(
    SELECT site, name, kind, source, minute, currency,
           toInt64(sum(hits)) AS part_hits, toInt64(sum(human)) AS part_human,
           toInt64(sum(rollup_minute.uncertain)) AS part_uncertain, toInt64(sum(rollup_minute.bots)) AS part_bots,
           toDecimal128(sum(rollup_minute.value), 4) AS part_value,
           toDecimal128(sum(rollup_minute.human_value), 4) AS part_human_value
    FROM rollup_minute WHERE {_WHERE} GROUP BY site, name, kind, source, minute, currency
    UNION ALL
    SELECT site, name, kind, source, toStartOfMinute(occurred_at) AS minute, currency, -toInt64(count()),
           -toInt64(countIf(NOT is_bot)), -toInt64(countIf(NOT is_bot AND bot_score > 0)), -toInt64(countIf(is_bot)),
           -toDecimal128(sum(events.value), 4), -toDecimal128(sumIf(events.value, NOT is_bot), 4)
    FROM events WHERE {_WHERE} GROUP BY site, name, kind, source, minute, currency
)
GROUP BY site, name, kind, source, minute, currency
HAVING hits != 0 OR human != 0 OR uncertain != 0 OR bots != 0 OR value != 0 OR human_value != 0
ORDER BY minute, site, name LIMIT 1000"""
