"""One partition that is the loader's: the block it builds, and what it knows of the log around it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from schemas.bounds import Bounds
from sinks.loader.attempts import Attempts
from sinks.loader.block import Block
from sinks.loader.kafka.inbox import Inbox, InboxAway


@dataclass
class Part:
    """One partition that is ours."""

    block: Block
    bounds: Bounds
    attempts: Attempts
    done_at: float = 0.0  # monotonic seconds of the end of the last block
    busy: bool = False  # the last block was large
    uncommitted: bool = False  # the offset in the group lies behind
    unfinished_since: float | None = None  # since when `positions` speaks of a block that is loaded
    link_open_since: float | None = None
    link_logged: bool = False
    rewound_to: int = -1  # the offset last read again because messages seemed to be missing
    rewound_turn: int = -1  # when: what was fetched with them comes again, too
    there: tuple[int, float] = (0, 0.0)  # an end of the clean log, and when it was there

    def checkpoint_end(self, inbox: Inbox, now: float) -> None:
        """Many packs that must be waited for are waited for together."""
        with suppress(InboxAway):
            self.there = (inbox.bounds(self.block.partition)[1], now)

    def seen_at(self, offset: int, now: float) -> float:
        """When a message was there, as far as known; `now` is when it was read."""
        end, at = self.there
        return min(at, now) if offset < end else now
