"""Read, intend, insert, commit: every accepted clean pack reaches ClickHouse once, whatever dies in between.

docs/delivery.md, border 5. The order of effects is the promise: the intent stands in the group (and in `positions`)
before the insert begins, and nothing of a later block is written before the insert is acknowledged. So whoever finds an
intent repeats exactly that block under the same token, and ClickHouse ignores what it has already.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Final, TypeVar

from runtime.logs import get_logger
from schemas.avro_codec import PackError
from schemas.bounds import Bounds, RawReader, TooEarly
from schemas.clean_pack import CleanHead, read_clean_head
from schemas.dead_letter import DeadLetter
from schemas.drops import DeadReason
from schemas.links import Origin, Position, Verdict
from schemas.topics import CLEAN
from sinks.loader.attempts import ATTEMPTS_MAX, Attempts, Unblamed
from sinks.loader.block import Block, BlockLimits, Checkpoint, Message, judge_links
from sinks.loader.examine import Examiner, say_dead
from sinks.loader.kafka.dead_letters import DeadLetters
from sinks.loader.kafka.inbox import Inbox, InboxAway, InboxBroken
from sinks.loader.part import Part
from sinks.loader.positions import write_finished, write_position
from sinks.loader.recovery import Recovery
from sinks.loader.tally import Tally
from sinks.warehouse.client import (
    SCHEMA_MISSING_CODES,
    BlockUnreadable,
    Warehouse,
    WarehouseAway,
    WarehouseError,
)

# An insert begins within this time of its intent, or the intent is written again.
INTENT_AGE_S_MAX: Final = 30.0
LINK_OPEN_S_MAX: Final = 60.0
IDLE_COMMIT_S: Final = 1.0
PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)  # between tries while something is away; the last one repeats
FINISHED_S: Final = 60.0  # of quiet; then `positions` says that nothing is under way
REFUSALS_MAX: Final = 3  # of one block, by a ClickHouse that answers; then its packs are looked at
LEFT_S_MAX: Final = 30.0  # how long a partition may stay without an owner after a refused commit
ASK_TRIES_MAX: Final = 30  # 1 s apart; then the process ends and begins anew

_T = TypeVar("_T")

log = get_logger()


class LostPartition(Exception):
    """Somebody else has the partition now: what was under way is theirs to repeat."""


class Loader:
    """Loads every partition it is given. One thread; `tally`, `next_offsets` and `link_open_s` are for others too."""

    def __init__(
        self,
        inbox: Inbox,
        warehouse: Warehouse,
        dead_letters: DeadLetters,
        raw: RawReader,
        *,
        group: str,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        limits: BlockLimits | None = None,
        folder: Path | None = None,
    ) -> None:
        """folder: where it is written down what is under way; without it nothing is ever called poisonous."""
        self._inbox = inbox
        self._warehouse = warehouse
        self._dead_letters = dead_letters
        self._raw = raw
        self._group = group
        self._clock = clock
        self._sleep = sleep
        self._limits = limits or BlockLimits()
        self._folder = folder
        self._examiner = Examiner(warehouse, self._turn)
        self._parts: dict[int, Part] = {}
        self._left_at: dict[
            int, float
        ] = {}  # partitions whose commit was refused, until the group says what follows
        self._holding = False
        self._waiting: list[Message] = []  # arrived while a block was being delivered
        self._seen_at = clock()  # when the messages at hand were read, or later
        self.tally = Tally(logged_at=clock())
        self._recovery = Recovery(inbox, warehouse, group, clock, self._ask, self._turn)
        self.turns = 0  # grows from call to call: a thread that hangs in one is seen by it
        self._inserting = False
        self._fetches = 0

    # What the inbox tells.

    def on_assign(self, partition: int, offset: int | None, checkpoint: str) -> int:
        """Find the way back: `positions` and the group's checkpoint, else the beginning of the log."""
        if partition in self._parts:
            self._parts[partition].attempts.close()
        attempts = Attempts(
            self._folder and self._folder / str(partition),
            f"{self._group}/{self._inbox.topic_id}/{partition}",
        )
        bounds = Bounds(Unblamed(self._raw, attempts), partition, self._clock)
        point = self._recovery.find(partition, offset, Checkpoint.parse(checkpoint), bounds, attempts)
        if point.doubt:
            self.tally.refuse_offset(partition, offset, point, self._clock())
        start = self._still_there(partition, point.start)
        fixed = point.checkpoint.end if start == point.start else None
        block = Block(
            self._inbox.topic_id,
            partition,
            start,
            point.checkpoint.last,
            fixed,
            point.checkpoint.refused if fixed else (),
        )
        if block.is_whole():
            block.end_fixed = None
        self._parts[partition] = Part(block, bounds, attempts, unfinished_since=self._clock())
        self._left_at.pop(partition, None)
        log.info("partition_assigned", partition=partition, offset=start, repeat_until=block.end_fixed)
        return start

    def pass_over(self, partition: int, start: int, end: int) -> None:
        """A batch that cannot be read is no pack of ours: named, and passed."""
        self.tally.refuse_batch(partition, start, end, self._clock())

    def on_revoke(self, partition: int, *, still_ours: bool) -> None:
        """Let go; a last commit spares the next owner the repeat of a finished block."""
        part = self._parts.get(partition)
        if part is not None and still_ours:
            with suppress(InboxAway):  # otherwise the next owner repeats the block; its token is known
                self._commit_end(part)
        if part is not None:
            part.attempts.close()
        self._parts.pop(partition, None)
        self._left_at.pop(partition, None)
        log.info("partition_revoked", partition=partition)

    # The loop.

    def step(self, wait_s_max: float = 0.1) -> None:
        """Read what is there, load each block that is due, and commit what is finished when nothing comes."""
        self.turns += 1
        arrived, self._waiting = self._waiting, []
        arrived += self._inbox.poll(0.0 if arrived else self._wait_s(wait_s_max))
        self._seen_at = self._clock()
        self._fetches += 1
        for message in arrived:
            self._take(message)
        for part in list(self._parts.values()):
            if self._is_due(part):
                self._load(part)
            elif part.uncommitted and self._clock() - part.done_at > IDLE_COMMIT_S:
                self._try_commit_end(part)
            elif part.unfinished_since is not None and self._clock() - part.unfinished_since > FINISHED_S:
                self._try_write_finished(part)
            self._watch_link(part)
        self.tally.log_blocks(self._clock())
        if self._left_at and self._clock() - min(self._left_at.values()) > LEFT_S_MAX:
            raise InboxBroken("the group refused a commit and never said who owns the partition")

    def finish(self) -> None:
        """Load what was read already, so that little is left to whoever follows."""
        for part in list(self._parts.values()):
            if part.block.end > part.block.start and (part.block.end_fixed is None or part.block.is_whole()):
                self._load(part)
        for part in list(self._parts.values()):
            self._try_commit_end(part)
        self.tally.log_blocks(self._clock(), now=True)

    @property
    def next_offsets(self) -> dict[int, int]:
        """For each partition the first offset that is not loaded."""
        return {partition: part.block.start for partition, part in list(self._parts.items())}

    @property
    def waits(self) -> bool:
        """Whether the loader knows what it waits for: Kafka, or ClickHouse, which has its own time limit."""
        return self._inserting or bool(self.tally.problem)

    @property
    def link_open_s(self) -> float:
        """Age in seconds of the oldest pack that waits for the one it links to; 0 when none does."""
        since = [
            part.link_open_since for part in list(self._parts.values()) if part.link_open_since is not None
        ]
        return self._clock() - min(since) if since else 0.0

    def _wait_s(self, wait_s_max: float) -> float:
        due = [
            self._due_at(part) - self._clock()
            for part in self._parts.values()
            if part.block.end > part.block.start
        ]
        return max(0.0, min([wait_s_max, *due]))

    def _due_at(self, part: Part) -> float:
        gap_ms = self._limits.gap_busy_ms if part.busy else self._limits.gap_ms
        return part.done_at + gap_ms / 1_000

    def _is_due(self, part: Part) -> bool:
        block = part.block
        if block.end == block.start:
            return False
        if block.end_fixed is not None:
            return block.is_whole()
        return block.is_full(self._limits) or self._clock() >= self._due_at(part)

    def _take(self, message: Message) -> None:
        part = self._parts.get(message.partition)
        if part is None or message.offset < part.block.end or part.rewound_turn == self._fetches:
            return  # not ours any more, or seen already, or it comes again
        if message.offset > part.block.end and not self._skip_gap(part, message.offset):
            return
        if part.block.end > part.block.start and (
            not part.block.takes(message) or part.block.is_full(self._limits)
        ):
            self._load(part)
            if self._parts.get(message.partition) is not part:
                return
        try:
            message = self._without_poison(part, message)
            with part.attempts.at(message.offset):
                part.block.add(message, self._clock(), self._judge)
        except LostPartition:
            return
        finally:
            self._resume()

    def _without_poison(self, part: Part, message: Message) -> Message:
        """The message, or one that only says it is dead: it ended ATTEMPTS_MAX loaders that were busy with it."""
        ended = part.attempts.ended(message.offset)
        if ended < ATTEMPTS_MAX:
            return message
        log.error("pack_ends_loaders", partition=message.partition, offset=message.offset, times=ended)
        self._send_dead_letters(part.block, [(message, DeadReason.POISONOUS)])
        # Its head names what the packs behind it link to. To read that may be what ended them: then it is not read.
        value = b""
        if ended == ATTEMPTS_MAX:
            with suppress(PackError), part.attempts.at(message.offset):
                value = say_dead(read_clean_head(message.value), DeadReason.POISONOUS)
        self.tally.packs["dead"] += bool(value)
        return message._replace(value=value)

    def _judge(self, last: Position | None, head: CleanHead, message: Message) -> Verdict:
        """The rule, asked until Kafka can tell; in a repeated range the first try's verdicts stand."""
        part, tries = self._parts[message.partition], 0
        block, seen_at = part.block, part.seen_at(message.offset, self._seen_at)
        if message.offset in block.refused_before:
            return Verdict.REFUSED_BEFORE
        while True:
            try:
                verdict = part.bounds.judge(last, head, message.timestamp_ms, seen_at)
                break
            except TooEarly:
                part.checkpoint_end(self._inbox, self._clock())
                self._wait(block, "a pack names a raw message that Kafka does not have", 1)
            except InboxAway as away:
                self._wait(block, f"Kafka: {away}", tries)
                tries += 1
        if verdict is Verdict.ORIGIN_ELSEWHERE and block.end_fixed is not None:
            return judge_links(last, head, message)  # the raw topic may have been made anew in between
        if verdict.is_refused:
            self.tally.refuse_pack(message, head, verdict, self._clock())
        return verdict

    def _skip_gap(self, part: Part, found: int) -> bool:
        """Messages are missing before `found`: True when Kafka has them no more, else they are read again."""
        block = part.block
        if part.rewound_to == block.end:  # read again already: these offsets hold nothing
            if block.end_fixed is not None:
                block.end = min(found, block.end_fixed)
            return True
        try:
            low, _ = self._inbox.bounds(block.partition)
        except InboxAway:
            low = -1
        if low > block.end:
            log.error(
                "clean_packs_expired_unread", partition=block.partition, offset=block.end, first_offset=low
            )
        part.rewound_to, part.rewound_turn = block.end, self._fetches
        self._waiting = [one for one in self._waiting if one.partition != block.partition]
        self._inbox.rewind(block.partition, max(block.end, low))
        return False

    # One block.

    def _load(self, part: Part) -> None:
        block = part.block
        try:
            self._send_dead_letters(block, block.broken)
            if block.accepted:
                self._write_intent(part)
                self._insert(part)
        except LostPartition:
            self._leave(part)
            return
        finally:
            self._inserting = False
            self.tally.stuck = ""
            self._resume()
        self.tally.count(block)
        if block.accepted:
            part.link_open_since = None
            part.link_logged = False
        if block.open_link and part.link_open_since is None:
            part.link_open_since = self._clock()
        part.busy = block.row_count > self._limits.busy_rows
        part.done_at = self._clock()
        part.uncommitted = True
        if block.accepted:
            part.unfinished_since = part.done_at
        part.block = Block(block.topic_id, block.partition, block.end, block.last)
        if block.broken:
            self._try_commit_end(part)  # so that a restart does not look at the dead letters again

    def _write_intent(self, part: Part) -> None:
        """Write down what is about to be inserted; this commit also ends the block before."""
        block, tries = part.block, 0
        while True:
            try:
                if not self._inbox.commit(block.partition, block.start, block.checkpoint.encode()):
                    raise LostPartition
                part.uncommitted = False
                part.attempts.forget(block.start)
                return
            except InboxAway as away:
                self._wait(block, f"Kafka: {away}", tries)
                tries += 1

    def _insert(self, part: Part) -> None:
        block, intended_at, looked, refused, tries = part.block, self._clock(), False, 0, 0
        self._inserting = True
        if part.attempts.ended(block.start, block.end) >= ATTEMPTS_MAX:
            self._send_bad_to_dead_letters(part, unreadable=False)
        while True:
            self.turns += 1
            began = unreadable = False
            try:
                if self._clock() - intended_at > INTENT_AGE_S_MAX:
                    self._write_intent(part)  # a long wait, or a long sleep: is it still ours?
                    intended_at = self._clock()
                write_position(self._warehouse, self._group, block)
                with part.attempts.at(block.start, block.end):
                    container = block.container
                began = True
                self._warehouse.insert("packs", container, token=block.token)
                return
            except BlockUnreadable as error:
                problem, unreadable = str(error), True
            except WarehouseAway as error:
                if error.code in SCHEMA_MISSING_CODES:
                    raise InboxBroken("ClickHouse lost its tables; they are made at the next start") from None
                problem = str(error)
            refused += began
            if refused >= REFUSALS_MAX:
                self.tally.name_stuck(block, problem)
            if not looked and (unreadable or refused >= REFUSALS_MAX):
                looked = True
                if self._send_bad_to_dead_letters(part, unreadable=unreadable):
                    continue
            self._wait(block, f"ClickHouse: {problem}", tries)
            tries += 1

    def _send_bad_to_dead_letters(self, part: Part, *, unreadable: bool) -> bool:
        """Each pack that cannot be loaded becomes a dead letter, and in the block one that says so. Was there any?"""
        block = part.block
        found = self._examiner.find_bad(
            block, part.attempts, lambda problem: self._wait(block, problem, 3), unreadable=unreadable
        )
        self._send_dead_letters(block, [(block.accepted[at].message, reason) for at, reason in found])
        for at, reason in found:
            block.put_dead(at, say_dead(block.accepted[at].head, reason))
        self.tally.packs["dead"] += len(found)
        return bool(found)

    def _send_dead_letters(self, block: Block, bad: list[tuple[Message, DeadReason]]) -> None:
        for message, reason in bad:
            origin = Origin(block.topic_id, message.partition, message.offset)
            tries = 0
            while True:
                self.turns += 1
                try:
                    if not self._dead_letters.has(origin, message.timestamp_ms):
                        self._dead_letters.send(DeadLetter(reason, CLEAN, origin, message.value).shortened())
                    break
                except InboxAway as away:
                    self._wait(block, f"Kafka: {away}", tries)
                    tries += 1
            log.warning(
                "clean_pack_unreadable",
                partition=message.partition,
                offset=message.offset,
                reason=str(reason),
            )

    def _wait(self, block: Block, problem: str, tries: int) -> None:
        """Let some time pass with the partitions on hold, as a living member of the group. Raises LostPartition."""
        if problem != self.tally.problem:
            log.warning("waiting", problem=problem)
        self.tally.problem = problem
        if not self._holding:
            self._holding = True
            self._inbox.pause()
        until = self._clock() + PAUSES_S[min(tries, len(PAUSES_S) - 1)]
        part = self._parts.get(block.partition)
        with part.attempts.elsewhere() if part else nullcontext():
            self._wait_until(until, block)

    def _wait_until(self, until: float, block: Block) -> None:
        while True:
            self.turns += 1
            self._waiting += self._inbox.poll(max(0.0, until - self._clock()))
            part = self._parts.get(block.partition)
            if part is None or part.block is not block:
                raise LostPartition
            if self._clock() >= until:
                return

    def _resume(self) -> None:
        self.tally.problem = ""
        if self._holding:
            self._holding = False
            self._inbox.resume()

    def _leave(self, part: Part) -> None:
        """Drop what was under way: the group gave the partition to somebody else, or is about to say so."""
        block = part.block
        if self._parts.get(block.partition) is part:
            part.attempts.close()
            del self._parts[block.partition]
            self._left_at[block.partition] = self._clock()
        self.tally.blocks["left"] += 1
        log.warning("block_left", partition=block.partition, start=block.start, end=block.end)

    # Ends and beginnings.

    def _try_commit_end(self, part: Part) -> None:
        try:
            if not self._commit_end(part):
                self._leave(part)
        except InboxAway:
            part.done_at = self._clock()  # tried again after a while

    def _commit_end(self, part: Part) -> bool:
        """Say that everything before the block is loaded and nothing is under way."""
        if part.uncommitted:
            checkpoint = Checkpoint(part.block.topic_id, part.block.last_before)
            part.uncommitted = not self._inbox.commit(
                part.block.partition, part.block.start, checkpoint.encode()
            )
            if not part.uncommitted:
                part.attempts.forget(part.block.start)
            return not part.uncommitted
        return True

    def _try_write_finished(self, part: Part) -> None:
        """After some quiet: a note that is lost or forged later must not make an old block come again."""
        try:
            write_finished(self._warehouse, self._group, part.block)
            part.unfinished_since = None
        except WarehouseError:
            part.unfinished_since = self._clock()  # tried again after a while

    def _turn(self) -> None:
        self.turns += 1

    def _still_there(self, partition: int, offset: int) -> int:
        low, _ = self._ask(lambda: self._inbox.bounds(partition))
        if low > offset:
            log.error("clean_packs_expired_unread", partition=partition, offset=offset, first_offset=low)
        return max(low, offset)

    def _ask(self, question: Callable[[], _T]) -> _T:
        """The answer, asked again while nobody answers; after ASK_TRIES_MAX tries InboxBroken."""
        for _ in range(ASK_TRIES_MAX):
            self.turns += 1
            try:
                return question()
            except (InboxAway, WarehouseAway, TooEarly) as away:
                self.tally.problem = str(away)
                self._sleep(1.0)
        raise InboxBroken(f"no way back found: {self.tally.problem}")

    # Telling.

    def _watch_link(self, part: Part) -> None:
        since = part.link_open_since
        if since is not None and not part.link_logged and self._clock() - since > LINK_OPEN_S_MAX:
            part.link_logged = True
            last = part.block.last_before
            log.error(
                "link_open",
                partition=part.block.partition,
                last_accepted_offset=last.offset if last else None,
            )
