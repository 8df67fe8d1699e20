"""Clean packs: what may be kept of a run of raw packs; written by streams, read by the loader and by streams itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.avro_codec import (
    HEADER_SIZE,
    PackError,
    Schema,
    build_schema,
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

CLEAN_PACK_V1, CLEAN_PACK = load_schema("clean_pack.v1"), load_schema("clean_pack.v2")
CLEAN_PACK_VERSIONS = {schema.header: schema for schema in (CLEAN_PACK_V1, CLEAN_PACK)}
KEPT_SIZE = KEY_BYTES + 1 + FINGERPRINT_BYTES
ANSWERED_MAX = 1_000  # raw packs of one clean pack that a reader takes; a writer of ours stays far below

# One byte a source in `kept`; the order is part of the format.
SOURCES = ("", "pixel", "tag", "server", "email", "log", "direct", "import")
SOURCE_CODE = {name: bytes([code]) for code, name in enumerate(SOURCES)}

_NAMES = [one["name"] for one in CLEAN_PACK.declared["fields"]]
CLEAN_COLUMNS: tuple[str, ...] = tuple(_NAMES[_NAMES.index("event_id") : _NAMES.index("drop_key")])
SIGHTING_COLUMNS: tuple[str, ...] = tuple(name for name in _NAMES if name.startswith("sighting_"))
# The columns of every version as they are in a pack that has nothing to say there.
_NOTHING: dict[str, Any] = {
    one["name"]: ()
    for schema in CLEAN_PACK_VERSIONS.values()
    for one in schema.declared["fields"]
    if isinstance(one["type"], dict)
}


def _head_of(schema: Schema) -> Schema:
    fields = schema.declared["fields"]
    end = [one["name"] for one in fields].index("kept") + 1
    return build_schema(
        f"{schema.name} head", {**schema.declared, "name": "CleanHead", "fields": fields[:end]}
    )


_HEADS = {schema.header: _head_of(schema) for schema in CLEAN_PACK_VERSIONS.values()}


class Kept(NamedTuple):
    """What the deduplication store remembers of a stored event."""

    key: bytes  # 16 bytes
    source: int  # code in SOURCES
    fingerprint: bytes  # 8 bytes


class Answer(NamedTuple):
    """What became of one raw pack."""

    pack_id: str = ""  # hex digits; "" when nobody could read it
    edge: str = ""
    repeat: bool = False
    dead: str = ""
    accepted: tuple[Accepted, ...] = ()

    @property
    def is_stored(self) -> bool:
        """Whether the same pack, coming again, is a repeat of this one."""
        return bool(self.pack_id) and not self.dead and not self.repeat


@dataclass(frozen=True, slots=True)
class CleanHead:
    """The first part of a clean pack: enough to decide whether it is accepted and what it stored.

    origin: of the last raw message it answers. answers: one a raw message, in the order of their offsets, which lie
    one behind the other.
    """

    origin: Origin
    writer: str
    link: Position | None
    answers: tuple[Answer, ...] = (Answer(),)
    kept: bytes = b""

    @property
    def first(self) -> int:
        """The offset of the first raw message it answers."""
        return self.origin.offset - len(self.answers) + 1

    @property
    def this(self) -> Position:
        """How a later pack names this one in its link."""
        return Position(self.origin.topic_id, self.origin.offset, self.writer)

    @property
    def as_link(self) -> Link:
        """What the rule of `schemas.links` needs."""
        return Link(self.this, self.link, self.origin.partition, self.first)

    @property
    def accepted_count(self) -> int:
        """How many events the edges accepted in the raw packs it answers."""
        return sum(one.count for answer in self.answers for one in answer.accepted)

    def kept_entries(self) -> Iterator[Kept]:
        """The stored events' keys, in order."""
        for at in range(0, len(self.kept), KEPT_SIZE):
            entry = self.kept[at : at + KEPT_SIZE]
            yield Kept(entry[:KEY_BYTES], entry[KEY_BYTES], entry[KEY_BYTES + 1 :])


@dataclass(frozen=True, slots=True)
class CleanPack:
    """A whole clean pack. `columns` holds lists named as in CLEAN_COLUMNS, each `count` long, or empty for defaults.

    counts: how many of these events came in each raw pack, in the order of `head.answers`; () for all in the first.
    """

    head: CleanHead
    count: int = 0
    counts: Sequence[int] = ()
    rules_version: str = ""
    columns: dict[str, list[Any]] = field(default_factory=dict)
    drops: Sequence[Drop] = ()
    sightings: dict[str, list[Any]] = field(default_factory=dict)
    refusals: Sequence[Refusal] = ()


