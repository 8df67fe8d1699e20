"""Where to go on with a partition: the group's checkpoint is believed as far as `positions` bears it out (pure).

Anyone who may join the group may commit any offset with any checkpoint. `positions` is written after each intent and
before its insert, so of a true checkpoint only little can be newer: an intent whose insert has not begun, or the end
of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

from sinks.loader.block import Checkpoint
from sinks.loader.positions import Place

BLOCK_OFFSETS_MAX = 20_000  # from start to end; a block of ours has a quarter of it at most


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where to go on. doubt: what was committed and is not believed, as a reason with a meaning, or nothing."""

    start: int
    checkpoint: Checkpoint
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Committed:
    """What the group says. offset: None when it says nothing."""

    offset: int | None
    checkpoint: Checkpoint | None
    topic_id: str  # of the clean topic there is now
    high: int  # the log's end

    def doubt(self) -> str:
        """Why it cannot be true, whatever `positions` says; or nothing."""
        offset, checkpoint = self.offset, self.checkpoint
        if offset is None:
            return ""
        if offset > self.high:
            return "offset_beyond_end"
        if checkpoint is None:
            return "checkpoint_not_ours"
        if checkpoint.topic_id != self.topic_id:
            return "checkpoint_of_another_topic"
        if checkpoint.end is not None and not offset < checkpoint.end <= min(
            self.high, offset + BLOCK_OFFSETS_MAX
        ):
            return "checkpoint_impossible"
        return ""


DOUBT_MEANING = {
    "offset_beyond_end": "the group's offset lies behind the end of the clean log",
    "offset_moved": "the group's offset is not where the loader left it",
    "checkpoint_not_ours": "the group's offset carries no checkpoint of the loader",
    "checkpoint_of_another_topic": "the group's checkpoint speaks of a clean topic that is not this one",
    "checkpoint_impossible": "the group's checkpoint names a block that cannot be",
    "checkpoint_contradicts": "the group's checkpoint contradicts the table positions",
}


def follow(committed: Committed, place: Place) -> ResumePoint:
    """The way where `positions` knows the partition. A way with an offset behind `place.end` is to be looked at."""
    offset, checkpoint = committed.offset, committed.checkpoint
    doubt = committed.doubt()
    if not doubt and offset is not None and checkpoint is not None:
        doubt = _contradiction(offset, checkpoint, place)
        if not doubt:
            return ResumePoint(offset, checkpoint)
    return back_to(place, committed.topic_id, doubt)


def back_to(place: Place, topic_id: str, doubt: str) -> ResumePoint:
    """The way by `positions` alone: the newest block again, or on from where everything is loaded."""
    end = None if place.is_finished else place.end
    return ResumePoint(place.start, Checkpoint(topic_id, place.last, end, place.refused), doubt)


def _contradiction(offset: int, checkpoint: Checkpoint, place: Place) -> str:
    if offset == place.start:
        fits = checkpoint.last == place.last and (place.is_finished or checkpoint.end == place.end)
        return "" if fits else "checkpoint_contradicts"
    if offset < place.end:
        return "offset_moved"
    if place.is_finished:
        return "" if checkpoint.last == place.last else "checkpoint_contradicts"
    # A row of an older version does not say what its block ended with.
    return "" if place.after is None or checkpoint.last == place.after else "checkpoint_contradicts"
