"""One writer's end of the clean log: what it follows, what it sent, how it notices that somebody else wrote (pure)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from schemas.clean_pack import CleanHead
from schemas.links import Origin, Position
from streams.decide import Place

Item = TypeVar("Item")


class Fenced(Exception):
    """A clean pack of ours does not lie directly behind the one before: somebody else wrote to the partition."""


@dataclass(frozen=True, slots=True)
class Sent(Generic[Item]):
    """A clean pack under way, with whatever its sender wants back when it is confirmed."""

    head: CleanHead
    item: Item


@dataclass(slots=True)
class Chain(Generic[Item]):
    """The state of one writer on one partition, from the recovery of the log to the first write that fences it.

    `last` counts packs under way as accepted: as long as they lie one behind the other they will be, and as soon as
    one does not, `confirm` raises and the chain is given up.
    """

    topic_id: str  # of the raw topic
    partition: int
    writer: str
    last: Position | None
    next_raw: int  # the raw offset to decide next
    next_clean: int  # the clean offset our next confirmed pack must have
    under_way: deque[Sent[Item]] = field(default_factory=deque)

    @property
    def confirmed_raw(self) -> int:
        """Raw offsets below this one are decided and their clean packs acknowledged."""
        return self.under_way[0].head.first if self.under_way else self.next_raw

    def place(self) -> Place:
        """Where the next clean pack stands."""
        return Place(Origin(self.topic_id, self.partition, self.next_raw), self.writer, self.last)

    def sent(self, head: CleanHead, item: Item) -> None:
        """A pack made for `place()` was handed to the producer."""
        self.under_way.append(Sent(head, item))
        self.last = head.this
        self.next_raw = head.origin.offset + 1

    def confirm(self, clean_offset: int) -> Sent[Item]:
        """The oldest pack under way lies at this offset. Raises Fenced; the chain must not be used after that."""
        if clean_offset != self.next_clean:
            raise Fenced(f"expected offset {self.next_clean}, found {clean_offset}")
        self.next_clean += 1
        return self.under_way.popleft()


def next_raw_after(last: Position | None, topic_id: str, raw_low: int) -> int:
    """Where to go on: behind the last accepted origin. The group's committed offset is a hint and not asked.

    With no accepted pack, or one from a topic that is no more, from the oldest message there is.
    """
    if last is None or last.topic_id != topic_id:
        return raw_low
    return max(last.offset + 1, raw_low)
