"""The partition processor: takes raw messages in order, decides each once, acknowledges when its clean pack is kept."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import islice
from pathlib import Path
from time import perf_counter

from runtime.kafka import KafkaUnavailable
from runtime.logs import get_logger
from schemas.dead_letter import DeadLetter
from schemas.drops import DeadReason
from schemas.topics import CLEAN, DEAD, RAW
from streams import measures
from streams.decide import Decided, NotTogether, Place, decide, refuse
from streams.fault import where
from streams.kafka.log_reader import LogReader
from streams.kafka.outbox import Delivered, DeliveryError, Outbox
from streams.partition.ancestors import Ancestors, Undecided
from streams.partition.attempts import ATTEMPTS_MAX, Attempts
from streams.partition.chain import Chain, Fenced
from streams.partition.deduplication import Deduplication
from streams.partition.recovery import RecoveredLog, recover_log
from streams.partition.store import DeduplicationStore, Mark, StoreLimits
from streams.policy import Policy
from streams.steps.duplicates import Known

RETRY_SECONDS = 1.0
GAP_MESSAGES_MAX = 1_000  # read at a time
CLOSE_SECONDS_MAX = 3.0


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message of the raw topic; `ack` marks its offset as decided."""

    offset: int
    time_ms: int  # LogAppendTime
    value: bytes
    ack: Callable[[], None]


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How many raw messages one clean pack may answer, and how long the first waits for others.

    A clean pack costs 1 ms however little is in it, and a message that waits costs nobody anything: the loader takes
    what came within its gap, which is far longer.
    """

    count_max: int = 32
    size_bytes_max: int = 150_000  # of the sealed messages; a single one may be larger
    # From the first to the last by the broker's clock: they are judged as of one moment.
    spread_ms_max: int = 1_000
    wait_s: float = 0.005  # 0: each is decided by itself, at once


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What all partition processors of a worker share."""

    log: LogReader
    outbox: Outbox
    policy: Policy
    folder: Path
    limits: StoreLimits
    flight_packs_max: int
    give_up: Callable[[str], None]  # ends the process: broken infrastructure is never an outcome
    runs: RunLimits = RunLimits()

    def attempts(self, partition: int) -> Path:
        """Where it stands which pack is being decided: beside the cache, which may be thrown away at any time."""
        return self.folder.with_name(f"{self.folder.name}-attempts") / str(partition)


class State(Enum):
    """Where a processor stands between the assignment of its partition and its revocation."""

    RECOVERING = auto()  # reads what was decided before; messages wait
    DECIDING = auto()  # decides and sends; reports of the broker confirm
    FENCED = auto()  # somebody else wrote: waits until each pack sent is reported, then recovers
    CLOSING = auto()  # decides no more; reports still confirm, for a moment
    CLOSED = auto()


# What may follow a state, and when.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.RECOVERING: frozenset(
        {State.DECIDING, State.CLOSED}
    ),  # the log is read; the partition is taken away
    State.DECIDING: frozenset(
        {State.FENCED, State.CLOSING}
    ),  # a foreign offset is reported; it is taken away
    State.FENCED: frozenset({State.RECOVERING, State.CLOSED}),  # the last report is in; it is taken away
    State.CLOSING: frozenset({State.CLOSED}),  # all is confirmed, or somebody else wrote, or the time is over
    State.CLOSED: frozenset(),
}


class _Closed(Exception):
    """The partition was taken away while its log was read."""


@dataclass(frozen=True, slots=True)
class _InFlightItem:
    messages: Sequence[RawMessage]
    made: Decided


@dataclass(slots=True)
class _Stranded:
    """After somebody else wrote: what was sent and is not known to be accepted."""

    messages: list[RawMessage]
    reports_due: int  # and how many of these the broker has not reported yet


@dataclass(frozen=True, slots=True)
class _Opened:
    """What exists between the recovery of the log and the first write that fences it."""

    recovered: RecoveredLog
    chain: Chain[_InFlightItem]
    deduplication: Deduplication
    attempts: Attempts


