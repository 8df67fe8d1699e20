"""The spool of a running edge: packs Kafka does not have yet, acknowledged after one fsync for all that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ingest.packing.spool_files import Record, SpoolFiles
from runtime.logs import get_logger

OnKept = Callable[[bool], None]
Notify = Callable[
    [Callable[[], None]], object
]  # runs a function on the owner's thread, such as loop.call_soon_threadsafe

PROBE_S = 1.0  # how often a disk that took nothing is tried again

log = get_logger()


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """When the spool is full: the edge then answers 503."""

    size_bytes_max: int
    age_ms_max: int  # of its oldest pack: half of what the raw topic keeps


class Spool:
    """Writes in a thread of its own. `append`, `is_full` and the counts belong to the owner's thread."""

    def __init__(self, files: SpoolFiles, limits: SpoolLimits, notify: Notify) -> None:
        self.files = files
        self._limits = limits
        self._notify = notify
        self._pending: list[tuple[Record, OnKept]] = []
        self._pending_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self.problem = ""  # why the disk takes nothing, in the system's words; "" while it does
        self._oldest_ms = files.oldest_ms
        self._thread = threading.Thread(target=self._write, name="spool", daemon=True)
        self._thread.start()

    def append(self, record: Record, on_kept: OnKept) -> None:
        """Keep one pack; `on_kept` hears True once it is on disk, False when it could not be written."""
        with self._changed:
            self._pending.append((record, on_kept))
            self._pending_bytes += len(record.message)
            self._changed.notify()
        if not self._oldest_ms:
            self._oldest_ms = record.at_ms

    def is_full(self, now_ms: int) -> bool:
        """Whether the spool takes nothing more: too large, its oldest pack too old, or the disk takes nothing."""
        if self.problem or self.files.size_bytes + self._pending_bytes >= self._limits.size_bytes_max:
            return True
        return bool(self._oldest_ms) and now_ms - self._oldest_ms > self._limits.age_ms_max

    def released(self) -> None:
        """To be called after packs left the spool, on the owner's thread: the oldest is another now."""
        self._oldest_ms = self.files.oldest_ms

    @property
    def is_alive(self) -> bool:
        """Whether the writing thread runs."""
        return self._thread.is_alive()

    @property
    def fill(self) -> float:
        """How full it is by size: 0 to 1."""
        return (self.files.size_bytes + self._pending_bytes) / self._limits.size_bytes_max

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is pending, end the thread and give the folder back."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        self.files.close()

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._pending and not self._closing:
                    if not self._changed.wait(PROBE_S if self.problem else None):
                        break
                group, self._pending = self._pending, []
            if group:
                kept = self._try(lambda group=group: self.files.append([record for record, _ in group]))  # type: ignore[misc]
                self._notify(lambda group=group, kept=kept: self._settle(group, kept))  # type: ignore[misc]
            elif self._closing:
                return
            else:
                self._try(self.files.probe)

    def _try(self, write: Callable[[], None]) -> bool:
        """One write to the disk; its trouble is logged when it begins and when it ends, not each second."""
        try:
            write()
        except OSError as error:
            if not self.problem:
                log.error(
                    "spool_write_failed", reason=error.strerror, next="503 until the disk takes packs again"
                )
            self.problem = error.strerror or type(error).__name__
            return False
        if self.problem:
            log.info("spool_writes_again")
        self.problem = ""
        return True

    def _settle(self, group: list[tuple[Record, OnKept]], kept: bool) -> None:
        with self._changed:
            self._pending_bytes -= sum(len(record.message) for record, _ in group)
        for _, on_kept in group:
            on_kept(kept)
