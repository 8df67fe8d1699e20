"""Seam: where a follower of a log stands, on disk; whoever starts after a crash goes on exactly there."""

from __future__ import annotations

import fcntl
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from ingest.logs.rejects import sync_folder


@dataclass(frozen=True, slots=True)
class Position:
    """A place in one generation of a log; a generation is the file from its birth to its rotation."""

    fingerprint: str  # of the first bytes, keyed: it shows nothing of them
    fingerprint_bytes: int
    offset: int  # bytes from the start, of the plain text; everything before it is acknowledged
    mtime_ns: int  # of the file when it was last read
    lines: int = 0  # before the offset


class FollowTaken(Exception):
    """Another program follows this log."""


class PositionFile:
    """One follower's position: replaced as a whole, synced before `save` returns."""

    def __init__(self, path: Path) -> None:
        """Take the file for this process. Raises FollowTaken, OSError."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        self._lock: BinaryIO = path.with_suffix(".lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise FollowTaken(path.name) from None

    def load(self) -> Position | None:
        """The last saved position; None where there is none, or none that can be read: then the log starts again, and
        what was taken before is recognised by its ids."""
        try:
            return Position(**orjson.loads(self._path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def save(self, position: Position) -> None:
        """Raises OSError; then the old position stands."""
        partial = self._path.with_suffix(".partial")
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(orjson.dumps(asdict(position)))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._path)
        sync_folder(self._path.parent)

    def close(self) -> None:
        """Give the position free for another follower."""
        self._lock.close()
