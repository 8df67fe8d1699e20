"""What every stage decided about one event, by its id: the questions to ClickHouse, and the answer in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from schemas.event import EVENT_ID_LENGTH_MAX
from schemas.identity import event_keys, keyed_hash, shorten_event_id, site_secret

KEYS_MAX = 1_000  # of one question: 41 kB in a field of a form, of which servers take 128 KiB


class Database(Protocol):
    """Somebody who asks ClickHouse; what it raises passes through."""

    def rows(
        self, sql: str, params: Mapping[str, str | Sequence[str]] | None = None
    ) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """One stage's word on one event."""

    stage: str  # edge, streams, loader or copies
    decision: str  # accepted, stored, dropped, loaded, counted or copy
    at: str  # UTC, as ClickHouse writes it; the minute where only that is kept; "" where nobody notes it
    text: str
    reason: str = ""  # of a drop, see drops.DropReason


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known; `is_known` when any stage has decided."""

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
    """Everything ClickHouse knows of an event. site "": any. secret: the identity secret, b"" when unreadable.

    An id that looks like a mail address or a number of somebody is stored as its keyed hash (streams/steps/names.py):
    that is looked up as well, where the site is known.
    """
    event_id = shorten_event_id(event_id, EVENT_ID_LENGTH_MAX)
    ids = [event_id]
    if site and secret and event_id:
        ids.append(keyed_hash(site_secret(secret, site), "event_id", event_id))
    params = {"ids": _digits([one.encode("utf-8", "surrogatepass") for one in ids]), "site": site}
    dropped = _find_drops(database, ids, site, secret) if secret else []
    return Trace(
        event_id,
        database.rows(STORED, params),
        dropped,
        database.rows(SIGHTINGS, params),
        database.rows(PROGRESS),
        drops_readable=bool(secret),
    )


def decisions(trace: Trace) -> list[Decision]:
    """The trace stage by stage, in the order of an event's way."""
    found: list[Decision] = []
    for row in trace.stored:
        bot = ", bot" if row["is_bot"] else ""
        found += [
            _accepted(row, row["received_at"], row["received_at"]),
            Decision(
                "streams",
                "stored",
                "",
                f"stored as {row['name']} of {row['site']} (id {row['event_id']}, {row['basis']}{bot}), "
                f"from {row['source']}",
            ),
            Decision(
                "loader",
                "loaded",
                row["loaded_at"],
                f"row in events since {row['loaded_at']}, by minute of occurrence {row['occurred_at'][:16]}",
            ),
        ]
    for row in trace.dropped:
        reason = row["reason"]
        found += [
            _accepted(row, row["minute"], f"{row['minute'][:16]} (minute)"),
            Decision(
                "streams",
                "dropped",
                "",
                f"dropped: {reason} ({row['name']} of {row['site']}, from {row['source']})",
                reason,
            ),
            Decision(
                "loader",
                "counted",
                row["loaded_at"],
                f"counted under {reason} since {row['loaded_at']}",
                reason,
            ),
        ]
    for row in trace.sightings:
        text = f"seen again at {row['received_at']}, from {row['source']} ({row['trust']})"
        found.append(Decision("copies", "copy", row["received_at"], text))
    return found


def _accepted(row: dict[str, Any], at: str, when: str) -> Decision:
    pack = f"pack {row['pack']}" if row["pack"] else "a pack that is not known"
    place = f"raw partition {row['origin_partition']}, offset {row['origin_offset']}"
    return Decision("edge", "accepted", at, f"accepted at {when} in {pack} ({place})")


def _find_drops(database: Database, ids: list[str], site: str, secret: bytes) -> list[dict[str, Any]]:
    """A drop keeps a keyed hash of (site, name, id): each name the site has used is tried."""
    names = [(row["site"], row["name"]) for row in database.rows(NAMES, {"site": site})]
    if not names:
        return []
    sites, event_names = zip(*names, strict=True)
    keys = [key for one in ids for key in event_keys(secret, sites, event_names, [one] * len(names))]
    return [
        row
        for start in range(0, len(keys), KEYS_MAX)
        for row in database.rows(DROPPED, {"keys": _digits(keys[start : start + KEYS_MAX]), "site": site})
    ]


def _digits(values: list[bytes]) -> list[str]:
    """A parameter of type Array(String), in hex digits: no text of a sender needs escaping."""
    return [value.hex() for value in values]


_IDS = "arrayMap(digits -> unhex(digits), {ids:Array(String)})"
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
    WHERE {_SITE} AND arrayExists(
        id -> event_id = id OR (startsWith(event_id, concat(id, '~')) AND length(event_id) = length(id) + 9),
        {_IDS})
) AS found {_PACK} ORDER BY received_at LIMIT 100"""

DROPPED = f"""
SELECT site, name, source, reason, minute, loaded_at, origin_partition, origin_offset, pack
FROM
(
    SELECT * FROM drops
    WHERE {_SITE} AND key IN (SELECT toFixedString(unhex(arrayJoin({{keys:Array(String)}})), 16))
) AS found {_PACK} ORDER BY minute LIMIT 100"""

SIGHTINGS = f"""
SELECT site, name, source, trust, received_at, origin_partition, origin_offset
FROM sightings WHERE {_SITE} AND has({_IDS}, event_id) ORDER BY received_at LIMIT 100"""

NAMES = f"""
SELECT DISTINCT toString(site) AS site, toString(name) AS name FROM drops_minute WHERE {_SITE} LIMIT 10000"""

PROGRESS = """
SELECT origin_partition, max(origin_offset) AS origin_offset, max(loaded_at) AS loaded_at
FROM progress GROUP BY origin_topic_id, origin_partition ORDER BY origin_partition"""
