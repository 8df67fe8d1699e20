"""Which pack was being decided when a worker ended, and how often: a few bytes a partition that outlive the process."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

ATTEMPTS_MAX = 3  # workers a pack may take with it
# Packs under way at the end of a worker are decided again before the one that ended it, so its count must outlast them.
SUSPECTS_MAX = 32

_MAGIC = b"fpx-try2"
_HEAD = struct.Struct("<8s16sqq")  # magic, topic, first offset of the run being decided, how many it has
_RUN, _RUN_AT = struct.Struct("<qq"), 24
_SUSPECT = struct.Struct("<qI")  # offset, workers that ended while they decided it
_NONE = (-1, 0)
_SIZE = _HEAD.size + SUSPECTS_MAX * _SUSPECT.size


class Attempts:
    """The record of one partition. It is written before a decision and cleared after it, so that it names a pack only
    where a worker ended in the middle of deciding it: by itself, by its watchdog or by kill -9. The end of a worker
    that decided several packs as one is counted against none: each of them is to be decided by itself next time.

    Written in place, 2 µs each time, and never synced: a killed process loses nothing that it wrote, and after a power
    cut it is counted again.
    """

    def __init__(self, path: Path, topic_id: str) -> None:
        """Count what the worker before left behind. Raises OSError."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._topic = blake2b(topic_id.encode(), digest_size=16).digest()
        self._suspects: dict[int, int] = {}
        self._current = _NONE
        self._read()
        offset, count = self._current
        self.alone_until = offset + count  # packs before this offset are to be decided one by one
        if count == 1:
            self._suspects[offset] = self.ended(offset) + 1
        self._current = _NONE
        self._write()

    def ended(self, offset: int) -> int:
        """How many workers ended while they decided this pack."""
        return self._suspects.get(offset, 0)

    def is_alone(self, offset: int) -> bool:
        """Whether this pack is to be decided by itself: what ended a worker must not take others with it."""
        return offset < self.alone_until or offset in self._suspects

    @contextmanager
    def deciding(self, offset: int, count: int = 1, *, keep: bool = False) -> Iterator[None]:
        """While this lasts, the end of the process is counted against this pack; of several, see above.

        keep: what was counted before stays afterwards.
        """
        self._mark((offset, count))
        try:
            yield
        finally:  # whatever was raised, the process lives
            if keep or self._suspects.pop(offset, None) is None:
                self._mark(_NONE)
            else:
                self._current = _NONE
                self._write()

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Within a decision: while this lasts, what happens is the disk's doing and not the pack's."""
        current = self._current
        self._mark(_NONE)
        try:
            yield
        finally:
            self._mark(current)

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)

    def _mark(self, current: tuple[int, int]) -> None:
        self._current = current
        os.pwrite(self._file, _RUN.pack(*current), _RUN_AT)

    def _read(self) -> None:
        record = os.pread(self._file, _SIZE, 0)
        if len(record) != _SIZE:
            return
        magic, topic, offset, count = _HEAD.unpack_from(record)
        if magic == _MAGIC and topic == self._topic:
            self._current = (offset, count)
            self._suspects = {
                offset: times for offset, times in _SUSPECT.iter_unpack(record[_HEAD.size :]) if times
            }

    def _write(self) -> None:
        """All of it at once; of too many suspects the newest stay."""
        suspects = sorted(self._suspects.items())[-SUSPECTS_MAX:]
        suspects += [(0, 0)] * (SUSPECTS_MAX - len(suspects))
        head = _HEAD.pack(_MAGIC, self._topic, *self._current)
        os.pwrite(self._file, head + b"".join(_SUSPECT.pack(*one) for one in suspects), 0)
