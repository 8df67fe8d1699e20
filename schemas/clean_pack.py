"""Clean packs: what may be kept of one raw pack; written by streams, read by the loader and by streams itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.avro_codec import (
    HEADER_SIZE,
    PackError,
    build_schema,
    decode,
    encode,
    find_schema,
    load_schema,
    read_record,
)
from schemas.drops import DeadReason
from schemas.event import Drop
from schemas.identity import FINGERPRINT_BYTES, KEY_BYTES
from schemas.links import Link, Origin, Position
from schemas.pack import Refusal
from schemas.seal import ACCEPTED_MAX, Accepted

CLEAN_PACK = load_schema("clean_pack.v1")
CLEAN_PACK_VERSIONS = {CLEAN_PACK.header: CLEAN_PACK}
KEPT_SIZE = KEY_BYTES + 1 + FINGERPRINT_BYTES

# One byte a source in `kept`; the order is part of the format.
SOURCES = ("", "pixel", "tag", "server", "email", "log", "direct", "import")
SOURCE_CODE = {name: bytes([code]) for code, name in enumerate(SOURCES)}

_NAMES = [one["name"] for one in CLEAN_PACK.declared["fields"]]
HEAD_FIELDS: tuple[str, ...] = tuple(_NAMES[: _NAMES.index("kept") + 1])
CLEAN_COLUMNS: tuple[str, ...] = tuple(_NAMES[_NAMES.index("rules_version") + 1 : _NAMES.index("drop_key")])
SIGHTING_COLUMNS: tuple[str, ...] = tuple(name for name in _NAMES if name.startswith("sighting_"))
_HEADS = {
    schema.header: build_schema(
        f"{schema.name} head",
        {**schema.declared, "name": "CleanHead", "fields": schema.declared["fields"][: len(HEAD_FIELDS)]},
    )
    for schema in CLEAN_PACK_VERSIONS.values()
}


class Kept(NamedTuple):
    """What the deduplication store remembers of a stored event."""

    key: bytes  # 16 bytes
    source: int  # code in SOURCES
    fingerprint: bytes  # 8 bytes


@dataclass(frozen=True, slots=True)
class CleanHead:
    """The first part of a clean pack: enough to decide whether it is accepted and what it stored."""

    origin: Origin
    writer: str
    link: Position | None
    pack_id: str = ""  # hex digits
    edge: str = ""
    repeat: bool = False
    dead: str = ""
    accepted: tuple[Accepted, ...] = ()
    kept: bytes = b""

    @property
    def this(self) -> Position:
        """How a later pack names this one in its link."""
        return Position(self.origin.topic_id, self.origin.offset, self.writer)

    @property
    def as_link(self) -> Link:
        """What the rule of `schemas.links` needs."""
        return Link(self.this, self.link, self.origin.partition)

    def kept_entries(self) -> Iterator[Kept]:
        """The stored events' keys, in order."""
        for at in range(0, len(self.kept), KEPT_SIZE):
            entry = self.kept[at : at + KEPT_SIZE]
            yield Kept(entry[:KEY_BYTES], entry[KEY_BYTES], entry[KEY_BYTES + 1 :])


@dataclass(frozen=True, slots=True)
class CleanPack:
    """A whole clean pack. `columns` holds lists named as in CLEAN_COLUMNS, each `count` long, or empty for defaults."""

    head: CleanHead
    count: int = 0
    rules_version: str = ""
    columns: dict[str, list[Any]] = field(default_factory=dict)
    drops: Sequence[Drop] = ()
    sightings: dict[str, list[Any]] = field(default_factory=dict)
    refusals: Sequence[Refusal] = ()


