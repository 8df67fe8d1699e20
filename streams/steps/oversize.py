"""Room in the clean pack: when it came out too large, its largest events are dropped and counted."""

from __future__ import annotations

from schemas.drops import DropReason
from streams.columns.batch import CleanBatch


def drop_oversize(batch: CleanBatch, excess: int = 0) -> CleanBatch:
    """Drop the largest events as oversize until about `excess` bytes are gone, one at least. 0: the pack has room."""
    if not excess:
        return batch
    nothing = [""] * len(
        batch
    )  # in the place of a column of defaults, as the paths of events without an address are
    columns = (batch.properties or nothing, batch.path or nothing, batch.event_id)
    sizes = [sum(map(len, texts)) for texts in zip(*columns, strict=True)]
    reasons: list[DropReason | None] = [None] * len(batch)
    for i in sorted(range(len(batch)), key=sizes.__getitem__, reverse=True):
        reasons[i] = DropReason.OVERSIZE
        excess -= max(sizes[i], 1)
        if excess <= 0:
            break
    return batch.drop(reasons)
