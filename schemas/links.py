"""Which clean packs are accepted: one pure rule, used by streams and by the loader (docs/delivery.md)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class Origin(NamedTuple):
    """Where a message came from: the topic's id (a name may be created twice), partition and offset."""

    topic_id: str
    partition: int
    offset: int


class Position(NamedTuple):
    """An accepted clean pack, named by the last raw message it answers and by who wrote it."""

    topic_id: str
    offset: int
    writer: str


class Link(NamedTuple):
    """What the rule needs to know of a clean pack: itself, and the accepted pack it says lies before it."""

    this: Position
    before: Position | None
    partition: int = -1  # of the raw messages; -1: not known, and not asked about
    first: int = -1  # offset of the first raw message it answers; -1: it answers `this` alone

    @property
    def begins(self) -> int:
        """The offset of the first raw message it answers."""
        return self.this.offset if self.first < 0 else self.first


class RawLog(NamedTuple):
    """What Kafka says of the raw partition a clean partition belongs to; a bound of what a clean pack may name."""

    topic_id: str  # of the raw topic there is now
    partition: int
    end: int  # raw messages below it were there when the clean pack was written
    next: (
        int  # where the first message behind the last accepted origin lies; others may have expired before it
    )


class Verdict(StrEnum):
    """What the rule says of a clean pack. Only an accepted one counts; the last four are no accident."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"  # a repeat, a late writer, or what follows a gap
    ORIGIN_AHEAD = "origin_ahead"
    ORIGIN_SKIPS = "origin_skips"
    ORIGIN_ELSEWHERE = "origin_elsewhere"
    REFUSED_BEFORE = "refused_before"

    @property
    def is_refused(self) -> bool:
        """True for a pack no program of ours writes: somebody else can write to the clean topic."""
        return self in REFUSAL_MEANING


REFUSAL_MEANING: dict[Verdict, str] = {
    Verdict.ORIGIN_AHEAD: "the pack names a raw message that was not there when it was written",
    Verdict.ORIGIN_SKIPS: "the pack passes over raw messages that are still there",
    Verdict.ORIGIN_ELSEWHERE: "the pack names a raw topic or partition that is not the one it lies behind",
    Verdict.REFUSED_BEFORE: "the pack was refused when its block was read first, and what is repeated is the same",
}


def judge(last: Position | None, pack: Link, raw: RawLog) -> Verdict:
    """The whole rule: `pack` continues the log after `last`, and answers raw messages from the one whose turn it is.

    Without the second half whoever can write one clean pack moves the log past messages that come later: these would
    be ignored for ever. A raw topic that is no more cannot be asked about: what its packs left behind in the clean log
    counts when it goes on message by message, and not any more once a pack of today's topic was accepted.
    """
    this = pack.this
    if this.offset < 0:
        return Verdict.ORIGIN_ELSEWHERE
    if not is_accepted(last, pack):
        return Verdict.IGNORED
    if pack.partition not in (-1, raw.partition):
        return Verdict.ORIGIN_ELSEWHERE
    if this.topic_id != raw.topic_id:
        if last is None:
            return Verdict.ACCEPTED
        if this.topic_id != last.topic_id:
            return Verdict.ORIGIN_ELSEWHERE
        return Verdict.ACCEPTED if pack.begins == last.offset + 1 else Verdict.ORIGIN_SKIPS
    if this.offset >= raw.end:
        return Verdict.ORIGIN_AHEAD
    return Verdict.ORIGIN_SKIPS if pack.begins > raw.next else Verdict.ACCEPTED


def is_accepted(last: Position | None, pack: Link) -> bool:
    """The half of the rule that needs the clean log alone: `pack` continues it after `last` (None: nothing known).

    A pack is accepted when its link is the last accepted one and all it answers lies behind that one's last raw
    message. An empty link comes from a writer that found neither cache nor clean pack: it is accepted when what it
    answers lies behind the last one, so a second writer that started on the same empty log is not. Everything else is a
    repeat, a late writer, or follows a gap.
    """
    if pack.before is not None:
        return pack.before == last and _is_ahead(last, pack)
    if last is None:
        return True
    return pack.this.topic_id == last.topic_id and pack.begins > last.offset


def accept(last: Position | None, packs: Sequence[Link]) -> tuple[list[bool], Position | None]:
    """Apply the rule along a piece of log; returns one verdict a pack and the last accepted position."""
    verdicts = []
    for pack in packs:
        accepted = is_accepted(last, pack)
        verdicts.append(accepted)
        if accepted:
            last = pack.this
    return verdicts, last


CHAIN_LENGTH_SURE = 100  # more than any late writer had under way


def find_anchor(packs: Sequence[Link], raw: RawLog | None = None) -> Position | None:
    """What lay before a log whose beginning is gone: the `last` to begin with when reading it from there.

    Several packs may link to something no longer there: one of the true chain, others of late writers or of nobody we
    know. The true chain is the one that reaches the highest origin, of those that are not far shorter than another; of
    two that reach equally far, the one that began first. `raw`: packs it shows to be impossible are left out.
    """
    if raw is not None:
        packs = [pack for pack in packs if _is_possible(pack, raw)]
    there = {pack.this for pack in packs}
    ends: dict[Position | None, int] = {}
    lengths: dict[Position | None, int] = {}
    for start in dict.fromkeys(pack.before for pack in packs if pack.before not in there):
        verdicts, end = accept(start, packs)
        ends[start] = -1 if end is None or end == start else end.offset
        lengths[start] = sum(verdicts)
    longest = max(lengths.values(), default=0)
    if longest > CHAIN_LENGTH_SURE:
        ends = {start: end for start, end in ends.items() if lengths[start] * 2 >= longest}
    return max(ends, key=lambda start: ends[start]) if ends else None


def _is_possible(pack: Link, raw: RawLog) -> bool:
    this = pack.this
    here = this.offset >= 0 and pack.partition in (-1, raw.partition)
    return here and (this.topic_id != raw.topic_id or this.offset < raw.end)


def _is_ahead(last: Position | None, pack: Link) -> bool:
    return last is None or pack.this.topic_id != last.topic_id or pack.begins > last.offset
