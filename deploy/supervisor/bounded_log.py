"""A log file that never costs its writer anything: bounded, and what the disk does not take is dropped and counted.

supervisord's own handler prints a traceback when a write fails, on a stderr that is a file of the same full disk:
that second failure leaves its main loop, and nothing is supervised any more.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from io import FileIO
from typing import Any

from supervisor import loggers

# seconds between two tries to open a file that could not be opened; writing to an open one is tried each time
REOPEN_S = 1.0

# Lines lost since this process began, by file name. Kept here, as a handler lives only as long as its program.
lost_lines: Counter[str] = Counter()
_not_yet_reported: Counter[str] = Counter()


class BoundedLog(loggers.Handler):  # type: ignore[misc]
    """Takes the place of supervisord's FileHandler and RotatingFileHandler; no method raises OSError.

    A file reaches `maxBytes` and becomes NAME.1, so that NAME and NAME.1 are all there ever is. When there is room
    again the first line says how many are missing there. Unbuffered: what was lost does not come back inside a line.
    """

    def __init__(
        self, filename: str, mode: str = "ab", maxBytes: int = 0, backupCount: int = 1, now: Any = time.monotonic
    ) -> None:  # fmt: skip
        super().__init__()
        self.baseFilename = filename
        self.mode = mode
        self.maxBytes = maxBytes
        self._keeps_one_before = backupCount > 0
        self._now = now
        self._next_open_at = 0.0
        self._size = 0
        self.stream: FileIO | None = None
        self._is_open()

    def emit(self, record: Any) -> None:
        """Write one record, or count it as lost."""
        self.write(self._encode(record))

    def write(self, data: bytes) -> None:
        """Append `data` as it is, or count its lines as lost."""
        if not self._is_open() or not self._has_place_for(data):
            self._drop(data)
            return
        if missing := _not_yet_reported[self.baseFilename]:
            # From a new line: the last one may have been cut by the end of the room.
            if self._append(b"\n-- %d lines are missing here: the disk did not take them --\n" % missing):
                self._drop(data)
                return
            del _not_yet_reported[self.baseFilename]
        if rest := self._append(data):
            self._drop(rest)

    def flush(self) -> None:
        """Nothing waits to be written."""

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        stream, self.stream = self.stream, None
        if stream is not None:
            try:
                stream.close()
            except OSError:
                return

    def reopen(self) -> None:
        """Open it anew, as somebody may have moved it away."""
        self.close()
        self._next_open_at = 0.0

    def remove(self) -> None:
        """Begin with an empty file."""
        self.close()
        try:
            os.remove(self.baseFilename)
        except OSError:
            return

    def _encode(self, record: Any) -> bytes:
        if self.fmt == "%(message)s" and isinstance(record.msg, bytes):
            return record.msg  # a program's output, as it came
        return str(self.fmt % record.asdict()).encode("utf-8", "backslashreplace")

    def _is_open(self) -> bool:
        if self.stream is not None:
            return True
        if self._now() < self._next_open_at:
            return False
        try:
            self.stream = FileIO(self.baseFilename, "ab")
            self._size = os.fstat(self.stream.fileno()).st_size
        except OSError:
            self.close()
            self._next_open_at = self._now() + REOPEN_S
            return False
        return True

    def _has_place_for(self, data: bytes) -> bool:
        """Rotate where the bound is reached. A rename needs no room; where it fails, the file still does not grow."""
        if not self.maxBytes or not self._size or self._size + len(data) <= self.maxBytes:
            return True
        try:
            if self._keeps_one_before:
                os.replace(self.baseFilename, f"{self.baseFilename}.1")
            else:
                os.remove(self.baseFilename)
        except FileNotFoundError:
            pass  # somebody has taken it away
        except OSError:
            return False
        self.reopen()
        return self._is_open()

    def _append(self, data: bytes) -> bytes:
        """Returns what the disk did not take."""
        while data:
            try:
                written = self.stream.write(data) if self.stream is not None else None
            except OSError:
                return data
            if not written:
                return data
            self._size += written
            data = data[written:]
        return b""

    def _drop(self, data: bytes) -> None:
        lines = data.count(b"\n") or 1
        lost_lines[self.baseFilename] += lines
        _not_yet_reported[self.baseFilename] += lines
