"""A block: a range of offsets of one clean partition, judged by the rule of links; what is inserted under one token."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from schemas.avro_codec import PackError, Schema, find_schema
from schemas.clean_pack import (
    CLEAN_PACK,
    CLEAN_PACK_V1,
    CLEAN_PACK_VERSIONS,
    KEPT_SIZE,
    CleanHead,
    read_clean_head,
)
from schemas.drops import DeadReason
from schemas.links import Position, Verdict, is_accepted
from sinks.warehouse.container import splice


class Message(NamedTuple):
    """One message of the clean topic; timestamp in ms since 1970, by the broker's clock."""

    partition: int
    offset: int
    value: bytes
    timestamp_ms: int


class Fetch(NamedTuple):
    """Messages that were read together, as number so many of their loader. at: monotonic seconds, then or later."""

    number: int
    at: float


# Each version has its own, so that a block that was under way during an update meets the views it met before.
LANDING_TABLES = {CLEAN_PACK_V1.header: "packs", CLEAN_PACK.header: "runs"}
REFUSED_MAX = 100  # of one block: the checkpoint must hold them


@dataclass(frozen=True, slots=True)
class BlockLimits:
    """When a block is full, and how long it waits for more."""

    row_count_max: int = 100_000  # reached in a backlog alone: half as many parts to merge as at 50,000
    size_bytes_max: int = 40_000_000
    pack_count_max: int = 5_000
    # Between the ends of two blocks, so a lone hit does not wait here. An insert costs ClickHouse some 80 ms of CPU
    # (median on a busy machine) however little is in it, and its parts are merged later.
    gap_ms: int = 750


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What stands in the group's offset metadata beside the offset: the way back after a crash.

    last: the accepted pack before the offset. end: where the block that begins at the offset ends, when its insert may
    have begun; None when nothing is under way. refused: offsets in that block whose packs were refused; what Kafka said
    of them then it may not say again.
    """

    topic_id: str
    last: Position | None
    end: int | None = None
    refused: tuple[int, ...] = ()

    def encode(self) -> str:
        """Compact JSON, some 150 bytes, 2 kB with REFUSED_MAX refused packs; Kafka takes 4 kB."""
        data: dict[str, object] = {"topic": self.topic_id, "last": self.last, "end": self.end}
        if self.refused:
            data["refused"] = self.refused
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """The checkpoint, or None when there is none or it is not ours."""
        try:
            data = json.loads(text or "")
            last = (
                Position(str(data["last"][0]), int(data["last"][1]), str(data["last"][2]))
                if data["last"]
                else None
            )
            end = None if data["end"] is None else int(data["end"])
            return cls(str(data["topic"]), last, end, tuple(map(int, data.get("refused", ()))))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError):
            return None


Judge = Callable[[Position | None, CleanHead, Message], Verdict]


def judge_links(last: Position | None, head: CleanHead, message: Message) -> Verdict:
    """The half of the rule that asks nobody."""
    return Verdict.ACCEPTED if is_accepted(last, head.as_link) else Verdict.IGNORED


@dataclass(slots=True)
class Judged:
    """An accepted pack of a block, as it will be inserted."""

    message: Message
    head: CleanHead


@dataclass(slots=True)
class Block:
    """A range under construction: messages go in one by one, in order, each judged as it comes.

    end_fixed: the end an earlier try wrote down; the same range comes again, no more and no less.
    """

    topic_id: str
    partition: int
    start: int
    last_before: Position | None
    end_fixed: int | None = None
    refused_before: tuple[int, ...] = ()  # of a fixed range: what the first try refused
    end: int = 0
    last: Position | None = None
    schema: Schema | None = None
    accepted: list[Judged] = field(default_factory=list)
    broken: list[tuple[Message, DeadReason]] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)  # offsets
    ignored_count: int = 0
    row_count: int = 0
    size_bytes: int = 0
    open_link: bool = False  # the newest pack ahead of the last accepted one links to something not seen
    begun_at: float = 0.0  # monotonic seconds of the first message

    def __post_init__(self) -> None:
        self.end = self.start
        self.last = self.last_before

    @property
    def token(self) -> str:
        """What makes a repeated insert the same insert."""
        return f"{self.topic_id}/{self.partition}/{self.start}-{self.end}"

    @property
    def table(self) -> str:
        """Where its packs arrive."""
        assert self.schema is not None, "a block with accepted packs has their schema"
        return LANDING_TABLES[self.schema.header]

    @property
    def container(self) -> bytes:
        """The accepted packs as one Avro container."""
        assert self.schema is not None, "a container needs a pack"
        return splice(self.schema, [one.message.value for one in self.accepted])

    @property
    def checkpoint(self) -> Checkpoint:
        """The intent to insert this block."""
        return Checkpoint(self.topic_id, self.last_before, self.end, tuple(self.refused))

    def is_whole(self) -> bool:
        """Whether a fixed range is read to its end."""
        return self.end_fixed is not None and self.end >= self.end_fixed

    def takes(self, message: Message, limits: BlockLimits) -> bool:
        """Whether the message belongs into this block: inside its range, or written with its schema and not too much.

        A fixed range has no limit: it was cut by the limits of the loader that wrote its intent.
        """
        if self.end_fixed is not None:
            return message.offset < self.end_fixed
        header = message.value[:10]
        fits = self.schema is None or header == self.schema.header or header not in CLEAN_PACK_VERSIONS
        return fits and not self.is_full(limits)

    def add(self, message: Message, now: float, judge: Judge = judge_links) -> Verdict | None:
        """Judge the next message; what it is, None for bytes nobody can read. Nothing has changed when `judge` raises.

        Cost: 10-19 µs a pack, which is 0.04 µs an event in a full pack.
        """
        try:
            schema = find_schema(message.value, CLEAN_PACK_VERSIONS)
            head = read_clean_head(message.value)
        except PackError as error:
            self._pass(message, now)
            self.broken.append((message, error.reason))
            self.size_bytes += len(message.value)
            return None
        verdict = judge(self.last, head, message)
        self._pass(message, now)
        if verdict.is_refused:
            self.refused.append(message.offset)
        elif verdict is not Verdict.ACCEPTED:
            self.ignored_count += 1
            self.open_link = self.open_link or _is_ahead(self.last, head)
        else:
            self.last = head.this
            self.open_link = False
            self.schema = schema
            self.accepted.append(Judged(message, head))
            self.row_count += len(head.kept) // KEPT_SIZE
            self.size_bytes += len(message.value)
        return verdict

    def _pass(self, message: Message, now: float) -> None:
        if self.end == self.start:
            self.begun_at = now
        self.end = message.offset + 1

    def is_full(self, limits: BlockLimits) -> bool:
        """Whether the block must not grow; what comes next waits for the next one."""
        return (
            self.row_count >= limits.row_count_max
            or self.size_bytes >= limits.size_bytes_max
            or self.end - self.start >= limits.pack_count_max
            or len(self.refused) >= REFUSED_MAX
        )

    def put_dead(self, at: int, value: bytes) -> None:
        """Put `value`, a pack that only says it is dead, in the place of the pack at index `at` of `accepted`."""
        one = self.accepted[at]
        self.accepted[at] = replace(one, message=one.message._replace(value=value))


def _is_ahead(last: Position | None, head: CleanHead) -> bool:
    return last is None or head.this.topic_id != last.topic_id or head.this.offset > last.offset
