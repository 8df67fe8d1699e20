"""Which clean packs are accepted: one pure rule, used by streams and by the loader (design.md, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Origin(NamedTuple):
    """Where a message came from: the topic's id (a name may be created twice), partition and offset."""

    topic_id: str
    partition: int
    offset: int


class Position(NamedTuple):
    """An accepted clean pack, named by its origin in the raw topic and by who wrote it."""

    topic_id: str
    offset: int
    writer: str


class Link(NamedTuple):
    """What the rule needs to know of a clean pack: itself, and the accepted pack it says lies before it."""

    this: Position
    before: Position | None


def is_accepted(last: Position | None, pack: Link) -> bool:
    """True when `pack` continues the log after `last`, the accepted pack before it (None: nothing known).

    A pack is accepted when its link is the last accepted one. An empty link comes from a writer that found
    neither cache nor clean pack: it is accepted when its origin lies above the last one, so a second writer
    that started on the same empty log is not. Everything else is a repeat, a late writer, or follows a gap.
    """
    if pack.before is not None:
        return pack.before == last and _is_ahead(last, pack.this)
    if last is None:
        return True
    return pack.this.topic_id == last.topic_id and pack.this.offset > last.offset


def accept(last: Position | None, packs: Sequence[Link]) -> tuple[list[bool], Position | None]:
    """Apply the rule along a piece of log; returns one verdict a pack and the last accepted position."""
    verdicts = []
    for pack in packs:
        accepted = is_accepted(last, pack)
        verdicts.append(accepted)
        if accepted:
            last = pack.this
    return verdicts, last


def find_anchor(packs: Sequence[Link]) -> Position | None:
    """What lay before a log whose beginning is gone: the `last` to begin with when reading it from there.

    Several packs may link to something no longer there: one of the true chain, others of late writers. The true
    chain is the one that reaches the highest origin; of two that reach equally far, the one that began first.
    """
    there = {pack.this for pack in packs}
    ends: dict[Position | None, int] = {}
    for start in dict.fromkeys(pack.before for pack in packs if pack.before not in there):
        _, end = accept(start, packs)
        ends[start] = -1 if end is None or end == start else end.offset
    return max(ends, key=lambda start: ends[start]) if ends else None


def _is_ahead(last: Position | None, this: Position) -> bool:
    return last is None or this.topic_id != last.topic_id or this.offset > last.offset
