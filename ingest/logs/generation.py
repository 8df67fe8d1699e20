"""Seam: one generation of a log, the file from its birth to its rotation, read in whole lines from any offset."""

from __future__ import annotations

import fcntl
import gzip
import os
import zlib
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, cast

FINGERPRINT_BYTES_MAX = 1_024  # lines begin with times and addresses: two generations differ well before
GZIP_MAGIC = b"\x1f\x8b"
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
        self.is_gzip = os.pread(self._raw.fileno(), 2, 0) == GZIP_MAGIC
        self._text = cast(
            BinaryIO, gzip.GzipFile(fileobj=self._raw, mode="rb") if self.is_gzip else self._raw
        )
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
        """What stands behind the last line end as well, of a file nobody writes to any more."""
        try:
            self._text.seek(self.offset)
            return self._text.read(bytes_max) or b""
        except (EOFError, zlib.error) as error:  # a gzip file that is still being written, or damaged
            raise OSError(str(error)) from None

    def advance(self, byte_count: int, line_count: int) -> None:
        """Go on behind what was taken."""
        self.offset += byte_count
        self.lines += line_count
        if self.fingerprint_bytes < FINGERPRINT_BYTES_MAX:
            self.fingerprint_bytes = min(self.offset, FINGERPRINT_BYTES_MAX)
            self.fingerprint = self._fingerprint(self.fingerprint_bytes)

    def is_same(self) -> bool:
        """Whether the file still holds what was read: not truncated, nor written anew from the start."""
        if self.is_gzip:
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
        self._text.seek(0)
        left, held = offset, b""
        while left:
            try:
                chunk = self._text.read(min(_SCAN_BYTES, left))
            except (EOFError, zlib.error) as error:
                raise OSError(str(error)) from None
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
        if self.is_gzip:
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
        if self.is_gzip:
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
            found.append((state.st_mtime_ns, name))
    return [path.parent / name for _, name in sorted(found)]
