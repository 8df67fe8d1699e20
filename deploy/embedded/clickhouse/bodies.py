"""Request bodies: sized or chunked, compressed or plain, inflated piece by piece and never beyond the limit."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import lz4.frame

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.headers import Headers

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["CHUNK_BYTES", "Disconnected", "has_body", "read_body", "zstd"]

CHUNK_BYTES = 1 << 20
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
    """Yield the inflated body in pieces of at most about 1 MiB.

    Raises ClickHouseError for an unknown encoding, damaged data or more than `body_bytes_max` bytes inflated, and
    Disconnected when the body ends early.
    """
    pieces = _wire(stream, headers)
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        pieces = _inflated(pieces, encoding)
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > body_bytes_max:
            raise ClickHouseError(
                223,
                "QUERY_IS_TOO_LARGE",
                f"The body is longer than {body_bytes_max} bytes after decompression",
            )
        yield piece


def has_body(headers: Headers) -> bool:
    return headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers


def _wire(stream: BinaryIO, headers: Headers) -> Iterator[bytes]:
    coding = headers.get("Transfer-Encoding", "").strip().lower()
    if coding == "chunked":
        yield from _chunks(stream)
        return
    if coding:
        raise ClickHouseError(48, "NOT_IMPLEMENTED", "Transfer-Encoding: only chunked is known here")
    length = headers.get("Content-Length", "0")
    if not (length.isascii() and length.isdecimal()):
        raise ClickHouseError(381, "HTTP_LENGTH_REQUIRED", "Content-Length is no number")
    yield from _exactly(stream, int(length))


def _exactly(stream: BinaryIO, left: int) -> Iterator[bytes]:
    while left:
        piece = stream.read(min(left, CHUNK_BYTES))
        if not piece:
            raise Disconnected
        left -= len(piece)
        yield piece


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        line = stream.readline(1024)
        try:
            size = int(line.split(b";", 1)[0].strip() or b"x", 16)
        except ValueError:
            raise Disconnected from None
        if size < 0:
            raise Disconnected
        if size == 0:
            while stream.readline(8192) not in (b"\r\n", b"\n", b""):  # trailers say nothing we need
                pass
            return
        yield from _exactly(stream, size)
        if stream.readline(8).strip():
            raise Disconnected


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
        return zstd.ZstdDecompressor()
    if encoding == "lz4":
        return lz4.frame.LZ4FrameDecompressor()
    raise ClickHouseError(
        48, "NOT_IMPLEMENTED", f"Unknown Content-Encoding; known are {', '.join(_ENCODINGS)}"
    )
