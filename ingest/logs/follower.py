"""Follows one access log through its rotations: what stands in it is acknowledged by Kafka, then the position is kept.

A log is a row of generations (see log_generation.py). One is read to its end, and left once nobody writes to it; then
comes the next younger. The ids of its lines are those an import of the same file makes: ordinals count from the
generation's start, so after a crash everything before the position is counted again without being sent.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ingest.logs.access_log import BYTE_ORDER_MARK, LineIds, LineReader
from ingest.logs.generation import Generation, find_rotated
from ingest.logs.importer import Imported, LogImport
from ingest.logs.position import Position, PositionFile

CHUNK_BYTES = 4_000_000  # at most this much is sent again after a crash
LINES_LOOKED_AT = 1_000  # to tell the format
QUIET_S = 5.0  # a rotated file of somebody else's is left when it has not changed for so long

Mark = tuple[tuple[int, int], int]  # device and inode, time of the last change (ns)


@dataclass(frozen=True, slots=True)
class FollowDependencies:
    """What a follower needs, as functions so that it can start anew after a failure."""

    make_import: Callable[[], LogImport]
    # Given the first lines of a generation; None while they do not tell the format. True: there will be no more lines.
    make_reader: Callable[[Sequence[bytes], bool], LineReader | None]
    secret: bytes
    now_ns: Callable[[], int] = time.time_ns
    # Told what became of lines that were taken, and the first of them that nobody could read.
    on_taken: Callable[[Imported, Sequence[tuple[int, bytes]]], None] = lambda _, __: None


class LogFollow:
    """A follower; `turn` looks once. After an exception from `turn`, call `start_again` and go on."""

    def __init__(
        self, path: Path, positions: PositionFile, dependencies: FollowDependencies, remove: bool = False
    ) -> None:
        """remove: delete a rotated file once all of it is acknowledged; then the files are a queue, and those that
        were rotated before the start belong to it."""
        self._path = path
        self._positions = positions
        self._dependencies = dependencies
        self._remove = remove
        self._current: Generation | None = None
        self._reader: LineReader | None = None
        self._ids = LineIds(dependencies.secret)
        self._pending_sent = False
        # When the last generation that was read to its end was last written to.
        self._left_ns: int | None = None
        self._left: deque[Mark] = deque(maxlen=1_000)  # the last generations that were read to their end
        self.total = Imported()

    def turn(self) -> int:
        """Take the lines that are there, CHUNK_BYTES at most; 0 when there is nothing to do but wait.

        Raises ImportFailed where Kafka does not take them, OSError where a file cannot be read.
        """
        if not self._pending_sent:
            self._send_pending()
        current = self._current or (self._find() if self._left_ns is None else self._begin(self._younger()))
        if current is None:
            return 0
        chunk = current.read(CHUNK_BYTES)
        if not current.is_same():  # after reading: what was read is of this generation
            self._leave_truncated(current)
            return 1
        if chunk:
            return self._take(current, chunk)
        if not self._is_over(current):
            return 0
        if last := current.read(CHUNK_BYTES) or current.rest(CHUNK_BYTES):
            return self._take(current, last, True)
        self._leave(current)
        return 1

    def start_again(self) -> None:
        """Forget everything but the kept position."""
        if self._current is not None:
            self._current.close()
        self._current, self._pending_sent, self._left_ns = None, False, None

    @property
    def live_offset(self) -> int:
        """Bytes taken of the file that has the log's own name."""
        return self._current.offset if self._current is not None and self._has_name(self._current) else 0

    def close(self) -> None:
        """Close the file and give the position free."""
        self.start_again()
        self._positions.close()

    def _send_pending(self) -> None:
        importing = self._dependencies.make_import()
        importing.send_pending()
        importing.finish()
        self._pending_sent = True

    def _take(self, current: Generation, chunk: bytes, is_last: bool = False) -> int:
        """Send lines, wait for Kafka's word, then keep the position."""
        lines = chunk.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if self._reader is None:
            self._reader = self._dependencies.make_reader(lines[:LINES_LOOKED_AT], is_last)
        reader = self._reader
        if reader is None:
            return 0
        reader.now_ms = self._dependencies.now_ns() // 1_000_000
        importing = self._dependencies.make_import()
        importing.feed(lines, reader, self._ids, lambda: None)
        result = importing.finish()
        self._dependencies.on_taken(result, importing.first_invalid)
        current.advance(len(chunk), len(lines))
        self._save(current)
        for name in ("lines", "accepted", "invalid", "invalid_again", "skipped", "packs"):
            setattr(self.total, name, getattr(self.total, name) + getattr(result, name))
        return len(lines)

    def _save(self, current: Generation) -> None:
        self._positions.save(
            Position(
                current.fingerprint,
                current.fingerprint_bytes,
                current.offset,
                current.mtime_ns,
                current.lines,
            )
        )

    def _find(self) -> Generation | None:
        """Where to go on: the generation of the kept position, else what is younger, else the file itself."""
        position = self._positions.load()
        if position is None:
            return self._begin(self._younger() if self._remove else [])
        rotated = find_rotated(self._path)
        for path in (self._path, *reversed(rotated)):
            found = self._open(path)
            if found is None:
                continue
            if found.matches(position.fingerprint, position.fingerprint_bytes):
                return self._resume(found, position.offset)
            found.close()
        self._left_ns = position.mtime_ns
        return self._begin(self._younger())

    def _younger(self) -> list[Path]:
        """Rotated files that were not read: all of a queue, else those younger than what was read."""
        return [
            path
            for path in find_rotated(self._path)
            if (mark := _mark(path)) not in self._left and (self._remove or mark[1] >= (self._left_ns or 0))
        ]

    def _begin(self, rotated: list[Path]) -> Generation | None:
        """Start with the first of these that there is, else with the file itself."""
        for path in (*rotated, self._path):
            found = self._open(path)
            if found is not None:
                return self._resume(found, 0)
        return None

    def _resume(self, found: Generation, offset: int) -> Generation:
        """Go on in a generation; the ids of the lines before are counted again."""
        self._ids, self._reader = LineIds(self._dependencies.secret), None
        head: list[bytes] = []
        for line in found.scan(offset):
            line = line.rstrip(b"\r\n").removeprefix(BYTE_ORDER_MARK)
            self._ids.next(line)
            if len(head) < LINES_LOOKED_AT:
                head.append(line)
        if head:
            self._reader = self._dependencies.make_reader(head, True)
            for line in head:
                if self._reader is not None and line[:1] == b"#":  # a header says how to read what follows
                    self._reader(line, "")
        found.advance(0, 0)
        self._current = found
        return found

    def _open(self, path: Path) -> Generation | None:
        try:
            return Generation(path, self._dependencies.secret)
        except FileNotFoundError:
            return None

    def _has_name(self, current: Generation) -> bool:
        try:
            state = os.stat(self._path)
        except FileNotFoundError:
            return False
        return (state.st_dev, state.st_ino) == current.inode

    def _is_over(self, current: Generation) -> bool:
        """Whether the file was rotated and nobody will write to it again."""
        if self._has_name(current):
            return False
        written = current.is_written()
        if written is None:
            return self._dependencies.now_ns() - current.mtime_ns > QUIET_S * 1e9
        return not written

    def _leave(self, current: Generation) -> None:
        """Everything is acknowledged: on to the next younger generation."""
        self._left_ns = current.mtime_ns
        self._left.append((current.inode, current.mtime_ns))
        if self._remove:
            for path in find_rotated(self._path):
                if _mark(path)[0] == current.inode:
                    path.unlink()
        current.close()
        self._current = None
        self._begin(self._younger())

    def _leave_truncated(self, current: Generation) -> None:
        """The file was emptied in place. What was not read yet stands in the copy that copytruncate made, if any."""
        position = (current.fingerprint, current.fingerprint_bytes)
        offset = current.offset
        current.close()
        self._current = None
        for path in reversed(find_rotated(self._path)):
            copy = self._open(path)
            if copy is None:
                continue
            if copy.matches(*position):
                self._resume(copy, offset)
                return
            copy.close()
        self._begin([])


