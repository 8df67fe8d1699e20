"""Where a closed pack goes: to Kafka, or to the spool while Kafka is away or slow; and how the spool empties.

If the process dies here, what is lost and what comes twice?
- before Kafka or the disk has the pack: its senders were not answered, so nothing that was promised is lost;
- after it, before the answer: the pack is kept and its senders may send again: their events are duplicates by id;
- a pack that is late in Kafka and also in the spool, or drained when the process dies before its segment is removed:
  it comes twice under one pack id, and streams drops the second whole.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ingest.counts import Counts
from ingest.packing.outbox import Outbox
from ingest.packing.pack import Pack
from ingest.packing.reseal import reseal
from ingest.packing.spool import Spool
from ingest.packing.spool_files import Record, SpoolFiles, adopt_spools
from runtime.logs import get_logger
from schemas.ring import Ring

CHECK_S = 0.1  # how often the age of the packs under way is looked at
DRAIN_BYTES = 1_000_000  # of packs sent at once while draining
DRAIN_PAUSE_S = 0.5  # after Kafka refused
ADOPT_S = 10.0  # how often the spools of dead edges are looked for
POLL_S = 0.2
WARN_AT = 0.8  # of the spool's size
REFUSED_S = 10.0  # how long a pack that neither Kafka nor the spool took says that hits are refused

OnKept = Callable[[bool], None]

log = get_logger()


class Delivery:
    """Tells each pack's senders once: kept, or not. Lives on the event loop; Kafka's reports come from a thread."""

    def __init__(
        self,
        outbox: Outbox,
        spool: Spool,
        root: Path,
        ring: Callable[[], Ring],
        counts: Counts,
        kafka_wait_ms_max: int,
    ) -> None:
        """root: the folder that holds the spools of all edges; ring: the keys of this moment."""
        self._outbox = outbox
        self._spool = spool
        self._root = root
        self._ring = ring
        self._packs = counts.packs
        self._wait_s_max = kafka_wait_ms_max / 1000
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[int, tuple[float, Pack, OnKept]] = {}  # oldest first
        self._sent = 0
        self._direct = spool.files.pack_count == 0
        self._stopping = False
        self._warned = False
        self._refused_at = -REFUSED_S
        self._polled_at = time.monotonic()
        self._poller = threading.Thread(target=self._poll, name="kafka-reports", daemon=True)
        self._poller.start()
        self._tasks = [self._loop.create_task(self._watch()), self._loop.create_task(self._drain_all())]

    def send(self, pack: Pack, on_kept: OnKept) -> None:
        """Keep a pack, wherever there is room for it."""
        if not self._direct:
            self._to_spool(pack, on_kept)
            return
        self._sent += 1
        number = self._sent
        self._under_way[number] = (time.monotonic(), pack, on_kept)
        self._outbox.send(pack.partition, pack.message, lambda kept: self._reported(number, kept))

    async def stop(self) -> None:
        """End the threads and give the spool back; packs under way should be settled before."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._poller.join, 2 * POLL_S)
        await asyncio.to_thread(self._spool.close)

    @property
    def can_accept(self) -> bool:
        """Whether hits can be kept: by the spool, or by Kafka, as far as we know.

        A pack that neither took is a no for a while only: without hits nothing would show that Kafka is back.
        """
        refused_lately = time.monotonic() - self._refused_at < REFUSED_S
        return not self._spool.is_full(_now_ms()) or (self._direct and not refused_lately)

    @property
    def warnings(self) -> list[str]:
        """What somebody should look at before it is too late."""
        found = []
        if self._spool.problem:
            found.append(f"the spool's disk takes nothing: {self._spool.problem}; make room in {self._root}")
        if self._spool.fill >= WARN_AT:
            found.append(
                f"the spool is {self._spool.fill:.0%} full; at 100% hits are refused: is Kafka away?"
            )
        return found

    @property
    def spool_fill(self) -> float:
        """How full the spool is by size, 0 to 1."""
        return self._spool.fill

    @property
    def is_healthy(self) -> bool:
        """Whether everything that should run does, and came round within the last seconds."""
        return (
            self._spool.is_alive
            and time.monotonic() - self._polled_at < 10
            and not any(task.done() for task in self._tasks)
        )

    @property
    def spool_packs(self) -> int:
        """Packs Kafka does not have yet."""
        return self._spool.files.pack_count

    @property
    def spool_bytes(self) -> int:
        """Size of the spool."""
        return self._spool.files.size_bytes

    def _reported(self, number: int, kept: bool) -> None:
        found = self._under_way.pop(number, None)
        if found is None:
            return  # it went to the spool meanwhile: at worst it comes twice under one pack id
        _, pack, on_kept = found
        if kept:
            self._refused_at = -REFUSED_S
            self._packs["kafka"] += 1
            on_kept(True)
        else:
            self._leave_direct("kafka_refused")
            self._to_spool(pack, on_kept)

    def _to_spool(self, pack: Pack, on_kept: OnKept) -> None:
        now_ms = _now_ms()
        if self._spool.is_full(now_ms):
            self._refused_at = time.monotonic()
            on_kept(False)
            return
        if not self._warned and self._spool.fill >= WARN_AT:
            self._warned = True
            log.warning("spool_fills", share=round(self._spool.fill, 2), next="at 1.0 the edge answers 503")
        self._packs["spool"] += 1
        self._spool.append(Record(pack.partition, now_ms, pack.message), on_kept)

    def _leave_direct(self, reason: str) -> None:
        if self._direct:
            self._direct = False
            log.warning("spool_begins", reason=reason)

    async def _watch(self) -> None:
        """Packs that Kafka has had for too long go to the spool."""
        while True:
            await asyncio.sleep(CHECK_S)
            overdue = time.monotonic() - self._wait_s_max
            while self._under_way:
                number = next(iter(self._under_way))
                sent_at, pack, on_kept = self._under_way[number]
                if sent_at > overdue:
                    break
                del self._under_way[number]
                self._leave_direct("kafka_slow")
                self._to_spool(pack, on_kept)

    async def _drain_all(self) -> None:
        """Empty our own spool whenever there is something in it, and those that dead edges left."""
        adopt_at = 0.0
        while True:
            if time.monotonic() >= adopt_at:
                adopt_at = time.monotonic() + ADOPT_S
                for left in await asyncio.to_thread(lambda: list(adopt_spools(self._root))):
                    log.info("spool_adopted", packs=left.pack_count)
                    try:
                        await self._drain(left)
                    finally:
                        await asyncio.to_thread(left.close)
            if not self._direct or self._spool.files.pack_count:
                await self._drain(self._spool.files)
            await asyncio.sleep(CHECK_S)

    async def _drain(self, files: SpoolFiles) -> None:
        """Send packs in order until the spool is empty, however long that takes."""
        own = files is self._spool.files
        drained = 0
        while records := await asyncio.to_thread(files.read, DRAIN_BYTES):
            while not await self._send_spooled(records):
                await asyncio.sleep(DRAIN_PAUSE_S)
            await asyncio.to_thread(files.release)
            drained += len(records)
            if own:
                await asyncio.to_thread(self._spool.released)
                if (
                    files.size_bytes < DRAIN_BYTES
                ):  # nearly there: what comes now need not wait behind the rest
                    self._direct = True
        if own:
            self._spool.released()
            self._direct = True
            self._warned = False
        if drained:
            log.info("spool_drained", packs=drained)

    async def _send_spooled(self, records: list[Record]) -> bool:
        """Hand packs to Kafka and wait for its word on all of them."""
        ring, now_ms = self._ring(), _now_ms()
        reports: list[asyncio.Future[bool]] = [self._loop.create_future() for _ in records]
        for record, report in zip(records, reports, strict=True):
            message = reseal(record.message, ring, now_ms, os.urandom(12))
            self._outbox.send(record.partition, message, partial(_set_once, report))
        return all(await asyncio.gather(*reports))

    def _poll(self) -> None:
        """Wait for reports, and wake the loop once for all that came together."""
        while not self._stopping:
            self._polled_at = time.monotonic()
            if self._outbox.poll(POLL_S):
                self._loop.call_soon_threadsafe(self._outbox.settle)


def _set_once(report: asyncio.Future[bool], kept: bool) -> None:
    if not report.done():
        report.set_result(kept)


def _now_ms() -> int:
    return int(time.time() * 1000)
