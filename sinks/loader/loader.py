"""The loop over all partitions that are ours: reads what is there, hands each message to its partition, lets each work.

What happens to a clean pack then, and in which order, stands in partition.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from runtime.logs import get_logger
from schemas.bounds import Bounds, RawReader
from sinks.loader.attempts import Attempts, Unblamed
from sinks.loader.block import Block, BlockLimits, Checkpoint, Fetch
from sinks.loader.dead_packs import DeadPacks
from sinks.loader.kafka.dead_letters import DeadLetters
from sinks.loader.kafka.inbox import Inbox, InboxBroken
from sinks.loader.partition import Dependencies, Partition, State
from sinks.loader.recovery import Recovery
from sinks.loader.tally import Tally
from sinks.loader.waiting import Waiting
from sinks.warehouse.client import Warehouse

# How long a partition may stay without an owner after a refused commit.
LEFT_S_MAX: Final = 30.0

log = get_logger()


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
        self._raw = raw
        self._group = group
        self._clock = clock
        self._folder = folder
        self.tally = Tally(logged_at=clock())
        self._waiting = Waiting(inbox, self.tally, clock, sleep)
        turn = self._waiting.turn
        self._recovery = Recovery(inbox, warehouse, group, clock, self._waiting.ask, turn)
        self._dependencies = Dependencies(
            inbox,
            warehouse,
            DeadPacks(dead_letters, warehouse, self.tally, turn),
            self._waiting,
            self.tally,
            group,
            clock,
            limits or BlockLimits(),
        )
        self._partitions: dict[int, Partition] = {}
        # Partitions whose commit was refused, and since when, until the group says what follows.
        self._left_at: dict[int, float] = {}
        self._fetches = 0

    # What the loop does.

    def step(self, wait_s_max: float = 0.1) -> None:
        """Read what is there, load each block that is due, and commit what is finished when nothing comes."""
        self._waiting.turn()
        arrived = self._waiting.take_arrived()
        arrived += self._inbox.poll(0.0 if arrived else self._wait_s(wait_s_max))
        self._fetches += 1
        fetch = Fetch(self._fetches, self._clock())
        for message in arrived:
            partition = self._partitions.get(message.partition)
            if partition is not None:
                partition.take(message, fetch)
                self._forget_if_left(partition)
        for partition in list(self._partitions.values()):
            partition.work()
            self._forget_if_left(partition)
        self.tally.log_blocks(self._clock())
        if self._left_at and self._clock() - min(self._left_at.values()) > LEFT_S_MAX:
            raise InboxBroken("the group refused a commit and never said who owns the partition")

    def finish(self) -> None:
        """Load what was read already, so that little is left to whoever follows."""
        for partition in list(self._partitions.values()):
            partition.load_rest()
            self._forget_if_left(partition)
        for partition in list(self._partitions.values()):
            partition.commit_end()
            self._forget_if_left(partition)
        self.tally.log_blocks(self._clock(), now=True)

    # What the inbox tells, from inside of a poll.

    def on_assign(self, partition: int, offset: int | None, checkpoint: str) -> int:
        """Find the way back: `positions` and the group's checkpoint, else the beginning of the log."""
        if partition in self._partitions:
            self._partitions[partition].leave()
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
        self._partitions[partition] = Partition(self._dependencies, block, bounds, attempts)
        self._left_at.pop(partition, None)
        log.info("partition_assigned", partition=partition, offset=start, repeat_until=block.end_fixed)
        return start

    def pass_over(self, partition: int, start: int, end: int) -> None:
        """A batch that cannot be read is no pack of ours: named, and passed."""
        self.tally.refuse_batch(partition, start, end, self._clock())

    def on_revoke(self, partition: int, *, still_ours: bool) -> None:
        """Let go; a last commit spares the next owner the repeat of a finished block."""
        revoked = self._partitions.get(partition)
        if revoked is not None:
            revoked.revoke(still_ours=still_ours)
        self._partitions.pop(partition, None)
        self._left_at.pop(partition, None)
        log.info("partition_revoked", partition=partition)

    # What others see.

    @property
    def turns(self) -> int:
        """Grows from call to call: a thread that hangs in one is seen by it."""
        return self._waiting.turns

    @property
    def next_offsets(self) -> dict[int, int]:
        """For each partition the first offset that is not loaded."""
        return {number: partition.block.start for number, partition in list(self._partitions.items())}

    @property
    def waits(self) -> bool:
        """Whether the loader knows what it waits for: Kafka, or ClickHouse, which has its own time limit."""
        inserting = any(one.state is State.INTENDED for one in list(self._partitions.values()))
        return inserting or bool(self.tally.problem)

    @property
    def link_open_s(self) -> float:
        """Age in seconds of the oldest pack that waits for the one it links to; 0 when none does."""
        open_since = [partition.link_open_since for partition in list(self._partitions.values())]
        since = [one for one in open_since if one is not None]
        return self._clock() - min(since) if since else 0.0

    def _wait_s(self, wait_s_max: float) -> float:
        """How long a poll may take: until the next block is due."""
        due = [
            partition.due_at - self._clock()
            for partition in self._partitions.values()
            if partition.block.end > partition.block.start
        ]
        return max(0.0, min([wait_s_max, *due]))

    def _forget_if_left(self, partition: Partition) -> None:
        """The group refused its commit, so it gave the partition to somebody else, or is about to say so."""
        number = partition.block.partition
        if partition.state is State.LEFT and self._partitions.get(number) is partition:
            del self._partitions[number]
            self._left_at[number] = self._clock()

    def _still_there(self, partition: int, offset: int) -> int:
        low, _ = self._waiting.ask(lambda: self._inbox.bounds(partition))
        if low > offset:
            log.error("clean_packs_expired_unread", partition=partition, offset=offset, first_offset=low)
        return max(low, offset)
