"""Imports access logs: lines → rows → sealed packs → Kafka, all acknowledged before it ends; safe to run again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from ingest.access_log import NAME, LineIds, LineReader
from ingest.outbox import Outbox
from ingest.pack import close_pack
from ingest.row import EVENT_ID, Row
from schemas.identity import partition_of
from schemas.pack import PackLimits, Refusal
from schemas.ring import Key
from schemas.seal import NONCE_BYTES, PACK_ID_BYTES

EDGE = "logs-import"
PACKS_UNDER_WAY_MAX = 64  # 64 x about 60 kB sealed
INVALID_NAMED_MAX = 20  # line numbers that are remembered
ROW_BYTES_FIXED = 600  # of a row beside its line
STALLED_S = 15.0  # without any word from Kafka


class ImportFailed(Exception):
    """Kafka did not take everything. What it took stays, and a second import adds nothing twice."""


@dataclass(slots=True)
class Imported:
    """What became of the lines: `lines == accepted + invalid`."""

    lines: int = 0
    accepted: int = 0  # acknowledged by Kafka
    invalid: int = 0
    invalid_lines: list[int] = field(default_factory=list)  # numbers of the first few, from 1
    packs: int = 0


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
        limits: PackLimits | None = None,
    ) -> None:
        self._outbox = outbox
        self._site = site
        self._key = key
        self._minute = now_ms // 60_000 * 60
        self._random_bytes = random_bytes
        self._limits = limits or PackLimits()
        self._open = [_Open() for _ in range(partition_count)]
        self._invalid_unsent = 0
        self._under_way = 0
        self._failed = 0
        self.result = Imported()

    def feed(
        self, lines: Iterable[bytes], read: LineReader, ids: LineIds, on_pack: Callable[[], None]
    ) -> None:
        """Take the lines of one file; `on_pack` is called now and then, for a progress bar. Raises ImportFailed.

        Ordinals count within one file: give each file ids of its own.
        """
        result, partitions = self.result, len(self._open)
        count_max, size_max = self._limits.event_count_max, self._limits.size_bytes_max
        for number, line in enumerate(lines, start=1):
            result.lines += 1
            line = line.rstrip(b"\r\n")
            row = read(line, ids.next(line))
            if row is None:
                self._refuse(number)
                continue
            partition = partition_of(self._site, NAME, row[EVENT_ID], partitions)
            pack = self._open[partition]
            pack.rows.append(row)
            pack.size_bytes += 3 * len(line) + ROW_BYTES_FIXED  # a byte that is no UTF-8 becomes three
            if len(pack.rows) >= count_max or pack.size_bytes > size_max - 100_000:
                self._close(partition)
                on_pack()

    def finish(self) -> Imported:
        """Send what is left and wait for Kafka's word on everything. Raises ImportFailed."""
        for partition, pack in enumerate(self._open):
            if pack.rows or self._invalid_unsent:
                self._close(partition)
        self._wait_until(0)
        return self.result

    def _refuse(self, number: int) -> None:
        self.result.invalid += 1
        self._invalid_unsent += 1
        if len(self.result.invalid_lines) < INVALID_NAMED_MAX:
            self.result.invalid_lines.append(number)

    def _close(self, partition: int) -> None:
        pack, self._open[partition] = self._open[partition], _Open()
        refusals = (
            [Refusal(self._minute, self._site, "invalid", self._invalid_unsent)]
            if self._invalid_unsent
            else []
        )
        self._invalid_unsent = 0
        closed = close_pack(
            EDGE,
            partition,
            pack.rows,
            refusals,
            self._key,
            self._random_bytes(PACK_ID_BYTES),
            self._random_bytes(NONCE_BYTES),
        )
        self._wait_until(PACKS_UNDER_WAY_MAX - 1)
        self._under_way += 1
        self._outbox.send(partition, closed.message, partial(self._reported, closed.event_count))
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
