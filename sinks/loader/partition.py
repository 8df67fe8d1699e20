"""One partition: collect a block, dead letters, intent, insert, commit; so that every accepted pack is stored once.

docs/delivery.md, border 5. The order of effects is the promise: the intent stands in the group (and in `positions`)
before the insert begins, and nothing of a later block is written before the insert is acknowledged. So whoever finds an
intent repeats exactly that block under the same token, and ClickHouse ignores what it has already.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from runtime.kafka import KafkaUnavailable
from runtime.logs import get_logger
from schemas.bounds import Bounds, TooEarly
from schemas.clean_pack import CleanHead
from schemas.links import Position, Verdict
from sinks.loader.attempts import ATTEMPTS_MAX, Attempts
from sinks.loader.block import Block, BlockLimits, Checkpoint, Fetch, Message, judge_links
from sinks.loader.dead_packs import DeadPacks
from sinks.loader.gaps import Gaps
from sinks.loader.kafka.inbox import Inbox, InboxBroken
from sinks.loader.positions import write_finished, write_position
from sinks.loader.tally import OpenLink, Tally
from sinks.loader.waiting import LostPartition, Waiting
from sinks.warehouse.client import SCHEMA_MISSING_CODES, BlockUnreadable, Warehouse, WarehouseError

# An insert begins within this time of its intent, or the intent is written again.
INTENT_AGE_S_MAX: Final = 30.0
# Of one block, by a ClickHouse that answers; then its packs are looked at.
REFUSALS_MAX: Final = 3
# Of quiet; then the end of the last block is committed.
IDLE_COMMIT_S: Final = 1.0
# Of quiet; then `positions` says that nothing is under way.
FINISHED_S: Final = 60.0

log = get_logger()


class State(Enum):
    """What whoever takes the partition over would find, and what may be done next therefore."""

    # The intent of an earlier try stands: exactly its range is read again, and loaded once it is whole.
    REPEATING = auto()
    # The group knows where the block begins, and nothing is under way; messages are collected.
    COMMITTED = auto()
    # The intent of this block stands: its insert may have begun.
    INTENDED = auto()
    # The block before is loaded and the group does not know; messages are collected.
    UNCOMMITTED = auto()
    # Somebody else has the partition, or the group is about to say so; nothing is done any more.
    LEFT = auto()


# What may follow a state. Any state but LEFT: the partition is taken away, or the group refuses a commit.
TRANSITIONS: dict[State, frozenset[State]] = {
    # The range is whole and its intent is written again; no pack in it is accepted.
    State.REPEATING: frozenset({State.INTENDED, State.UNCOMMITTED, State.LEFT}),
    # The block is due and its intent is written; no pack in it is accepted.
    State.COMMITTED: frozenset({State.INTENDED, State.UNCOMMITTED, State.LEFT}),
    # The insert is acknowledged.
    State.INTENDED: frozenset({State.UNCOMMITTED, State.LEFT}),
    # It was quiet, and the end is committed; the intent of the next block says the same.
    State.UNCOMMITTED: frozenset({State.COMMITTED, State.INTENDED, State.LEFT}),
    State.LEFT: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What all partitions of a loader share."""

    inbox: Inbox
    warehouse: Warehouse
    dead_packs: DeadPacks
    waiting: Waiting
    tally: Tally
    group: str
    clock: Callable[[], float]
    limits: BlockLimits


