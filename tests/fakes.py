"""In-memory stand-ins for the seams of sinks; all write into one `effects` list, and any effect may be the last."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import fastavro

from runtime.kafka import KafkaUnavailable
from schemas.bounds import RawEnds, RawMessage
from schemas.dead_letter import DeadLetter
from schemas.links import Origin
from sinks.loader.block import Message
from sinks.warehouse.client import BlockUnreadable, WarehouseAway

Effect = tuple[Any, ...]


class Killed(BaseException):
    """The process ends here; nothing in it may catch this."""


@dataclass
class Effects:
    """What was done to the outside world, in order. `fuse`: how many more effects happen before the process dies."""

    done: list[Effect] = field(default_factory=list)
    fuse: int | None = None

    def add(self, *effect: Any, apply: Callable[[], None] = lambda: None) -> None:
        """Do one effect, unless the fuse has burnt down: then die before it."""
        if self.fuse is not None:
            if self.fuse == 0:
                raise Killed
            self.fuse -= 1
        apply()
        self.done.append(effect)

    def names(self) -> list[str]:
        return [effect[0] for effect in self.done]


@dataclass
class FakeClock:
    """Seconds that pass when somebody waits, and a little at each look, so that no wait is endless."""

    now: float = 1_000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class FakeLog:
    """The clean topic and its group, as they outlive every process."""

    topic_id: str = "clean-1"
    messages: dict[int, list[bytes]] = field(default_factory=lambda: {0: []})
    first: dict[int, int] = field(default_factory=dict)  # offsets before it are gone
    committed: dict[int, tuple[int, str]] = field(default_factory=dict)
    owner: dict[int, object] = field(default_factory=dict)
    away: int = 0  # so many calls fail before the next works


@dataclass
class FakeRaw:
    """The raw topic: `offsets` are there, each written at its time in `times` (ms; 0 where it is not named)."""

    id: str = "raw-topic"
    end: int = 1_000_000
    first: int = 0
    times: dict[int, int] = field(default_factory=dict)
    values: dict[int, bytes] = field(default_factory=dict)
    away: int = 0  # so many questions fail before the next is answered
    asked: list[str] = field(default_factory=list)

    def topic_id(self) -> str:
        self._answer("topic_id")
        return self.id

    def ends(self, partition: int, time_ms: int, offset: int | None = None) -> RawEnds:
        """As the loader's reader answers it: without the end where nobody needs it."""
        self._answer("ends")
        later = [at for at, written_ms in self.times.items() if written_ms >= time_ms and at < self.end]
        then = min(later, default=self.end)
        is_enough = offset is not None and later and then > offset
        return RawEnds(then, None if is_enough else self.end)

    def first_at(self, partition: int, offset: int) -> RawMessage | None:
        self._answer("first_at")
        found = max(offset, self.first)
        time_ms, value = self.times.get(found, 0), self.values.get(found, b"")
        return RawMessage.of(found, time_ms, value) if found < self.end else None

    def _answer(self, question: str) -> None:
        self.asked.append(question)
        if self.away:
            self.away -= 1
            raise KafkaUnavailable("fake")


class FakeInbox:
    """One member of the group; whoever began last owns all partitions."""

    def __init__(self, log: FakeLog, effects: Effects, clock: FakeClock, *, batch: int = 100) -> None:
        self.log = log
        self.effects = effects
        self.clock = clock
        self.batch = batch
        self.at: dict[int, int] = {}
        self.held = False
        self.loader: Any = None

    @property
    def topic_id(self) -> str:
        return self.log.topic_id

    def begin(self, loader: Any) -> None:
        """Take all partitions, as a group does with its only living member."""
        self.loader = loader
        for partition in self.log.messages:
            self.log.owner[partition] = self
            offset, checkpoint = self.log.committed.get(partition, (None, ""))
            self.at[partition] = loader.on_assign(partition, offset, checkpoint)

    def poll(self, wait_s: float) -> list[Message]:
        self.clock.sleep(wait_s)
        if self.held:
            return []
        found = []
        for partition, messages in self.log.messages.items():
            at = max(self.at.get(partition, 0), self.log.first.get(partition, 0))
            for offset in range(at, min(at + self.batch, len(messages))):
                found.append(Message(partition, offset, messages[offset], 1_000 + offset))
            self.at[partition] = at + min(self.batch, max(0, len(messages) - at))
        return found

    def commit(self, partition: int, offset: int, checkpoint: str) -> bool:
        self._answer()
        if self.log.owner.get(partition) is not self:
            return False
        self.effects.add(
            "commit",
            partition,
            offset,
            checkpoint,
            apply=lambda: self.log.committed.update({partition: (offset, checkpoint)}),
        )
        return True

    def rewind(self, partition: int, offset: int) -> None:
        self.at[partition] = offset

    def pause(self) -> None:
        self.held = True

    def resume(self) -> None:
        self.held = False

    def bounds(self, partition: int) -> tuple[int, int]:
        return self.log.first.get(partition, 0), len(self.log.messages[partition])

    def read_log(self, partition: int, start: int = 0, end: int | None = None) -> Iterator[Message]:
        high = len(self.log.messages[partition])
        for offset in range(
            max(start, self.log.first.get(partition, 0)), min(high, high if end is None else end)
        ):
            yield Message(partition, offset, self.log.messages[partition][offset], 1_000 + offset)

    def _answer(self) -> None:
        if self.log.away:
            self.log.away -= 1
            raise KafkaUnavailable("fake")