class PartitionProcessor:
    """Everything about one partition between its assignment and its revocation. Runs on one event loop."""

    def __init__(
        self, partition: int, dependencies: Dependencies, before: asyncio.Task[None] | None = None
    ) -> None:
        self.partition = partition
        self._before = before  # the closing of the partition processor this partition had here before
        self.dependencies = dependencies
        # Grows with all that gets done, also while the log is read; the watchdog looks at it.
        self.progress = 0
        self._state = State.RECOVERING
        self._opened: _Opened | None = None  # from DECIDING on, until it is forgotten
        self._stranded = _Stranded([], 0)  # in FENCED
        self._store: DeduplicationStore | None = None
        self._ancestors = Ancestors(partition)
        self.awaits_others = False  # its ancestors have not decided all they must before it begins
        self._turn = asyncio.Lock()
        self._moved = asyncio.Event()
        self._recovery: asyncio.Task[None] | None = None
        self._waiting: deque[RawMessage] = deque()  # not decided yet, in the order of their offsets
        # Brought after they were decided, by whoever read for itself, and not known to be kept; without their bytes.
        self._late: deque[RawMessage] = deque()
        self._run_timer: asyncio.TimerHandle | None = None
        self._run: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """True when the log is read and decisions are made."""
        return self._state is State.DECIDING

    @property
    def next_raw(self) -> int:
        """Raw offsets below this one are decided and kept; 0 before the log is read."""
        return self._opened.chain.confirmed_raw if self._opened else 0

    async def open(self) -> None:
        """Read the log, so that the first message need not wait for it."""
        async with self._turn:
            if self._state is State.RECOVERING:
                await self._open()

    async def take(self, message: RawMessage) -> None:
        """Decide one message with those that come within a moment; returns when there is room for the next one."""
        if not self.gather(message):
            await self.decide_waiting()

    def gather(self, message: RawMessage) -> bool:
        """Put a message to those that are decided in a moment; False when there is no room for the next one before
        `decide_waiting` is through. A message that only waits needs no task."""
        runs = self.dependencies.runs
        self._waiting.append(message)
        if not runs.wait_s or len(self._waiting) >= runs.count_max:
            return False
        if self._run_timer is None and (self._run is None or self._run.done()):
            self._run_timer = asyncio.get_running_loop().call_later(runs.wait_s, self._begin_run)
        return True

    def _begin_run(self) -> None:
        self._run = asyncio.get_running_loop().create_task(self.decide_waiting())
        self._run.add_done_callback(self._run_ended)

    def _run_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.dependencies.give_up(where(error))

    async def decide_waiting(self) -> None:
        """Decide and send all that waits."""
        if self._run_timer is not None:
            self._run_timer.cancel()
            self._run_timer = None
        async with self._turn:
            await self._decide_all(self._waiting)

    async def catch_up(self) -> None:
        """Decide what lies in the log and was not brought: behind a partition that awaits others the consumer stands
        still, and this may be one of those it awaits."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            try:
                _, high = await loop.run_in_executor(None, self.dependencies.log.bounds, RAW, self.partition)
            except KafkaUnavailable:
                return
            if self._state is State.DECIDING and self._opened and self._opened.chain.next_raw < high:
                await self._fill_gap(self._opened.chain.next_raw, high)

    async def close(self) -> None:
        """Wait a moment for what is under way, then give the deduplication store back."""
        self._enter(State.CLOSING if self._state is State.DECIDING else State.CLOSED)
        self._moved.set()
        async with self._turn:
            # A report that comes after the time finds nothing; the clean log tells the next worker.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS_MAX):
                    while self._state is State.CLOSING and self._opened and self._opened.chain.under_way:
                        await self._wait()
            self._enter(State.CLOSED)
            self._forget()
            if self._store:
                self._store.close()
                self._store = None

    def _enter(self, state: State) -> None:
        if state is not self._state and state not in TRANSITIONS[self._state]:
            raise RuntimeError(f"a partition processor cannot go from {self._state.name} to {state.name}")
        self._state = state

    async def _open(self) -> None:
        """From RECOVERING to DECIDING, unless the partition is taken away meanwhile."""
        loop = asyncio.get_running_loop()
        if self._before:
            await asyncio.wait([self._before])
        while self._state is State.RECOVERING:
            try:
                recovered = await loop.run_in_executor(None, self._read)
            except _Closed:
                return
            except KafkaUnavailable as error:
                get_logger().warning("tail_unreadable", partition=self.partition, reason=error.name)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except Undecided:
                self.awaits_others = True
                self.progress += 1  # it waits for other partitions, and for nothing of its own
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.awaits_others = False
            if self._state is not State.RECOVERING or self._store is None:
                return
            writer = secrets.token_hex(8)
            chain = Chain[_InFlightItem](
                recovered.topic_id,
                self.partition,
                writer,
                recovered.last,
                recovered.next_raw,
                recovered.next_clean,
            )
            attempts = Attempts(self.dependencies.attempts(self.partition), recovered.topic_id)
            self._opened = _Opened(recovered, chain, Deduplication(self._store), attempts)
            self._enter(State.DECIDING)
            get_logger().info(
                "partition_opened",
                partition=self.partition,
                next_raw=recovered.next_raw,
                next_clean=recovered.next_clean,
            )
            return

    def _forget(self) -> None:
        if self._opened:
            self._opened.attempts.close()
        self._opened = None

    def _read(self) -> RecoveredLog:
        """On a thread of its own; nothing else touches the deduplication store meanwhile."""
        dependencies = self.dependencies
        while True:
            if self._store is None:
                self._store = DeduplicationStore.open(
                    dependencies.folder / str(self.partition), dependencies.limits
                )
            self._ancestors.hand_over(
                dependencies.log,
                self._store,
                window_ms=dependencies.limits.window_ms,
                progress=self._progress_or_stop,
            )
            recovered = recover_log(
                dependencies.log,
                self.partition,
                self._store,
                window_ms=dependencies.limits.window_ms,
                progress=self._progress_or_stop,
            )
            if recovered is not None:
                return recovered
            self._store.destroy()
            self._store = None

    async def _decide_all(self, waiting: deque[RawMessage]) -> None:
        """Decide and send what waits, or find that it is decided; what a partition processor leaves that is closed is
        for whoever has the partition next."""
        while waiting and self._state not in (State.CLOSING, State.CLOSED):
            if self._state is State.FENCED:
                await self._begin_again()
            elif self._opened is None:
                await self._open()
            else:
                chain, message = self._opened.chain, waiting[0]
                if message.offset < chain.next_raw:
                    waiting.popleft()
                    self._late.append(replace(message, value=b""))
                    self._ack_late(chain.confirmed_raw)
                elif message.offset > chain.next_raw:
                    await self._fill_gap(chain.next_raw, message.offset)
                elif len(chain.under_way) >= self.dependencies.flight_packs_max:
                    await self._wait()
                else:
                    run = self._cut_run(self._opened, waiting)
                    if await self._decide(self._opened, run):
                        for _ in run:  # from now on they are under way
                            waiting.popleft()

    def _cut_run(self, opened: _Opened, waiting: deque[RawMessage]) -> list[RawMessage]:
        """What is decided as one: messages that lie one behind the other, within the limits. They stay in `waiting`."""
        limits, first = self.dependencies.runs, waiting[0]
        run, size = [first], len(first.value)
        if opened.attempts.is_alone(first.offset):
            return run
        for message in islice(waiting, 1, limits.count_max):
            size += len(message.value)
            if (
                size > limits.size_bytes_max
                or message.offset != run[-1].offset + 1
                or abs(message.time_ms - first.time_ms) > limits.spread_ms_max
                or opened.attempts.is_alone(message.offset)
            ):
                break
            run.append(message)
        return run

    async def _decide(self, opened: _Opened, messages: Sequence[RawMessage]) -> bool:
        """Decide and send; False where nothing was sent, as somebody else wrote before or they cannot go together."""
        started = perf_counter()
        place = opened.chain.place()
        try:
            made = self._judge(opened, place, messages)
        except NotTogether:
            opened.attempts.alone_until = messages[-1].offset + 1
            return False
        head = made.pack.head
        for message, answer in zip(messages, head.answers, strict=True):
            if answer.dead:
                origin = place.origin._replace(offset=message.offset)
                await self._send_dead_letter(
                    opened, DeadLetter(DeadReason(answer.dead), RAW, origin, message.value)
                )
        if self._state is not State.DECIDING:
            return False
        opened.deduplication.hold(head, made.entries)
        opened.chain.sent(head, _InFlightItem(messages, made))
        loop = asyncio.get_running_loop()

        def report(result: Delivered | DeliveryError) -> None:  # on the outbox's thread
            loop.call_soon_threadsafe(self._delivered, opened, result)

        self.dependencies.outbox.send(CLEAN, self.partition, made.value, None, report)
        measures.pack_decided(made.pack, perf_counter() - started)
        return True

    def _judge(self, opened: _Opened, place: Place, messages: Sequence[RawMessage]) -> Decided:
        """The decision. A pack that ended ATTEMPTS_MAX workers in a row is not begun again: what is behind it goes on.
        Raises NotTogether."""
        deduplication, policy, attempts = opened.deduplication, self.dependencies.policy, opened.attempts
        first = messages[0]
        ended = attempts.ended(first.offset)
        if ended >= ATTEMPTS_MAX:
            get_logger().error(
                "pack_ends_workers", partition=self.partition, offset=first.offset, times=ended
            )
            # To read what stands around it may be what ended them; until it is kept, the verdict may be needed again.
            with attempts.deciding(first.offset, keep=True):
                return refuse(first.value, place, policy.rules, blindly=ended > ATTEMPTS_MAX)

        def look_up(keys: Sequence[bytes]) -> Sequence[Known | None]:
            with attempts.elsewhere():
                return deduplication.look_up(keys, first.time_ms)

        def has_pack(pack_id: str) -> bool:
            with attempts.elsewhere():
                return deduplication.has_pack(pack_id, first.time_ms)

        with attempts.deciding(first.offset, len(messages)):
            return decide(
                [message.value for message in messages],
                place,
                open_pack=policy.open_pack,
                rules=policy.rules,
                look_up=look_up,
                has_pack=has_pack,
                run=measures.run_steps,
            )

    async def _send_dead_letter(self, opened: _Opened, dead_letter: DeadLetter) -> None:
        """Kept before its clean pack is sent, and not sent twice when a crash came between the two."""
        if dead_letter.origin in opened.recovered.dead_origins:
            return
        loop = asyncio.get_running_loop()
        kept: asyncio.Future[Delivered | DeliveryError] = loop.create_future()

        def report(result: Delivered | DeliveryError) -> None:  # on the outbox's thread
            loop.call_soon_threadsafe(kept.set_result, result)

        dead_letter = dead_letter.shortened()
        self.dependencies.outbox.send(DEAD, self.partition, dead_letter.value, dead_letter.headers(), report)
        result = await kept
        if isinstance(result, DeliveryError):
            self.dependencies.give_up(f"a dead letter was not delivered: {result}")
        get_logger().warning(
            "dead_letter", partition=self.partition, offset=dead_letter.origin.offset, reason=str(dead_letter.reason),
            left_out_bytes=dead_letter.left_out.size if dead_letter.left_out else 0,
        )  # fmt: skip

    def _delivered(self, opened: _Opened, result: Delivered | DeliveryError) -> None:
        """A report from the broker. Nothing may be raised here: an event loop only logs what its callbacks raise."""
        try:
            self._take_report(opened, result)
        except Exception as error:
            self.dependencies.give_up(where(error))

    def _take_report(self, opened: _Opened, result: Delivered | DeliveryError) -> None:
        if isinstance(result, DeliveryError):
            self.dependencies.give_up(f"a clean pack was not delivered: {result}")
            return
        self._moved.set()
        if opened is not self._opened:
            return
        if self._state is State.FENCED:
            self._stranded.reports_due -= 1
        elif self._state in (State.DECIDING, State.CLOSING):
            self._confirm(opened, result)

    def _confirm(self, opened: _Opened, result: Delivered) -> None:
        """The oldest pack under way is in the log: acknowledge its message, or find out that somebody else wrote."""
        try:
            item = opened.chain.confirm(result.offset).item
        except Fenced as error:
            get_logger().warning("fenced", partition=self.partition, reason=str(error))
            if self._state is State.CLOSING:
                self._enter(State.CLOSED)
                return
            under_way = opened.chain.under_way
            messages = [message for sent in under_way for message in sent.item.messages]
            self._stranded = _Stranded(messages, len(under_way) - 1)
            self._enter(State.FENCED)
            self._recovery = asyncio.get_running_loop().create_task(self._recover())
            return
        head = item.made.pack.head
        mark = Mark(opened.recovered.clean_topic_id, result.offset + 1, head.this)
        opened.deduplication.confirm(head, item.made.entries, result.time_ms, mark)
        self._progress()
        for message in item.messages:
            message.ack()
        self._ack_late(opened.chain.confirmed_raw)

    def _ack_late(self, confirmed_raw: int) -> None:
        """Without its ack Faust would commit nothing that lies behind a message, and remember all of it."""
        while self._late and self._late[0].offset < confirmed_raw:
            self._late.popleft().ack()

    async def _recover(self) -> None:
        """Begin again also when no further message comes."""
        async with self._turn:
            if self._state is State.FENCED:
                await self._begin_again()

    async def _begin_again(self) -> None:
        """Under a new writer's name: all that was sent has landed, so the log tells what of it was accepted."""
        while self._stranded.reports_due and self._state is State.FENCED:
            await self._wait()
        if self._state is not State.FENCED:
            return
        self._enter(State.RECOVERING)
        self._forget()
        await self._open()
        # Those accepted lie before next_raw and are passed over.
        await self._decide_all(deque(self._stranded.messages))

    async def _fill_gap(self, start: int, end: int) -> None:
        """Decide messages the consumer did not bring: somebody moved the group's offset, or clean packs were lost."""
        loop = asyncio.get_running_loop()
        end = min(end, start + GAP_MESSAGES_MAX)
        chunks = self.dependencies.log.read(RAW, self.partition, start, end)
        try:
            low, _ = await loop.run_in_executor(None, self.dependencies.log.bounds, RAW, self.partition)
            if low > start:
                self._skip_to(min(low, end))
                return
            get_logger().warning("gap_filled", partition=self.partition, start=start, end=end)
            while (chunk := await loop.run_in_executor(None, next, chunks, None)) is not None:
                for record in chunk:
                    if self._opened and self._opened.chain.next_raw < record.offset:
                        self._skip_to(record.offset)
                    message = RawMessage(record.offset, record.time_ms, record.value, _nothing)
                    await self._decide_all(deque([message]))
            if self._opened and self._opened.chain.next_raw == start:
                self._skip_to(end)
        except KafkaUnavailable as error:
            get_logger().warning("gap_unreadable", partition=self.partition, reason=error.name)
            await asyncio.sleep(RETRY_SECONDS)

    def _skip_to(self, offset: int) -> None:
        if self._opened:
            get_logger().error(
                "raw_packs_gone", partition=self.partition, start=self._opened.chain.next_raw, end=offset,
                advice="the raw topic's retention passed before they were decided; run `fairpixel ledger`",
            )  # fmt: skip
            self._opened.chain.next_raw = offset

    async def _wait(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    def _progress(self) -> None:
        self.progress += 1

    def _progress_or_stop(self) -> None:
        self._progress()
        if self._state is not State.RECOVERING:
            raise _Closed


def _nothing() -> None:
    """The consumer never saw this message, so there is no offset to mark."""
