"""Seam: one edge's spool on disk, sealed packs in append-only segment files, and the lock that says whose they are.

A record is on disk once `append` has returned. A segment that a dead process left is never written to again, so a
torn record can only stand at a segment's end, and was never acknowledged. Segments are removed when all their packs
are in Kafka; after a crash the packs of the first segment may be sent again, with the same pack ids.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import threading
from collections.abc import Iterator, Sequence
from enum import Enum
from io import FileIO
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from runtime.logs import get_logger

SEGMENT_BYTES_MAX = 8_000_000  # so at most this much is sent again after a crash
PROBE_BYTES = 1_000_000  # as much room as a few packs take
HEADER = struct.Struct(
    ">IIHQ"
)  # length of the message, CRC-32 of what follows the CRC, partition, ms since 1970
_BEHIND_CRC = struct.Struct(">HQ")
SEGMENT_NAME = re.compile(r"\d{12}\.seg")

log = get_logger()


class Record(NamedTuple):
    """One spooled pack."""

    partition: int
    at_ms: int  # when it was spooled
    message: bytes


class SpoolTaken(Exception):
    """Another process holds this spool."""


class SpoolFiles:
    """The segments of one folder, oldest first. Every method may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        """Take the folder for this process. Raises SpoolTaken where a live edge has it, OSError."""
        self.folder = folder
        self._lock = threading.Lock()
        self._owner = _take(folder)
        self._segments = sorted(path for path in folder.iterdir() if SEGMENT_NAME.fullmatch(path.name))
        self._sizes = {path: path.stat().st_size for path in self._segments}
        self._head = 0  # position in the first segment up to which all is in Kafka
        self._output: FileIO | None = None
        self._next_number = int(self._segments[-1].stem) + 1 if self._segments else 1
        self._counts = {path: sum(1 for _ in _scan(path)) for path in self._segments}
        self.size_bytes = sum(self._sizes.values())

    def append(self, records: Sequence[Record]) -> None:
        """Put packs behind the others, with one fsync for all. Raises OSError: then none of them is in the spool."""
        with self._lock:
            output = self._output or self._begin_segment()
            path = self._segments[-1]
            before = self._sizes[path]
            data = b"".join(map(_encode, records))
            try:
                _write_all(output, data)
                os.fsync(output.fileno())
            except OSError:
                self._abandon(path, before)
                raise
            self._sizes[path] = before + len(data)
            self._counts[path] += len(records)
            self.size_bytes += len(data)
            if self._sizes[path] >= SEGMENT_BYTES_MAX:
                self._end_segment()

    def probe(self) -> None:
        """Write and remove a file of PROBE_BYTES. Raises OSError where the disk takes it not."""
        path = self.folder / "probe"
        try:
            with FileIO(path, "wb") as file:
                _write_all(file, bytes(PROBE_BYTES))
                os.fsync(file.fileno())
        finally:
            path.unlink(missing_ok=True)

    def read(self, bytes_max: int) -> list[Record]:
        """The oldest packs, of one segment; none when the spool is empty. `release` takes them out."""
        with self._lock:
            while self._segments:
                path = self._segments[0]
                found, end, rest = _read(path, self._head, self._sizes[path], bytes_max)
                if found:
                    self._read_end, self._read_count = end, len(found)
                    return found
                _report_rest(path, rest, self._head, self._sizes[path])
                self._remove_first()
            return []

    def release(self) -> None:
        """Take out what the last `read` gave: it is in Kafka."""
        with self._lock:
            path = self._segments[0]
            self._head = self._read_end
            self._counts[path] -= self._read_count
            if self._head >= self._sizes[path]:
                self._remove_first()

    @property
    def pack_count(self) -> int:
        """Packs that are not in Kafka yet."""
        return sum(self._counts.values())

    @property
    def oldest_ms(self) -> int:
        """When the oldest pack was spooled, ms since 1970; 0 when the spool is empty."""
        with self._lock:
            for path in self._segments[:1]:
                for record in _scan(path, self._head):
                    return record.at_ms
        return 0

    def close(self) -> None:
        """Give the folder back; an empty one is removed."""
        with self._lock:
            if self._output is not None:
                self._end_segment()
            empty = not self._segments
            if empty:
                (self.folder / "lock").unlink(missing_ok=True)
            os.close(self._owner)
            if empty:
                try:
                    self.folder.rmdir()
                except OSError:
                    return  # somebody begins here already, or damaged segments lie here for an operator to look at

    def _begin_segment(self) -> FileIO:
        path = self.folder / f"{self._next_number:012d}.seg"
        output = FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
        self._next_number += 1
        try:
            _sync_folder(self.folder)  # the name must survive too
        except OSError:
            output.close()
            path.unlink(missing_ok=True)
            raise
        self._segments.append(path)
        self._sizes[path] = self._counts[path] = 0
        self._output = output
        return output

    def _end_segment(self) -> None:
        if self._output is not None:
            output, self._output = self._output, None
            output.close()

    def _abandon(self, path: Path, size: int) -> None:
        """After a failed write: what was whole before stays, and the next try begins a new file."""
        output, self._output = self._output, None
        try:
            if output is not None:
                output.truncate(size)
                output.close()
        except OSError:
            log.error("spool_segment_torn", segment=path.name)
        if not size:  # a disk that stays full must not fill with empty files
            self._segments.remove(path)
            del self._sizes[path], self._counts[path]
            path.unlink(missing_ok=True)

    def _remove_first(self) -> None:
        path = self._segments.pop(0)
        if not self._segments:
            self._end_segment()
        self.size_bytes -= self._sizes.pop(path)
        self._counts.pop(path)
        self._head = 0
        path.unlink(missing_ok=True)


