"""Seam: the plain text of a log file, whatever packed it: gzip, zstd, xz or bzip2, told by its first bytes.

A file is a row of members (RFC 1952, section 2.2, and the like in the others): rotation, load balancers and `cat` make
such files. One that ends too early or is damaged gives what stands before that, then `Damaged`.
"""

from __future__ import annotations

import bz2
import io
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol, cast

from runtime.errors import UserError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC_BYTES = 10
_READ_BYTES = 1 << 16  # of the packed file at once: what stands behind a member in it is copied for each
_PLAIN_BYTES = 1 << 20
_XZ_MEMORY_BYTES_MAX = 512 << 20  # of xz -9 it takes 65 MB
_ZSTD_WINDOW_LOG_MAX = 27  # 128 MB, what the command zstd takes without --long
_BAD = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError, ValueError)


class Damaged(OSError):
    """A packed file that ends too early or whose bytes are wrong."""


class _Member(Protocol):
    """What the decompressors of bz2, lzma and zstd have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's decompressor as the others are: it keeps what it had no room for."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._member.decompress(self._member.unconsumed_tail or data, max_length)


def _unxz() -> _Member:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES_MAX)


def _unzstd() -> _Member:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX})


_PACKED: tuple[tuple[bytes, str, Callable[[], _Member]], ...] = (
    (b"\x1f\x8b", "gzip", _Gzip),
    (b"\x28\xb5\x2f\xfd", "zstd", _unzstd),
    (b"\xfd7zXZ\0", "xz", _unxz),
    *(
        (b"BZh%d%s" % (level, block), "bzip2", bz2.BZ2Decompressor)
        for level in range(1, 10)
        for block in (b"1AY&SY", b"\x17rE8P\x90")  # the first block, or the end of an empty file
    ),
)
# What cannot be read, what it is, and what the operator can do.
_UTF_16 = ("UTF-16 text", "iconv -f UTF-16 -t UTF-8 FILE | fairpixel logs import - ...")
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"\xff\xfe", *_UTF_16),
    (b"\xfe\xff", *_UTF_16),
    (b"PK\x03\x04", "a ZIP archive", "unzip -p FILE | fairpixel logs import - ..."),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x -so FILE | fairpixel logs import - ..."),
    (b"\x04\x22\x4d\x18", "packed by lz4", "lz4 -dc FILE | fairpixel logs import - ..."),
    (b"\x1f\x9d", "packed by compress", "zcat FILE | fairpixel logs import - ..."),
    (b"PAR1", "a Parquet file", "Write it as lines first."),
)


def packed_by(first_bytes: bytes) -> str:
    """The name of what packed a file; "" for a plain one. first_bytes: MAGIC_BYTES of it."""
    return next((name for magic, name, _ in _PACKED if first_bytes.startswith(magic)), "")


def check_readable(first_bytes: bytes, name: str) -> None:
    """Raises UserError for a file that is no log, packed or plain, by its first MAGIC_BYTES."""
    for magic, what, hint in _FOREIGN:
        if first_bytes.startswith(magic):
            raise UserError(f"{name} is {what}, which cannot be read.", hint)
    if first_bytes[1:6:2] == b"\0\0\0" or first_bytes[:6:2] == b"\0\0\0":
        raise UserError(f"{name} is {_UTF_16[0]}, which cannot be read.", _UTF_16[1])


def is_foreign(first_bytes: bytes) -> bool:
    """Whether `check_readable` would raise."""
    try:
        check_readable(first_bytes, "")
    except UserError:
        return True
    return False


def open_plain(raw: BinaryIO, packer: str) -> io.BufferedReader:
    """The plain text of a file that this packed. What it reads raises Damaged where the file's own bytes are wrong."""
    make = next(make for _, name, make in _PACKED if name == packer)
    return io.BufferedReader(_Members(raw, packer, make), _PLAIN_BYTES)


class _Members(io.RawIOBase):
    """The plain text of all members; backwards it goes by starting anew."""

    def __init__(self, raw: BinaryIO, packer: str, make: Callable[[], _Member]) -> None:
        self._raw, self._packer, self._make = raw, packer, make
        self._member = make()
        self._pending = b""  # read of the file, and not given to the member
        self._began = False  # whether the member has any byte
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        plain = self._read(len(view))
        view[: len(plain)] = plain
        self._position += len(plain)
        return len(plain)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence != io.SEEK_SET:
            raise io.UnsupportedOperation("a packed file has no known end")
        if offset < self._position:
            self._raw.seek(0)
            self._member, self._pending, self._began, self._position = self._make(), b"", False, 0
        while self._position < offset:
            plain = self._read(min(_PLAIN_BYTES, offset - self._position))
            if not plain:
                break
            self._position += len(plain)
        return self._position

    def _read(self, size: int) -> bytes:
        """The next bytes, at least one; b"" at the end."""
        while True:
            if self._member.eof:
                self._pending, self._member, self._began = self._member.unused_data, self._make(), False
            if not self._began:
                self._pending = self._pending.lstrip(b"\0")  # padding between members
            if self._pending or self._began:
                try:
                    plain = self._member.decompress(self._pending, size)
                except _BAD as error:
                    raise Damaged(f"its bytes are no {self._packer}: {error}") from None
                self._began, self._pending = True, b""
                if plain or self._member.eof:
                    if plain:
                        return plain
                    continue
            self._pending = self._raw.read(_READ_BYTES)
            if not self._pending:
                if self._began:
                    raise Damaged(f"it ends in the middle of what {self._packer} packed")
                return b""
