"""Request bodies: sized or chunked, compressed or plain, inflated piece by piece and never beyond the limit."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import lz4.frame

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.headers import Headers
from deploy.embedded.clickhouse.heads import bad_request

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["CHUNK_BYTES", "Disconnected", "bounded", "has_body", "read_body", "zstd"]

CHUNK_BYTES = 1 << 20
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[^\r\n\x00]*)?\r\n")
_CHUNK_LINE_BYTES_MAX = 1024
_TRAILER_COUNT_MAX = 32
_ZSTD_WINDOW_LOG_MAX = 25  # 32 MiB, up to level 20; each body being read may hold one
_ENCODINGS = ("gzip", "deflate", "zstd", "lz4")


class _Zlib:
    """zlib in the shape of the other two."""

    def __init__(self, window_bits: int) -> None:
        self._inflate = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


class Disconnected(Exception):
    """The client went away before its body was complete."""


def read_body(stream: BinaryIO, headers: Headers, body_bytes_max: int) -> Iterator[bytes]:
    """The inflated body in pieces of at most about 1 MiB.

    Raises ClickHouseError for an unknown encoding, damaged data or more than `body_bytes_max` bytes inflated, and
    Disconnected when the body ends early.
    """
    pieces = _wire(stream, headers)
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        pieces = _inflated(pieces, encoding)
    return bounded(pieces, body_bytes_max)


def bounded(pieces: Iterator[bytes], bytes_max: int) -> Iterator[bytes]:
    """The pieces, until they are together longer than `bytes_max`; then ClickHouseError 223."""
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > bytes_max:
            raise ClickHouseError(
                223,
                "QUERY_IS_TOO_LARGE",
                f"The body is longer than {bytes_max} bytes after decompression",
            )
        yield piece


def has_body(headers: Headers) -> bool:
    return headers.get("Content-Length", "0").strip("0") != "" or "Transfer-Encoding" in headers


def _wire(stream: BinaryIO, headers: Headers) -> Iterator[bytes]:
    """The body as it was framed; heads.py has seen that it is framed in one way only."""
    if "Transfer-Encoding" in headers:
        return _chunks(stream)
    return _exactly(stream, int(headers.get("Content-Length", "0")))


def _exactly(stream: BinaryIO, left: int) -> Iterator[bytes]:
    while left:
        piece = stream.read(min(left, CHUNK_BYTES))
        if not piece:
            raise Disconnected
        left -= len(piece)
        yield piece


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        line = _line(stream)
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise bad_request("a chunk does not begin with its size in hexadecimal digits and CRLF")
        size = int(match[1], 16)
        if size == 0:
            break
        yield from _exactly(stream, size)
        if _line(stream) != b"\r\n":
            raise bad_request("a chunk is longer than its size says")
    for _ in range(_TRAILER_COUNT_MAX):  # trailers say nothing we need
        line = _line(stream)
        if line == b"\r\n":
            return
        if not line.endswith(b"\r\n"):
            break
    raise bad_request("the trailers of a chunked body have no end")


def _line(stream: BinaryIO) -> bytes:
    line = stream.readline(_CHUNK_LINE_BYTES_MAX)
    if not line:
        raise Disconnected
    return line


def _inflated(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    inflater = _inflater(encoding)
    try:
        for piece in pieces:
            data = piece
            while True:
                if inflater.eof:
                    inflater = _inflater(encoding)  # several members in a row are one body
                out = inflater.decompress(data, CHUNK_BYTES)
                if out:
                    yield out
                if inflater.eof:
                    data = inflater.unused_data or b""
                    if not data:
                        break
                elif inflater.needs_input:
                    break
                else:
                    data = b""
    except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as error:
        raise ClickHouseError(
            432, "UNKNOWN_CODEC", f"The {encoding} body cannot be read: {error}", status=400
        ) from None
    if not inflater.eof:
        raise ClickHouseError(33, "CANNOT_READ_ALL_DATA", f"The {encoding} body ends early", status=400)


def _inflater(encoding: str) -> Any:
    if encoding in ("gzip", "x-gzip"):
        return _Zlib(31)
    if encoding == "deflate":
        return _Zlib(15)
    if encoding == "zstd":
        return zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX}
        )
    if encoding == "lz4":
        return lz4.frame.LZ4FrameDecompressor()
    raise ClickHouseError(
        48, "NOT_IMPLEMENTED", f"Unknown Content-Encoding; known are {', '.join(_ENCODINGS)}"
    )
