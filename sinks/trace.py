"""Ask ClickHouse what every station decided about one event, by its id."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from schemas.event import EVENT_ID_LENGTH_MAX
from schemas.identity import event_keys, shorten_event_id


class Database(Protocol):
    """What this needs of `sinks.warehouse`; raises WarehouseError."""

    def rows(self, sql: str, params: dict[str, str] | None = None) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known; `is_known` when any station has decided."""

    event_id: str
    stored: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    sightings: list[dict[str, Any]] = field(default_factory=list)
    progress: list[dict[str, Any]] = field(default_factory=list)
    drops_readable: bool = True  # without the identity secret nobody can look up a drop

    @property
    def is_known(self) -> bool:
        return bool(self.stored or self.dropped)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"known": self.is_known, **asdict(self)}


def trace_event(database: Database, event_id: str, site: str, secret: bytes) -> Trace:
    """Everything ClickHouse knows of an event. site "": any. secret: the identity secret, b"" when unreadable."""
    event_id = shorten_event_id(event_id, EVENT_ID_LENGTH_MAX)
    params = {"id": event_id, "site": site}
    dropped = _find_drops(database, event_id, site, secret) if secret else []
    return Trace(
        event_id,
        database.rows(STORED, params),
        dropped,
        database.rows(SIGHTINGS, params),
        database.rows(PROGRESS),
        drops_readable=bool(secret),
    )


def _find_drops(database: Database, event_id: str, site: str, secret: bytes) -> list[dict[str, Any]]:
    """A drop keeps a keyed hash of (site, name, id): each name the site has used is tried."""
    names = [(row["site"], row["name"]) for row in database.rows(NAMES, {"site": site})]
    if not names:
        return []
    sites, event_names = zip(*names, strict=True)
    keys = event_keys(secret, sites, event_names, [event_id] * len(names))
    return database.rows(DROPPED, {"keys": "[" + ",".join(f"'{key.hex()}'" for key in keys) + "]"})


_SITE = "(site = {site:String} OR {site:String} = '')"

# The accepted row says which pack of which edge brought the event, and when the edge answered for it.
_PACK = """LEFT JOIN
(
    SELECT origin_topic_id, origin_partition, origin_offset, lower(hex(any(pack_id))) AS pack
    FROM accepted GROUP BY origin_topic_id, origin_partition, origin_offset
) AS packs USING (origin_topic_id, origin_partition, origin_offset)"""

STORED = f"""
SELECT event_id, site, name, source, basis, is_bot, occurred_at, received_at, loaded_at,
       origin_partition, origin_offset, pack
FROM
(
    SELECT * FROM events
    WHERE {_SITE} AND (event_id = {{id:String}} OR
        (startsWith(event_id, concat({{id:String}}, '~')) AND length(event_id) = length({{id:String}}) + 9))
) AS found {_PACK} ORDER BY received_at LIMIT 100"""

DROPPED = f"""
SELECT site, name, source, reason, minute, loaded_at, origin_partition, origin_offset, pack
FROM
(
    SELECT * FROM drops WHERE key IN (SELECT toFixedString(unhex(arrayJoin({{keys:Array(String)}})), 16))
) AS found {_PACK} ORDER BY minute LIMIT 100"""

SIGHTINGS = f"""
SELECT site, name, source, trust, received_at, origin_partition, origin_offset
FROM sightings WHERE {_SITE} AND event_id = {{id:String}} ORDER BY received_at LIMIT 100"""

NAMES = f"""
SELECT DISTINCT toString(site) AS site, toString(name) AS name FROM drops_minute WHERE {_SITE} LIMIT 10000"""

PROGRESS = """
SELECT origin_partition, max(origin_offset) AS origin_offset, max(loaded_at) AS loaded_at
FROM progress GROUP BY origin_topic_id, origin_partition ORDER BY origin_partition"""