@dataclass
class FakeWarehouse:
    """ClickHouse as the loader sees it: a token it knows changes nothing, and the same token means the same content."""

    effects: Effects
    containers: dict[str, bytes] = field(default_factory=dict)  # token -> first container
    records: list[dict[str, Any]] = field(default_factory=list)
    positions: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    away: int = 0  # so many inserts fail without an answer; each may have been stored or not
    stores_when_away: bool = False
    unreadable: Callable[[dict[str, Any]], bool] = lambda record: False
    too_heavy: Callable[[list[dict[str, Any]]], int] = lambda records: (
        -1
    )  # the code of its refusal; 0: no answer

    def insert(self, table: str, container: bytes, *, token: str) -> None:
        records = list(fastavro.reader(io.BytesIO(container)))
        if any(map(self.unreadable, records)):
            raise BlockUnreadable("fake", 117)
        self._weigh(records)
        if self.away:
            self.away -= 1
            if self.stores_when_away:
                self.effects.add("insert", table, token, apply=lambda: self._store(token, container, records))
            raise WarehouseAway("fake")
        self.effects.add("insert", table, token, apply=lambda: self._store(token, container, records))

    def _store(self, token: str, container: bytes, records: list[dict[str, Any]]) -> None:
        known = self.containers.setdefault(token, container)
        assert known == container, f"the token {token} came with other content"
        if known is container:
            self.records += records

    def check(self, table: str, container: bytes) -> None:
        records = list(fastavro.reader(io.BytesIO(container)))
        if any(map(self.unreadable, records)):
            raise BlockUnreadable("fake", 117)
        self._weigh(records)

    def _weigh(self, records: list[Any]) -> None:
        code = self.too_heavy(records)
        if code >= 0:
            raise WarehouseAway("fake", code)

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> None:
        assert sql.startswith("INSERT INTO positions")
        assert params is not None
        row = {
            "start_offset": int(params["start"]),
            "end_offset": int(params["end"]),
            "last_topic_id": params["last_topic_id"],
            "last_offset": int(params["last_offset"]),
            "last_writer": params["last_writer"],
            "after_topic_id": params["after_topic_id"],
            "after_offset": int(params["after_offset"]),
            "after_writer": params["after_writer"],
            "refused": params["refused"],
        }
        key = (params["group"], params["topic_id"], params["partition"])
        if key not in self.positions or self.positions[key]["start_offset"] <= row["start_offset"]:
            self.effects.add("position", row["start_offset"], apply=lambda: self.positions.update({key: row}))

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        assert params is not None
        row = self.positions.get((params["group"], params["topic_id"], params["partition"]))
        return [row] if row else []


@dataclass
class FakeDeadLetters:
    """The topic of dead letters."""

    effects: Effects
    dead_letters: list[DeadLetter] = field(default_factory=list)
    away: int = 0

    def send(self, dead_letter: DeadLetter) -> None:
        if self.away:
            self.away -= 1
            raise KafkaUnavailable("fake")
        self.effects.add(
            "letter", dead_letter.origin.offset, apply=lambda: self.dead_letters.append(dead_letter)
        )

    def has(self, origin: Origin, since_ms: int) -> bool:
        return any(dead_letter.origin == origin for dead_letter in self.dead_letters)