def encode_clean_pack(pack: CleanPack) -> bytes:
    """Encode a pack; columns that are all defaults are written empty."""
    head = pack.head
    record: dict[str, Any] = {
        "origin_topic_id": head.origin.topic_id,
        "origin_partition": head.origin.partition,
        "origin_offset": head.origin.offset,
        "writer": head.writer,
        "link_topic_id": head.link.topic_id if head.link else "",
        "link_offset": head.link.offset if head.link else -1,
        "link_writer": head.link.writer if head.link else "",
        "pack_id": head.pack_id,
        "edge": head.edge,
        "repeat": head.repeat,
        "dead": head.dead,
        "accepted_minute": [one.minute for one in head.accepted],
        "accepted_site": [one.site for one in head.accepted],
        "accepted_count": [one.count for one in head.accepted],
        "kept": head.kept,
        "count": pack.count,
        "rules_version": pack.rules_version,
        "drop_key": [drop.key for drop in pack.drops],
        "drop_minute": [drop.minute for drop in pack.drops],
        "drop_site": [drop.site for drop in pack.drops],
        "drop_name": [drop.name for drop in pack.drops],
        "drop_source": [drop.source for drop in pack.drops],
        "drop_reason": [str(drop.reason) for drop in pack.drops],
        "refusal_minute": [one.minute for one in pack.refusals],
        "refusal_site": [one.site for one in pack.refusals],
        "refusal_reason": [one.reason for one in pack.refusals],
        "refusal_count": [one.count for one in pack.refusals],
    }
    for name in CLEAN_COLUMNS:
        column = pack.columns.get(name, ())
        record[name] = column if any(column) else ()
    for name in SIGHTING_COLUMNS:
        record[name] = pack.sightings.get(name, ())
    return encode(CLEAN_PACK, record)


def read_clean_head(message: bytes) -> CleanHead:
    """Read the head of a clean pack of any version and stop there. Raises PackError."""
    schema = find_schema(message, CLEAN_PACK_VERSIONS)
    record, _ = read_record(message, _HEADS[schema.header])
    return _build_head(record)


def decode_clean_pack(message: bytes) -> CleanPack:
    """Read a whole clean pack; for tools and for the loader's second look. Raises PackError."""
    record = decode(message, CLEAN_PACK_VERSIONS, CLEAN_PACK)
    count = record["count"]
    columns = {name: record[name] for name in CLEAN_COLUMNS}
    for name, column in columns.items():
        if len(column) not in (0, count):
            raise PackError(DeadReason.UNEVEN_COLUMNS, name)
    drops = ("drop_key", "drop_minute", "drop_site", "drop_name", "drop_source", "drop_reason")
    refusals = ("refusal_minute", "refusal_site", "refusal_reason", "refusal_count")
    for names in (drops, refusals):
        if len({len(record[name]) for name in names}) != 1:
            raise PackError(DeadReason.UNEVEN_COLUMNS, names[0])
    return CleanPack(
        head=_build_head(record),
        count=count,
        rules_version=record["rules_version"],
        columns=columns,
        drops=[Drop(*values) for values in zip(*(record[name] for name in drops), strict=True)],
        sightings={name: record[name] for name in SIGHTING_COLUMNS},
        refusals=[Refusal(*values) for values in zip(*(record[name] for name in refusals), strict=True)],
    )


def clean_body(message: bytes) -> bytes:
    """The Avro body without marker and fingerprint, as it goes into a container."""
    return message[HEADER_SIZE:]


def _build_head(record: dict[str, Any]) -> CleanHead:
    accepted = (record["accepted_minute"], record["accepted_site"], record["accepted_count"])
    if len({len(column) for column in accepted}) != 1 or len(record["kept"]) % KEPT_SIZE:
        raise PackError(DeadReason.UNEVEN_COLUMNS, "head")
    # As many as a raw pack may say: a million of them in 4 MB would be 100 MB of objects, for each pack of a block.
    if len(record["accepted_minute"]) > ACCEPTED_MAX:
        raise PackError(DeadReason.UNREADABLE, "accepted")
    link = (
        Position(record["link_topic_id"], record["link_offset"], record["link_writer"])
        if record["link_writer"]
        else None
    )
    return CleanHead(
        origin=Origin(record["origin_topic_id"], record["origin_partition"], record["origin_offset"]),
        writer=record["writer"],
        link=link,
        pack_id=record["pack_id"],
        edge=record["edge"],
        repeat=record["repeat"],
        dead=record["dead"],
        accepted=tuple(map(Accepted, *accepted)),
        kept=record["kept"],
    )
