"""Where to go on with a partition: what the group's note says is believed as far as `positions` bears it out (pure).

Anyone who may join the group may commit any offset with any note. `positions` is written after each intent and before
its insert, so of a true note only a little can be newer: an intent whose insert has not begun, or the end of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

from sinks.loader.block import Note
from sinks.loader.positions import Place

BLOCK_OFFSETS_MAX = 20_000  # from start to end; a block of ours has a quarter of it at most


@dataclass(frozen=True, slots=True)
class Way:
    """Where to go on. doubt: what was committed and is not believed, as a reason with a meaning, or nothing."""

    start: int
    note: Note
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Committed:
    """What the group says. offset: None when it says nothing."""

    offset: int | None
    note: Note | None
    topic_id: str  # of the clean topic there is now
    high: int  # the log's end

    def doubt(self) -> str:
        """Why it cannot be true, whatever `positions` says; or nothing."""
        offset, note = self.offset, self.note
        if offset is None:
            return ""
        if offset > self.high:
            return "offset_beyond_end"
        if note is None:
            return "note_not_ours"
        if note.topic_id != self.topic_id:
            return "note_of_another_topic"
        if note.end is not None and not offset < note.end <= min(self.high, offset + BLOCK_OFFSETS_MAX):
            return "note_impossible"
        return ""


DOUBT_MEANING = {
    "offset_beyond_end": "the group's offset lies behind the end of the clean log",
    "offset_moved": "the group's offset is not where the loader left it",
    "note_not_ours": "the group's offset carries no note of the loader",
    "note_of_another_topic": "the group's note speaks of a clean topic that is not this one",
    "note_impossible": "the group's note names a block that cannot be",
    "note_contradicts": "the group's note contradicts the table positions",
}


def follow(committed: Committed, place: Place) -> Way:
    """The way where `positions` knows the partition. A way with an offset behind `place.end` is to be looked at."""
    offset, note = committed.offset, committed.note
    doubt = committed.doubt()
    if not doubt and offset is not None and note is not None:
        doubt = _contradiction(offset, note, place)
        if not doubt:
            return Way(offset, note)
    return back_to(place, committed.topic_id, doubt)


def back_to(place: Place, topic_id: str, doubt: str) -> Way:
    """The way by `positions` alone: the newest block again, or on from where everything is loaded."""
    end = None if place.is_finished else place.end
    return Way(place.start, Note(topic_id, place.last, end, place.refused), doubt)


def _contradiction(offset: int, note: Note, place: Place) -> str:
    if offset == place.start:
        fits = note.last == place.last and (place.is_finished or note.end == place.end)
        return "" if fits else "note_contradicts"
    if offset < place.end:
        return "offset_moved"
    if place.is_finished:
        return "" if note.last == place.last else "note_contradicts"
    # A row of an older version does not say what its block ended with.
    return "" if place.after is None or note.last == place.after else "note_contradicts"
