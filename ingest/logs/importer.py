"""Takes in access logs: lines → rows → sealed packs → Kafka, all acknowledged before it ends; safe to run again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from zlib import crc32

from ingest.logs.access_log import BYTE_ORDER_MARK, LineReader
from ingest.logs.rejects import Batch, Rejects
from ingest.packing.outbox import Outbox
from ingest.packing.pack import close_pack
from ingest.reading.row import EVENT_ID, NAME, SITE, Row
from schemas.pack import PackLimits, Refusal
from schemas.ring import Key
from schemas.seal import NONCE_BYTES, PACK_ID_BYTES

EDGE = "logs-import"
PACKS_UNDER_WAY_MAX = 64  # 64 x about 60 kB sealed
INVALID_NAMED_MAX = 20  # line numbers that are remembered
INVALID_SHOWN_MAX = 3  # lines of a file whose shape is
REJECTS_LINES_MAX, REJECTS_BYTES_MAX = 1_000, 500_000  # unreadable lines kept in one file
ROW_BYTES_FIXED = 600  # of a row beside its line
STALLED_S = 15.0  # without any word from Kafka


class ImportFailed(Exception):
    """Kafka did not take everything. What it took stays, and a second import adds nothing twice."""


class MakesIds(Protocol):
    """See access_log.LineIds."""

    def next(self, line: bytes) -> str: ...


@dataclass(slots=True)
class Imported:
    """What became of the lines: `lines == accepted + invalid + skipped`."""

    lines: int = 0
    accepted: int = 0  # acknowledged by Kafka
    invalid: int = 0  # nobody could read them
    invalid_again: int = 0  # of these: counted and kept before
    skipped: int = 0  # headers, and what a server says of itself
    invalid_lines: list[int] = field(default_factory=list)  # numbers of the first few, from 1
    packs: int = 0
    remarks: list[str] = field(
        default_factory=list
    )  # what an operator should know of how the lines were read


@dataclass(slots=True)
class _Open:
    rows: list[Row] = field(default_factory=list)
    size_bytes: int = 0


class LogImport:
    """One import into one site. `feed` each file, then `finish`."""

    def __init__(
        self,
        outbox: Outbox,
        partition_count: int,
        site: str,
        key: Key,
        now_ms: int,
        random_bytes: Callable[[int], bytes],
        rejects: Rejects | None = None,
        limits: PackLimits | None = None,
    ) -> None:
        """site: whose the unreadable lines are. rejects: where they are kept; without it they are only counted."""
        self._outbox = outbox
        self._site = site
        self._key = key
        self._minute = now_ms // 60_000 * 60
        self._random_bytes = random_bytes
        self._rejects = rejects
        self._limits = limits or PackLimits()
        self._open = [_Open() for _ in range(partition_count)]
        self._unread: list[tuple[str, bytes]] = []
        self._unread_bytes = 0
        self._under_way = 0
        self._failed = 0
        self.result = Imported()
        # Of what was fed last, beside the numbers of the lines, from 1.
        self.first_invalid: list[tuple[int, bytes]] = []

    def feed(
        self, lines: Iterable[bytes], read: LineReader, ids: MakesIds, on_pack: Callable[[], None]
    ) -> None:
        """Take the lines of one file; `on_pack` is called now and then, for a progress bar. Raises ImportFailed.

        Ordinals count within one file: give each file ids of its own.
        """
        result, partitions = self.result, len(self._open)
        self.first_invalid = []
        count_max, size_max = self._limits.event_count_max, self._limits.size_bytes_max
        last_named, start = ("", ""), 0
        for number, line in enumerate(lines, start=1):
            result.lines += 1
            line = line.rstrip(b"\r\n")
            if line[:1] == b"\xef":
                line = line.removeprefix(BYTE_ORDER_MARK)
            row = read(line, line_id := ids.next(line))
            if not row:
                if row is None:
                    self._refuse(number, line_id, line)
                else:
                    result.skipped += 1
                continue
            named = row[SITE], row[NAME]
            if named != last_named:
                last_named, start = named, partition_start(*named)
            partition = crc32(row[EVENT_ID].encode("utf-8", "surrogatepass"), start) % partitions
            pack = self._open[partition]
            pack.rows.append(row)
            pack.size_bytes += 3 * len(line) + ROW_BYTES_FIXED  # a byte that is no UTF-8 becomes three
            if len(pack.rows) >= count_max or pack.size_bytes > size_max - 100_000:
                self._close(partition)
                on_pack()

    def finish(self) -> Imported:
        """Send what is left and wait for Kafka's word on everything. Raises ImportFailed, or OSError where unreadable
        lines could not be kept."""
        for partition, pack in enumerate(self._open):
            if pack.rows:
                self._close(partition)
        self._close_unread()
        self._wait_until(0)
        return self.result

    def send_pending(self) -> None:
        """Send the counts of unreadable lines that a run before this one may have left unsent."""
        for batch in self._rejects.pending() if self._rejects else ():
            self._send_count(batch)

    def _refuse(self, number: int, line_id: str, line: bytes) -> None:
        self.result.invalid += 1
        if len(self.result.invalid_lines) < INVALID_NAMED_MAX:
            self.result.invalid_lines.append(number)
        if len(self.first_invalid) < INVALID_SHOWN_MAX:
            self.first_invalid.append((number, line))
        if self._rejects is not None and self._rejects.knows(line_id):
            self.result.invalid_again += 1
            return
        self._unread.append((line_id, line))
        self._unread_bytes += len(line)
        if len(self._unread) >= REJECTS_LINES_MAX or self._unread_bytes >= REJECTS_BYTES_MAX:
            self._close_unread()

    def _close_unread(self) -> None:
        """Keep the unreadable lines, then send their count."""
        lines, self._unread, self._unread_bytes = self._unread, [], 0
        if not lines:
            return
        pack_id, batch = self._random_bytes(PACK_ID_BYTES), None
        if self._rejects is None:
            batch = Batch(pack_id, self._site, self._minute, len(lines))
        else:
            nonce = self._random_bytes(NONCE_BYTES)
            batch = self._rejects.keep(self._site, self._minute, lines, self._key, pack_id, nonce)
            self.result.invalid_again += len(lines) - (batch.count if batch else 0)
        if batch:
            self._send_count(batch)

    def _send_count(self, batch: Batch) -> None:
        refusal = Refusal(batch.minute, batch.site, "invalid", batch.count)
        nonce = self._random_bytes(NONCE_BYTES)
        closed = close_pack(EDGE, 0, [], [refusal], self._key, batch.pack_id, nonce)

        def reported(kept: bool) -> None:
            if kept and self._rejects is not None:
                self._rejects.counted(batch)
            self._reported(0, kept)

        self._send(0, closed.message, reported)

    def _close(self, partition: int) -> None:
        pack, self._open[partition] = self._open[partition], _Open()
        closed = close_pack(
            EDGE,
            partition,
            pack.rows,
            (),
            self._key,
            self._random_bytes(PACK_ID_BYTES),
            self._random_bytes(NONCE_BYTES),
        )
        self._send(partition, closed.message, partial(self._reported, closed.event_count))

    def _send(self, partition: int, message: bytes, on_delivery: Callable[[bool], None]) -> None:
        self._wait_until(PACKS_UNDER_WAY_MAX - 1)
        self._under_way += 1
        self._outbox.send(partition, message, on_delivery)
        self._outbox.poll(0)
        self._outbox.settle()

    def _reported(self, event_count: int, kept: bool) -> None:
        self._under_way -= 1
        if kept:
            self.result.accepted += event_count
            self.result.packs += 1
        else:
            self._failed += 1

    def _wait_until(self, under_way_max: int) -> None:
        while self._under_way > under_way_max and not self._failed:
            if not self._outbox.poll(STALLED_S):
                raise ImportFailed(
                    f"Kafka has not answered for {STALLED_S:g} s; {self.result.accepted} lines are in"
                )
            self._outbox.settle()
        if self._failed:
            raise ImportFailed(
                f"Kafka did not take {self._failed} packs; {self.result.accepted} lines are in"
            )


def partition_start(site: str, name: str) -> int:
    """What `identity.partition_of` begins with: the CRC of one site and name, which nearly all lines of a log share."""
    return crc32(f"{site}\0{name}\0".encode("utf-8", "surrogatepass"))