def _mark(path: Path) -> Mark:
    """What tells a file from one that was given the same inode later."""
    with suppress(FileNotFoundError):
        state = path.stat()
        return (state.st_dev, state.st_ino), state.st_mtime_ns
    return (0, 0), 0


class Rotation:
    """Rotates a log that nobody else rotates: renames it and has its writer open a new one."""

    def __init__(
        self,
        path: Path,
        bytes_max: int,
        seconds_max: float,
        reopen: Callable[[], None],
        now_ns: Callable[[], int],
    ) -> None:
        """reopen: tells the writer; called again while the log is missing, as after a crash between the two."""
        self._path = path
        self._bytes_max, self._seconds_max = bytes_max, seconds_max
        self._reopen, self._now_ns = reopen, now_ns
        self._inode, self._since_ns, self._asked_ns = 0, 0, 0

    def look(self, offset: int) -> None:
        """Rotate where it is time. offset: how much of the file was taken; an untouched file is left alone."""
        now_ns = self._now_ns()
        try:
            state = self._path.stat()
        except FileNotFoundError:
            if now_ns - self._asked_ns > 1e9:
                self._asked_ns = now_ns
                self._reopen()
            return
        if state.st_ino != self._inode or not offset:
            self._inode, self._since_ns = state.st_ino, now_ns
        elif offset >= self._bytes_max or now_ns - self._since_ns >= self._seconds_max * 1e9:
            self._path.rename(self._path.with_name(f"{self._path.name}.{now_ns}"))
            self._asked_ns = now_ns
            self._reopen()