def adopt_spools(root: Path) -> Iterator[SpoolFiles]:
    """Every spool below `root` that nobody holds and that is not empty: what a dead edge left."""
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        try:
            spool = SpoolFiles(folder)
        except (SpoolTaken, OSError):
            continue
        if spool.pack_count:
            yield spool
        else:
            spool.close()


def claim_spool(root: Path, name: str, slots_max: int = 64) -> SpoolFiles:
    """The first free of `name-1`, `name-2`, ...: a restarted edge finds its own. Raises SpoolTaken, OSError."""
    for number in range(1, slots_max + 1):
        try:
            return SpoolFiles(root / f"{name}-{number}")
        except SpoolTaken:
            continue
    raise SpoolTaken(f"all {slots_max} spools of {name} are in use")


def _take(folder: Path) -> int:
    """Hold the folder's lock; the kernel gives it back when the process ends, however it ends."""
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # its last owner removed the folder in between
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise SpoolTaken(folder.name) from None
        try:
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # a lock on a file its last owner has removed protects nothing


def _scan(path: Path, start: int = 0) -> Iterator[Record]:
    """The records of a segment without their messages; stops at the first that is not whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(start)
        while len(head := file.read(HEADER.size)) == HEADER.size:
            length, _, partition, at_ms = HEADER.unpack(head)
            if file.tell() + length > size:
                return
            file.seek(length, os.SEEK_CUR)
            yield Record(partition, at_ms, b"")


class _Rest(Enum):
    """What stands behind the last readable record of a segment."""

    NOTHING = 0
    TORN = 1  # the end of a write that never finished, and so was never acknowledged
    DAMAGED = 2


def _read(path: Path, start: int, end: int, bytes_max: int) -> tuple[list[Record], int, _Rest]:
    """Whole records from `start`, at least one where there is one; where they end; and what follows."""
    found: list[Record] = []
    with path.open("rb") as file:
        file.seek(start)
        position = start
        while position < end and position - start < bytes_max:
            head = file.read(HEADER.size)
            if len(head) < HEADER.size:
                return found, position, _Rest.TORN
            length, checksum, partition, at_ms = HEADER.unpack(head)
            if position + HEADER.size + length > end:
                return found, position, _Rest.TORN
            message = file.read(length)
            if crc32(message, crc32(_BEHIND_CRC.pack(partition, at_ms))) != checksum:
                return found, position, _Rest.DAMAGED
            found.append(Record(partition, at_ms, message))
            position += HEADER.size + length
    return found, position, _Rest.NOTHING


def _encode(record: Record) -> bytes:
    behind = _BEHIND_CRC.pack(record.partition, record.at_ms)
    checksum = crc32(record.message, crc32(behind))
    return HEADER.pack(len(record.message), checksum, record.partition, record.at_ms) + record.message


def _write_all(output: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[output.write(view) or 0 :]


def _report_rest(path: Path, rest: _Rest, start: int, end: int) -> None:
    """Damage is kept for somebody to look at; a torn end holds nothing that was acknowledged."""
    match rest:
        case _Rest.TORN:
            log.warning("spool_segment_torn", segment=path.name, bytes=end - start)
        case _Rest.DAMAGED:
            kept = path.with_suffix(".damaged")
            kept.unlink(missing_ok=True)
            os.link(path, kept)
            log.error(
                "spool_segment_damaged",
                segment=path.name,
                from_byte=start,
                bytes=end - start,
                kept_as=kept.name,
            )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
