"""What the loader did and refused, for metrics, health and the log; read by other threads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from runtime.logs import get_logger
from schemas.clean_pack import CleanHead
from schemas.links import REFUSAL_MEANING, Verdict
from sinks.loader.block import Block, Message
from sinks.loader.resume import DOUBT_MEANING, ResumePoint

LOG_EVERY_S: Final = 10.0  # one line for many blocks
REFUSED_TOLD_S: Final = 3_600.0  # how long health speaks of something refused
LINK_OPEN_S_MAX: Final = 60.0
WHO_WRITES: Final = "find out who else may write to events.clean.v1 and take that right away"
WHO_JOINS: Final = "find out who else may join the loader's group and take that right away"

log = get_logger()


@dataclass(slots=True)
class OpenLink:
    """A pack links to something that was not seen. since: monotonic seconds."""

    since: float
    is_told: bool = False

    def tell_if_old(self, block: Block, now: float) -> None:
        """Say it once, after LINK_OPEN_S_MAX; block: what is collected behind the last accepted pack."""
        if not self.is_told and now - self.since > LINK_OPEN_S_MAX:
            self.is_told = True
            last = block.last_before
            log.error(
                "link_open",
                partition=block.partition,
                last_accepted_offset=last.offset if last else None,
            )


@dataclass
class Tally:
    """Counts since the start."""

    blocks: Counter[str] = field(default_factory=Counter)  # inserted, repeated, empty, left
    packs: Counter[str] = field(default_factory=Counter)  # loaded, ignored, refused, dead
    row_count: int = 0
    problem: str = ""  # what the loader waits for now, or ""
    stuck: str = ""  # the block that ClickHouse does not take although it answers, or ""
    refused: Counter[str] = field(default_factory=Counter)  # by reason: packs, and offsets of the group
    refused_last: str = ""
    refused_at: float = 0.0
    logged_at: float = 0.0
    _logged: Counter[str] = field(default_factory=Counter)  # since the last line

    def count(self, block: Block) -> None:
        """A block that is done."""
        outcome = "empty" if not block.accepted else "repeated" if block.end_fixed is not None else "inserted"
        self.blocks[outcome] += 1
        self.packs["loaded"] += len(block.accepted)
        self.packs["ignored"] += block.ignored_count
        self.packs["refused"] += len(block.refused)
        self.packs["dead"] += len(block.broken)
        self.row_count += block.row_count
        self._logged.update(
            blocks=1, packs=len(block.accepted), rows=block.row_count, ignored=block.ignored_count
        )

    def log_blocks(self, at: float, *, now: bool = False) -> None:
        """Say what was loaded, every LOG_EVERY_S or now."""
        if self._logged and (now or at - self.logged_at >= LOG_EVERY_S):
            log.info("blocks_loaded", **self._logged)
            self._logged.clear()
            self.logged_at = at

    def refuse_pack(self, message: Message, head: CleanHead, verdict: Verdict, now: float) -> None:
        """A pack that no program of ours writes: named, counted, not loaded."""
        log.error(
            "clean_pack_refused",
            partition=message.partition,
            offset=message.offset,
            origin_offset=head.origin.offset,
            reason=str(verdict),
            advice=f"{REFUSAL_MEANING[verdict]}: {WHO_WRITES}, then run `fairpixel ledger`",
        )
        what = f"a clean pack at offset {message.offset} of partition {message.partition}"
        self._refuse(str(verdict), what, now)

    def refuse_batch(self, partition: int, start: int, end: int, now: float) -> None:
        """A batch that unpacks to more than a client takes at once: nobody can read it, so nothing follows from it."""
        what = f"a batch of partition {partition}, offsets {start} to {end - 1}"
        log.error(
            "clean_batch_refused",
            partition=partition,
            advice=f"passed over {what}: it unpacks to more than 100 MB; {WHO_WRITES}, then run `fairpixel ledger`",
        )
        self._refuse("batch_too_large", what, now)

    def refuse_offset(self, partition: int, offset: int | None, point: ResumePoint, now: float) -> None:
        """An offset or a checkpoint in the group that the loader did not write."""
        log.error(
            "group_offset_refused",
            partition=partition,
            offset=offset,
            reason=point.doubt,
            resumed_at=point.start,
            advice=f"{DOUBT_MEANING[point.doubt]}; the table positions is followed instead: {WHO_JOINS}",
        )
        self._refuse(point.doubt, f"the group's offset {offset} of partition {partition}", now)

    def name_stuck(self, block: Block, problem: str) -> None:
        """A block that ClickHouse does not take, and no pack of it is to blame."""
        where = f"the block {block.start}-{block.end} of partition {block.partition}"
        if not self.stuck:
            log.error(
                "block_refused",
                partition=block.partition,
                start=block.start,
                end=block.end,
                rows=block.row_count,
                size_bytes=block.size_bytes,
                reason=problem,
                advice="ClickHouse answers and does not take this block; look its code up in "
                "ClickHouse's log and end the cause (241: give it more memory, or end what else uses it). The block is "
                "tried until it is loaded; nothing is lost meanwhile",
            )
        self.stuck = f"ClickHouse does not take {where} ({problem}); the log says what to do"

    def refusal(self, now: float) -> str:
        """What was refused in the last hour, or nothing: somebody else writes where only we should."""
        told = self.refused_last and now - self.refused_at < REFUSED_TOLD_S
        return self.refused_last if told else ""

    def _refuse(self, reason: str, what: str, now: float) -> None:
        self.refused[reason] += 1
        self.refused_at = now
        self.refused_last = f"refused {what} ({reason}); the log says what to do"