def encode_clean_pack(pack: CleanPack, schema: Schema = CLEAN_PACK) -> bytes:
    """Encode a pack; columns that are all defaults are written empty.

    schema: of CLEAN_PACK_VERSIONS, for what stands in the place of an older message; clean_pack.v1 has one answer.
    """
    head, answers = pack.head, pack.head.answers
    record: dict[str, Any] = {
        **_NOTHING,
        "origin_topic_id": head.origin.topic_id,
        "origin_partition": head.origin.partition,
        "origin_offset": head.origin.offset,
        "writer": head.writer,
        "link_topic_id": head.link.topic_id if head.link else "",
        "link_offset": head.link.offset if head.link else -1,
        "link_writer": head.link.writer if head.link else "",
        **(answers[0]._asdict() if schema is CLEAN_PACK_V1 else {}),
        "answered_pack_id": [one.pack_id for one in answers],
        "answered_edge": [one.edge for one in answers],
        "answered_repeat": [one.repeat for one in answers],
        "answered_dead": [one.dead for one in answers],
        "kept": head.kept,
        "count": pack.count,
        "rules_version": pack.rules_version,
        "answered_count": pack.counts or [pack.count, *[0] * (len(answers) - 1)],
        **{name: column for name, column in pack.columns.items() if any(column)},
        **pack.sightings,
    }
    if accepted := [(n, one) for n, answer in enumerate(answers) for one in answer.accepted]:
        record |= {
            "accepted_minute": [one.minute for _, one in accepted],
            "accepted_site": [one.site for _, one in accepted],
            "accepted_count": [one.count for _, one in accepted],
            "accepted_pack": [n for n, _ in accepted],
        }
    if pack.drops:
        record |= {
            "drop_key": [drop.key for drop in pack.drops],
            "drop_minute": [drop.minute for drop in pack.drops],
            "drop_site": [drop.site for drop in pack.drops],
            "drop_name": [drop.name for drop in pack.drops],
            "drop_source": [drop.source for drop in pack.drops],
            "drop_reason": [str(drop.reason) for drop in pack.drops],
            "drop_pack": [drop.pack for drop in pack.drops],
        }
    if pack.refusals:
        record |= {
            "refusal_minute": [one.minute for one in pack.refusals],
            "refusal_site": [one.site for one in pack.refusals],
            "refusal_reason": [one.reason for one in pack.refusals],
            "refusal_count": [one.count for one in pack.refusals],
        }
    return encode(schema, record)


def read_clean_head(message: bytes) -> CleanHead:
    """Read the head of a clean pack of any version and stop there. Raises PackError."""
    schema = find_schema(message, CLEAN_PACK_VERSIONS)
    record, _ = read_record(message, _HEADS[schema.header])
    return _build_head(record)


def decode_clean_pack(message: bytes) -> CleanPack:
    """Read a whole clean pack; for tools and for the loader's second look. Raises PackError."""
    record, _ = read_record(message, find_schema(message, CLEAN_PACK_VERSIONS))
    head, count = _build_head(record), record["count"]
    columns = {name: record[name] for name in CLEAN_COLUMNS}
    for name, column in columns.items():
        if len(column) not in (0, count):
            raise PackError(DeadReason.UNEVEN_COLUMNS, name)
    counts = record.get("answered_count", [count])
    if len(counts) != len(head.answers) or sum(counts) != count or min(counts) < 0:
        raise PackError(DeadReason.UNEVEN_COLUMNS, "answered_count")
    sightings = {name: record.get(name, []) for name in SIGHTING_COLUMNS}
    drops = [record[f"drop_{name}"] for name in ("key", "minute", "site", "name", "source", "reason")]
    drops.append(record.get("drop_pack") or [0] * len(drops[0]))
    refusals = [record[f"refusal_{name}"] for name in ("minute", "site", "reason", "count")]
    for name, of_one in (("drops", drops), ("refusals", refusals)):
        if len(set(map(len, of_one))) != 1:
            raise PackError(DeadReason.UNEVEN_COLUMNS, name)
    for places in (drops[-1], sightings["sighting_pack"]):
        if places and not 0 <= min(places) <= max(places) < len(head.answers):
            raise PackError(DeadReason.UNREADABLE, "drop_pack, sighting_pack")
    return CleanPack(
        head=head,
        count=count,
        counts=tuple(counts),
        rules_version=record["rules_version"],
        columns=columns,
        drops=[Drop(*values) for values in zip(*drops, strict=True)],
        sightings=sightings,
        refusals=[Refusal(*values) for values in zip(*refusals, strict=True)],
    )


def clean_body(message: bytes) -> bytes:
    """The Avro body without marker and fingerprint, as it goes into a container."""
    return message[HEADER_SIZE:]


def _build_head(record: dict[str, Any]) -> CleanHead:
    accepted = [record["accepted_minute"], record["accepted_site"], record["accepted_count"]]
    if len(set(map(len, accepted))) != 1 or len(record["kept"]) % KEPT_SIZE:
        raise PackError(DeadReason.UNEVEN_COLUMNS, "head")
    # As many as a raw pack may say: a million of them in 4 MB would be 100 MB of objects, for each pack of a block.
    if len(accepted[0]) > ACCEPTED_MAX:
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
        answers=_build_answers(record, list(map(Accepted, *accepted))),
        kept=record["kept"],
    )


def _build_answers(record: dict[str, Any], accepted: list[Accepted]) -> tuple[Answer, ...]:
    """The same of both versions; clean_pack.v1 answers one raw pack."""
    if "pack_id" in record:
        one = Answer(record["pack_id"], record["edge"], record["repeat"], record["dead"], tuple(accepted))
        return (one,)
    columns = [record[f"answered_{name}"] for name in ("pack_id", "edge", "repeat", "dead")]
    count, places = len(columns[0]), record["accepted_pack"]
    if len(set(map(len, columns))) != 1 or len(places) != len(accepted):
        raise PackError(DeadReason.UNEVEN_COLUMNS, "head")
    # One that names an offset before the first is read, so that the rule can refuse it by name.
    in_reach = 0 < count <= min(ANSWERED_MAX, max(1, record["origin_offset"] + 1))
    if not in_reach or (places and not 0 <= min(places) <= max(places) < count):
        raise PackError(DeadReason.UNREADABLE, "answered")
    of: list[list[Accepted]] = [[] for _ in range(count)]
    for place, counted in zip(places, accepted, strict=True):
        of[place].append(counted)
    return tuple(map(Answer, *columns, map(tuple, of)))
