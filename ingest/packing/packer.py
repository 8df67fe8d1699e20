"""Collects events into one open pack a partition, and closes it as soon as waiting would no longer help.

A pack closes when it is 3 ms old and the one before it on its partition is acknowledged, when it is full, or when it
is 25 ms old. A broker on the same machine acknowledges in 0.15 ms: without the 3 ms packs stay small,
and each pack costs about 80 µs here, 1 to 2 ms in streams and a share of a request to the broker. 64 senders and 2
partitions make packs of 30: 80 µs / 30 = 2.7 µs an event.

Nobody waits for the answer to a hit of a page, or to what a server sends now and then: a pack that holds few of those
only becomes 25 ms old. So 200 hits a second make 80 packs instead of 200. A sender that went on as soon as its answer
before was there waits for this one: with the first event of such a sender, or with 32 events, a pack is like any other.
Whether that is said of hits, patience.py judges.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ingest.packing.pack import Pack, close_pack
from ingest.packing.patience import Patience
from ingest.reading.row import EVENT_ID, NAME, RECEIVED_AT, SITE, Row, row_size_max
from runtime.logs import get_logger
from schemas.drops import RefusalReason
from schemas.identity import partition_of
from schemas.pack import PackLimits, Refusal
from schemas.ring import Key, RingError
from schemas.seal import NONCE_BYTES, PACK_ID_BYTES

AGE_MS_MIN = 3
ENOUGH_EVENTS = 32  # of more in a pack each saves little: 2 ms / 32 = 60 µs

RandomBytes = Callable[[int], bytes]
OnKept = Callable[[bool], None]
Send = Callable[[Pack, OnKept], None]

log = get_logger()


@dataclass(slots=True)
class _Open:
    """The pack that still takes events on one partition."""

    done: asyncio.Future[bool]
    ripe_at: float  # by the loop's clock
    ends_at: float  # the same: it closes whatever it would wait for
    rows: list[Row] = field(default_factory=list)
    waiting: list[OnKept] = field(default_factory=list)
    size_bytes: int = 0
    is_due: bool = False  # old enough: closes as soon as the pack before it is acknowledged
    is_patient: bool = True  # nobody is known to wait for what is in it
    is_resting: bool = False  # patient, and older than others may become
    timer: asyncio.TimerHandle | None = None


class Packer:
    """Rows in, one future a pack out: True once Kafka or the spool has the pack, False when nobody could take it.

    send: hands a pack on, and is told later whether it was kept. Runs on the event loop's thread alone.
    """

    def __init__(
        self,
        edge: str,
        partition_count: int,
        send: Send,
        current_key: Callable[[], Key],
        random_bytes: RandomBytes,
        limits: PackLimits | None = None,
    ) -> None:
        self._edge = edge
        self._send = send
        self._current_key = current_key
        self._random_bytes = random_bytes
        self._limits = limits or PackLimits()
        self._loop = asyncio.get_running_loop()
        self._patience = Patience()
        self._open: list[_Open | None] = []
        self._in_flight: list[int] = []  # packs not yet acknowledged, by partition
        self._refusals: Counter[tuple[int, str, str]] = Counter()
        self.waiting_events = 0  # in open packs and in packs not yet acknowledged
        self.partition_count = 0
        self.grow(partition_count)

    def grow(self, partition_count: int) -> None:
        """Use more partitions from now on; a topic never has fewer than before."""
        while len(self._open) < partition_count:
            self._open.append(None)
            self._in_flight.append(0)
        self.partition_count = len(self._open)

    def add(self, row: Row, *, patient: bool = False) -> asyncio.Future[bool]:
        """Put an event into the open pack of its partition; the future is that of the pack.

        patient: nobody is known to wait for the answer.
        """
        pack = self._add(row, patient)
        return pack.done if pack is not None else self._refuse_size(row)

    def put(self, row: Row, on_kept: OnKept, *, patient: bool = False) -> None:
        """The same for a hit, which may wait as long as patience.py finds: `on_kept` is called when the pack is
        settled. A future's callback takes a turn of the loop for each event, 1 µs."""
        pack = self._add(row, self._patience.may_wait(not patient, self._loop.time()), on_kept)
        if pack is None:
            self._refuse_size(row).add_done_callback(lambda done: on_kept(done.result()))

    def _refuse_size(self, row: Row) -> asyncio.Future[bool]:
        return self.refuse_aloud(row[RECEIVED_AT] // 60_000 * 60, row[SITE], RefusalReason.OVERSIZE)

    def _add(self, row: Row, patient: bool, on_kept: OnKept | None = None) -> _Open | None:
        """The pack the event is in now; None for one that is too large for any, which no endpoint makes."""
        partition = partition_of(row[SITE], row[NAME], row[EVENT_ID], self.partition_count)
        size = row_size_max(row)
        if size > self._limits.size_bytes_max:
            return None
        pack = self._open[partition]
        if pack is not None and pack.size_bytes + size > self._limits.size_bytes_max:
            self._close(partition)
            pack = None
        if pack is None:
            pack = self._begin(partition)
        pack.rows.append(row)
        if on_kept is not None:
            pack.waiting.append(on_kept)
        pack.size_bytes += size
        self.waiting_events += 1
        count = len(pack.rows)
        if not patient or count == ENOUGH_EVENTS:
            pack.is_patient = False
        if count >= self._limits.event_count_max:
            self._close(partition)
        elif pack.is_resting and not pack.is_patient:
            pack.is_resting, pack.ripe_at = False, self._loop.time()
            self._ripen(partition, pack)
        return pack

    def refuse(self, minute: int, site: str, reason: str, count: int = 1) -> None:
        """Count what the edge refused; the counts travel in the next pack of any partition."""
        self._refusals[minute, site, reason] += count

    def refuse_aloud(self, minute: int, site: str, reason: str, count: int = 1) -> asyncio.Future[bool]:
        """The same for a refusal that is answered as a success: the future tells when the count is kept."""
        self.refuse(minute, site, reason, count)
        return self.refusals_kept()

    def refusals_kept(self) -> asyncio.Future[bool]:
        """Tells when the counts that wait now are kept: with the pack of partition 0, which alone takes them while it
        is open."""
        return (self._open[0] or self._begin(0)).done

    def flush(self) -> list[asyncio.Future[bool]]:
        """Close every open pack, also one that holds nothing but refusals; the futures of all that were closed."""
        if self._refusals and not any(self._open):
            self._begin(0)
        open_packs = [pack for pack in self._open if pack is not None]
        for partition in range(self.partition_count):
            self._close(partition)
        return [pack.done for pack in open_packs]

    @property
    def has_refusals(self) -> bool:
        """Whether counts wait for a pack."""
        return bool(self._refusals)

    def _begin(self, partition: int) -> _Open:
        now, age_ms_max = self._loop.time(), self._limits.age_ms_max
        ripe_at = now + min(AGE_MS_MIN, age_ms_max) / 1000
        pack = self._open[partition] = _Open(self._loop.create_future(), ripe_at, now + age_ms_max / 1000)
        pack.timer = self._loop.call_at(ripe_at, self._ripen, partition, pack)
        return pack

    def _ripen(self, partition: int, pack: _Open) -> None:
        if self._open[partition] is not pack:
            return
        if pack.ripe_at >= pack.ends_at:
            self._close_together(partition)
        elif pack.is_patient and pack.rows:
            pack.is_resting = True
            self._wait_until_end(partition, pack)
        elif self._in_flight[partition]:
            pack.is_due = True
            self._wait_until_end(partition, pack)
        else:
            self._close_together(partition)

    def _wait_until_end(self, partition: int, pack: _Open) -> None:
        if pack.timer is not None:
            pack.timer.cancel()
        pack.ripe_at = pack.ends_at
        pack.timer = self._loop.call_at(pack.ends_at, self._ripen, partition, pack)

    def _close_together(self, ripe: int) -> None:
        """Close a pack, and with it those of the other partitions that are nearly as old and need not wait either: one
        waking of the producer's threads and one answer of the broker for all."""
        self._close(ripe)
        now = self._loop.time()
        for partition, pack in enumerate(self._open):
            if pack is None or self._in_flight[partition]:
                continue
            age_ms = self._limits.age_ms_max if pack.is_resting else AGE_MS_MIN
            if pack.ripe_at <= now + age_ms / 2_000:
                self._close(partition)

    def _close(self, partition: int) -> None:
        pack = self._open[partition]
        if pack is None:
            return
        self._open[partition] = None
        if pack.timer is not None:
            pack.timer.cancel()
        refusals: Counter[tuple[int, str, str]] = Counter()
        if partition == 0 or self._open[0] is None:
            refusals, self._refusals = self._refusals, refusals
        try:
            closed = close_pack(
                self._edge,
                partition,
                pack.rows,
                [Refusal(*of_what, count) for of_what, count in refusals.items()],
                self._current_key(),
                self._random_bytes(PACK_ID_BYTES),
                self._random_bytes(NONCE_BYTES),
            )
        except RingError as error:  # before the first key was ever made
            log.error("pack_not_sealed", reason=str(error))
            self._settle(pack, refusals, False)
            return
        self._in_flight[partition] += 1
        self._send(closed, partial(self._acknowledged, partition, pack, refusals))

    def _acknowledged(
        self, partition: int, pack: _Open, refusals: Counter[tuple[int, str, str]], kept: bool
    ) -> None:
        self._in_flight[partition] -= 1
        self._settle(pack, refusals, kept)
        following = self._open[partition]
        if following is not None and following.is_due:
            self._close(partition)

    def _settle(self, pack: _Open, refusals: Counter[tuple[int, str, str]], kept: bool) -> None:
        self.waiting_events -= len(pack.rows)
        if not kept:
            self._refusals.update(refusals)
        for on_kept in pack.waiting:
            try:
                on_kept(kept)
            except Exception:  # one connection's trouble is not its neighbours'
                log.error("answer_failed", exc_info=True)
        if not pack.done.done():
            pack.done.set_result(kept)