class Partition:
    """One partition from its assignment until it is left. `block`, `state` and `link_open_since` are for others too."""

    def __init__(self, dependencies: Dependencies, block: Block, bounds: Bounds, attempts: Attempts) -> None:
        """block: the first one; with a fixed end it is a repeat."""
        self.block = block
        self.state = State.COMMITTED if block.end_fixed is None else State.REPEATING
        self._inbox = dependencies.inbox
        self._warehouse = dependencies.warehouse
        self._dead_packs = dependencies.dead_packs
        self._waiting = dependencies.waiting
        self._tally = dependencies.tally
        self._group = dependencies.group
        self._clock = dependencies.clock
        self._limits = dependencies.limits
        self._gaps = Gaps(self._inbox, self._waiting)
        self._bounds = bounds
        self._attempts = attempts
        self._done_at = 0.0  # monotonic seconds of the end of the last block
        self._gap_s = self._limits.gap_ms / 1_000  # from there to the next one
        # Since when `positions` speaks of a block that is loaded; None: it says that nothing is under way.
        self._unfinished_since: float | None = self._clock()
        self._link: OpenLink | None = None
        self._fetch = Fetch(-1, 0.0)
        self._there: tuple[int, float] = (0, 0.0)  # an end of the clean log, and when it was there

    @property
    def due_at(self) -> float:
        """Monotonic seconds when what is collected is loaded, also when it is little."""
        return self._done_at + self._gap_s

    @property
    def link_open_since(self) -> float | None:
        """Monotonic seconds since when a pack waits for the one it links to; None when none does."""
        link = self._link
        return link.since if link else None

    # What the loader asks for.

    def take(self, message: Message, fetch: Fetch) -> None:
        """Collect the next message; the block before is loaded first when it cannot hold it."""
        block = self.block
        if message.offset < block.end or self._gaps.comes_again(fetch):
            return  # seen already, or it comes again
        if message.offset > block.end and not self._gaps.is_passed(block, message.offset, fetch):
            return
        if not block.takes(message, self._limits):
            self._load()
            if self.state is State.LEFT:
                return
        self._fetch = fetch
        try:
            if self._attempts.ended(message.offset) >= ATTEMPTS_MAX:
                message = self._dead_packs.replace_poison(block.topic_id, message, self._attempts, self._wait)
            with self._attempts.at(message.offset):
                self.block.add(message, self._clock(), self._judge)
        except LostPartition:
            return
        finally:
            self._waiting.end()

    def work(self) -> None:
        """Do what is due in this state."""
        if self.state is State.LEFT:
            return
        if self._is_due():
            self._load()
        elif self.state is State.UNCOMMITTED and self._clock() - self._done_at > IDLE_COMMIT_S:
            self.commit_end()
        elif self.state is State.COMMITTED:
            self._write_finished_if_quiet()
        if self._link:
            self._link.tell_if_old(self.block, self._clock())

    def load_rest(self) -> None:
        """Load what is collected, due or not; of a repeated range only the whole."""
        if self.state is State.LEFT or (self.state is State.REPEATING and not self.block.is_whole()):
            return
        if self.block.end > self.block.start:
            self._load()

    def commit_end(self) -> None:
        """Commit that everything before the block is loaded and nothing is under way; while Kafka is away, later."""
        if self.state is not State.UNCOMMITTED:
            return
        try:
            if not self._commit_end():
                self._drop_block()
        except KafkaUnavailable:
            self._done_at = self._clock()  # tried again after a while

    def revoke(self, *, still_ours: bool) -> None:
        """Let go; a last commit spares the next owner the repeat of a finished block."""
        if still_ours and self.state is State.UNCOMMITTED:
            with suppress(KafkaUnavailable):  # otherwise the next owner repeats the block; its token is known
                self._commit_end()
        self.leave()

    def leave(self) -> None:
        """Do nothing any more. A wait that is under way ends with LostPartition."""
        if self.state is not State.LEFT:
            self._enter(State.LEFT)
            self._attempts.close()

    def _enter(self, state: State) -> None:
        if state is not self.state and state not in TRANSITIONS[self.state]:
            raise RuntimeError(f"a partition of the loader cannot go from {self.state.name} to {state.name}")
        self.state = state

    # Collecting.

    def _is_due(self) -> bool:
        block = self.block
        if self.state is State.REPEATING:
            return block.is_whole()
        return block.end > block.start and (block.is_full(self._limits) or self._clock() >= self.due_at)

    def _judge(self, last: Position | None, head: CleanHead, message: Message) -> Verdict:
        """The rule, asked until Kafka can tell; in a repeated range the first try's verdicts stand."""
        block, tries = self.block, 0
        if message.offset in block.refused_before:
            return Verdict.REFUSED_BEFORE
        seen_at = self._seen_at(message.offset)
        while True:
            try:
                verdict = self._bounds.judge(last, head, message.timestamp_ms, seen_at)
                break
            except TooEarly:
                self._ask_end()
                self._wait("a pack names a raw message that Kafka does not have", 1)
            except KafkaUnavailable as away:
                self._wait(f"Kafka: {away}", tries)
                tries += 1
        if verdict is Verdict.ORIGIN_ELSEWHERE and block.end_fixed is not None:
            return judge_links(last, head, message)  # the raw topic may have been made anew in between
        if verdict.is_refused:
            self._tally.refuse_pack(message, head, verdict, self._clock())
        return verdict

    def _ask_end(self) -> None:
        """Many packs that must be waited for are waited for together: those before this end are there now."""
        with suppress(KafkaUnavailable):
            self._there = (self._inbox.bounds(self.block.partition)[1], self._clock())

    def _seen_at(self, offset: int) -> float:
        """When a message was there, as far as known: when it was read, or before."""
        end, at = self._there
        return min(at, self._fetch.at) if offset < end else self._fetch.at

    # Loading.

    def _load(self) -> None:
        """All effects of a block, in their order."""
        block = self.block
        try:
            self._dead_packs.send(block.topic_id, block.broken, self._wait)
            if block.accepted:
                self._write_intent()
                self._insert()
        except LostPartition:
            self._drop_block()
            return
        finally:
            self._tally.stuck = ""
            self._waiting.end()
        self._begin_next()
        if block.broken:
            self.commit_end()  # so that a restart does not look at the dead letters again

    def _write_intent(self) -> None:
        """Commit what is about to be inserted; this also ends the block before."""
        block, tries = self.block, 0
        while True:
            try:
                if not self._inbox.commit(block.partition, block.start, block.checkpoint.encode()):
                    raise LostPartition
                self._enter(State.INTENDED)
                self._attempts.forget(block.start)
                return
            except KafkaUnavailable as away:
                self._wait(f"Kafka: {away}", tries)
                tries += 1

    def _insert(self) -> None:
        """Tried until ClickHouse has the block; what it cannot take of it is replaced."""
        block, intended_at, looked, refused, tries = self.block, self._clock(), False, 0, 0
        if self._attempts.ended(block.start, block.end) >= ATTEMPTS_MAX:
            self._replace_bad(unreadable=False)
        while True:
            self._waiting.turn()
            began = False
            if self._clock() - intended_at > INTENT_AGE_S_MAX:
                self._write_intent()  # a long wait, or a long sleep: is it still ours?
                intended_at = self._clock()
            try:
                write_position(self._warehouse, self._group, block)
                with self._attempts.at(block.start, block.end):
                    container = block.container
                began = True
                self._warehouse.insert(block.table, container, token=block.token)
                return
            except WarehouseError as error:
                if error.code in SCHEMA_MISSING_CODES:
                    raise InboxBroken("ClickHouse lost its tables; they are made at the next start") from None
                problem, unreadable = str(error), isinstance(error, BlockUnreadable)
            refused += began
            if refused >= REFUSALS_MAX:
                self._tally.name_stuck(block, problem)
            if not looked and (unreadable or refused >= REFUSALS_MAX):
                looked = True
                if self._replace_bad(unreadable=unreadable):
                    continue
            self._wait(f"ClickHouse: {problem}", tries)
            tries += 1

    def _replace_bad(self, *, unreadable: bool) -> bool:
        return self._dead_packs.replace_bad(self.block, self._attempts, self._wait, unreadable=unreadable)

    def _begin_next(self) -> None:
        """The block is loaded, or there was nothing to load in it."""
        block, now = self.block, self._clock()
        self._enter(State.UNCOMMITTED)
        self._tally.count(block)
        self._done_at = now
        if block.accepted:
            self._unfinished_since, self._link = now, None
        if block.open_link and self._link is None:
            self._link = OpenLink(now)
        self.block = Block(block.topic_id, block.partition, block.end, block.last)

    def _commit_end(self) -> bool:
        """False when the partition is not ours any more. Raises KafkaUnavailable."""
        block = self.block
        checkpoint = Checkpoint(block.topic_id, block.last_before)
        is_committed = self._inbox.commit(block.partition, block.start, checkpoint.encode())
        if is_committed:
            self._enter(State.COMMITTED)
            self._attempts.forget(block.start)
        return is_committed

    def _write_finished_if_quiet(self) -> None:
        """A checkpoint that is lost or forged later must not make an old block come again."""
        since = self._unfinished_since
        if since is None or self._clock() - since <= FINISHED_S:
            return
        try:
            write_finished(self._warehouse, self._group, self.block)
            self._unfinished_since = None
        except WarehouseError:
            self._unfinished_since = self._clock()  # tried again after a while

    def _wait(self, problem: str, tries: int) -> None:
        """Let some time pass, and blame no pack for it. Raises LostPartition."""
        with self._attempts.elsewhere():
            self._waiting.wait(problem, tries, lambda: self.state is State.LEFT)

    def _drop_block(self) -> None:
        """What was under way is somebody else's to repeat."""
        block = self.block
        self.leave()
        self._tally.blocks["left"] += 1
        log.warning("block_left", partition=block.partition, start=block.start, end=block.end)
