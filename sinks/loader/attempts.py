"""What the loader was busy with when it ended, and how often: a few bytes a partition that outlive the process."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from runtime.logs import get_logger
from schemas.avro_codec import PackError
from schemas.bounds import RawEnds, RawMessage, RawReader

ATTEMPTS_MAX = 3  # loaders a pack may take with it
SUSPECTS_MAX = 32  # ranges with a count; of more the newest stay

_MAGIC = b"fpx-load"
_HEAD = struct.Struct("<8s16sqq")  # magic, whose partition, range under way
_RANGE, _RANGE_AT = struct.Struct("<qq"), 24
_SUSPECT = struct.Struct("<qqI")  # range, loaders that ended while they were busy with it
_NONE = (-1, -1)
_SIZE = _HEAD.size + SUSPECTS_MAX * _SUSPECT.size

Range = tuple[int, int]  # of clean offsets: first, and behind the last


class Attempts:
    """The record of one partition. A range stands in it only while the loader handles its bytes, so a process that
    ended while it waited for Kafka or ClickHouse blames nobody.

    Written in place and never synced: a killed process loses nothing that it wrote. Where nothing can be written,
    nothing is counted. Cost: two calls of 1-2 µs a pack.
    """

    def __init__(self, path: Path | None, owner: str) -> None:
        """Count what the loader before left behind. owner: group, topic id and partition."""
        self._owner = blake2b(owner.encode(), digest_size=16).digest()
        self._suspects: dict[Range, int] = {}
        self._current: Range = _NONE
        self._file: int | None = None
        if path is None:
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._read()
            if self._current != _NONE:
                self._suspects[self._current] = self.ended(*self._current) + 1
                self._current = _NONE
            self._write()
        except OSError as error:
            get_logger().error(
                "attempts_not_written",
                reason=error.strerror,
                advice="make room, or let the loader write into the folder sinks of its data folder: until then a pack "
                "that ends the loader is not put aside",
            )

    def ended(self, first: int, end: int | None = None) -> int:
        """How many loaders ended while they were busy with this range, or with this one message."""
        return self._suspects.get((first, first + 1 if end is None else end), 0)

    @contextmanager
    def at(self, first: int, end: int | None = None) -> Iterator[None]:
        """While this lasts, the end of the process is counted against the range; so is an error nobody expects."""
        self._mark((first, first + 1 if end is None else end))
        try:
            yield
        except PackError:
            self._mark(_NONE)
            raise
        self._mark(_NONE)

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Within `at`: while this lasts, somebody else is waited for, and no pack is to blame."""
        current = self._current
        if current != _NONE:
            self._mark(_NONE)
        yield
        if current != _NONE:
            self._mark(current)

    def forget(self, below: int) -> None:
        """Everything before this offset is loaded."""
        kept = {one: times for one, times in self._suspects.items() if one[0] >= below}
        if len(kept) != len(self._suspects):
            self._suspects = kept
            with suppress(OSError):
                self._write()

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def begin(self, offset: int) -> None:
        """As `at`, until `done`."""
        self._mark((offset, offset + 1))

    def done(self, offset: int) -> None:
        """It went well, or was ended on purpose: nothing is counted, and nothing stays counted."""
        self._mark(_NONE)
        self.forget(offset + 1)

    def _mark(self, current: Range) -> None:
        self._current = current
        if self._file is not None:
            with suppress(OSError):
                os.pwrite(self._file, _RANGE.pack(*current), _RANGE_AT)

    def _read(self) -> None:
        assert self._file is not None
        record = os.pread(self._file, _SIZE, 0)
        if len(record) != _SIZE:
            return
        magic, owner, first, end = _HEAD.unpack_from(record)
        if magic == _MAGIC and owner == self._owner:
            self._current = (first, end)
            self._suspects = {
                (one, behind): times
                for one, behind, times in _SUSPECT.iter_unpack(record[_HEAD.size :])
                if times
            }

    def _write(self) -> None:
        if self._file is None:
            return
        suspects = [(*one, times) for one, times in sorted(self._suspects.items())[-SUSPECTS_MAX:]]
        suspects += [(0, 0, 0)] * (SUSPECTS_MAX - len(suspects))
        head = _HEAD.pack(_MAGIC, self._owner, *self._current)
        os.pwrite(self._file, head + b"".join(_SUSPECT.pack(*one) for one in suspects), 0)


class Unblamed:
    """The raw topic, asked within `Attempts.at`: that Kafka keeps somebody waiting is no pack's doing."""

    def __init__(self, raw: RawReader, attempts: Attempts) -> None:
        self._raw = raw
        self._attempts = attempts

    def topic_id(self) -> str:
        with self._attempts.elsewhere():
            return self._raw.topic_id()

    def ends(self, partition: int, time_ms: int, offset: int | None = None) -> RawEnds:
        with self._attempts.elsewhere():
            return self._raw.ends(partition, time_ms, offset)

    def first_at(self, partition: int, offset: int) -> RawMessage | None:
        with self._attempts.elsewhere():
            return self._raw.first_at(partition, offset)
