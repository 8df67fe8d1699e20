"""Seam: one generation of a log, the file from its birth to its rotation, read in whole lines from any offset."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, cast

from ingest.logs.compressed import MAGIC_BYTES, Damaged, is_foreign, open_plain, packed_by

FINGERPRINT_BYTES_MAX = 1_024  # lines begin with times and addresses: two generations differ well before
_SCAN_BYTES = 1 << 20


class Generation:
    """An open file. It stays the same generation whatever name it gets; `is_same` tells whether it still is."""

    def __init__(self, path: Path, secret: bytes) -> None:
        """secret: keys the fingerprint. Raises OSError."""
        self.path = path
        self._secret = secret
        self._raw = path.open("rb", buffering=0)
        state = os.fstat(self._raw.fileno())
        self.inode = (state.st_dev, state.st_ino)
        packer = packed_by(os.pread(self._raw.fileno(), MAGIC_BYTES, 0))
        self.is_packed = packer != ""
        self._text = open_plain(cast(BinaryIO, self._raw), packer) if packer else None
        self.offset = 0  # what was read, in bytes of the plain text
        self.lines = 0
        self.fingerprint = ""
        self.fingerprint_bytes = 0

    @property
    def mtime_ns(self) -> int:
        """When it was last written to."""
        return os.fstat(self._raw.fileno()).st_mtime_ns

    def read(self, bytes_max: int) -> bytes:
        """The next whole lines; b"" while there is none. A line longer than bytes_max comes in pieces."""
        chunk = self.rest(bytes_max)
        end = chunk.rfind(b"\n") + 1
        return chunk if not end and len(chunk) >= bytes_max else chunk[:end]

    def rest(self, bytes_max: int) -> bytes:
        """What stands behind the last line end as well, of a file nobody writes to any more.

        Of a packed file that breaks off, still being written or damaged, the whole lines before that; then Damaged.
        """
        if self._text is None:
            self._raw.seek(self.offset)
            return self._raw.read(bytes_max) or b""
        self._text.seek(self.offset)
        found: list[bytes] = []
        left = bytes_max
        try:
            while left and (chunk := self._text.read1(left)):
                found.append(chunk)
                left -= len(chunk)
        except Damaged:
            whole = b"".join(found)
            whole = whole[: whole.rfind(b"\n") + 1]
            if not whole:
                raise
            return whole
        return b"".join(found)

    def advance(self, byte_count: int, line_count: int) -> None:
        """Go on behind what was taken."""
        self.offset += byte_count
        self.lines += line_count
        if self.fingerprint_bytes < FINGERPRINT_BYTES_MAX:
            self.fingerprint_bytes = min(self.offset, FINGERPRINT_BYTES_MAX)
            self.fingerprint = self._fingerprint(self.fingerprint_bytes)

    def is_same(self) -> bool:
        """Whether the file still holds what was read: not truncated, nor written anew from the start."""
        if self.is_packed:
            return True
        if os.fstat(self._raw.fileno()).st_size < self.offset:
            return False
        return (
            self._fingerprint(self.fingerprint_bytes) == self.fingerprint if self.fingerprint_bytes else True
        )

    def matches(self, fingerprint: str, fingerprint_bytes: int) -> bool:
        """Whether it begins with the bytes of this fingerprint."""
        return bool(fingerprint_bytes) and self._fingerprint(fingerprint_bytes) == fingerprint

    def scan(self, offset: int) -> Iterator[bytes]:
        """All lines up to an offset, and go on behind it."""
        text = self._text or self._raw
        text.seek(0)
        left, held = offset, b""
        while left:
            chunk = text.read(min(_SCAN_BYTES, left)) or b""
            if not chunk:
                break
            left -= len(chunk)
            *lines, held = (held + chunk).split(b"\n")
            yield from lines
        if held:
            yield held
        self.offset = offset - left
        self.fingerprint_bytes = 0

    def is_written(self) -> bool | None:
        """Whether a program has the file open for writing; None where the kernel does not tell (not our user's file).

        A read lease is given only on a file that nobody can write to (fcntl(2), F_SETLEASE).
        """
        if self.is_packed:
            return False
        descriptor = self._raw.fileno()
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except BlockingIOError:
            return True
        except OSError:
            return None
        return False

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def _fingerprint(self, byte_count: int) -> str:
        if self._text is not None:
            self._text.seek(0)
            first = self._text.read(byte_count)
        else:
            first = os.pread(self._raw.fileno(), byte_count, 0)
        return blake2b(first, key=self._secret[:64], digest_size=16, person=b"log generation").hexdigest()


def find_rotated(path: Path) -> list[Path]:
    """Files that rotation makes of this one (`access.log.1`, `access.log-20260131.gz`, ...), oldest first."""
    found = []
    for name in os.listdir(path.parent):
        if name.startswith((f"{path.name}.", f"{path.name}-")):
            try:
                state = os.stat(path.parent / name)
            except FileNotFoundError:
                continue
            if not _is_foreign(path.parent / name):
                found.append((state.st_mtime_ns, name))
    return [path.parent / name for _, name in sorted(found)]


def _is_foreign(path: Path) -> bool:
    """Whether it is none of a log's generations, such as a ZIP archive."""
    try:
        with path.open("rb") as file:
            return is_foreign(file.read(MAGIC_BYTES))
    except OSError:  # whoever opens it to read it says so
        return False
