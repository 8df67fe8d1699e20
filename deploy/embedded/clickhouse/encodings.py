"""Compressed answers: the encoding a client may get, and its encoder as a stream."""

from __future__ import annotations

import sys
import zlib
from typing import Any, Protocol

import cramjam
import lz4.frame

from deploy.embedded.clickhouse.blocks import BlockEncoder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# ClickHouse's own order when a client accepts several.
_PREFERRED = ("br", "lz4", "zstd", "gzip", "deflate")


class Encoder(Protocol):
    """Takes plain bytes and gives what is ready of the encoded ones."""

    def push(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


def pick_encoding(accept_encoding: str) -> str | None:
    """The encoding to answer in, or None for plain; `;q=0` refuses one."""
    accepted = set()
    for part in accept_encoding.lower().split(","):
        name, _, quality = part.strip().partition(";")
        if quality.replace(" ", "") not in ("q=0", "q=0.0"):
            accepted.add(name.strip())
    return next((name for name in _PREFERRED if name in accepted), None)


def build_encoder(encoding: str | None, *, blocks: bool = False) -> Encoder:
    """An encoder for one of `pick_encoding`'s names; None passes bytes through.

    `blocks`: ClickHouse's own compressed blocks inside of it, as compress=1 asks for.
    """
    outer = _http_encoder(encoding)
    return _Within(BlockEncoder(), outer) if blocks else outer


def _http_encoder(encoding: str | None) -> Encoder:
    if encoding == "br":
        return _Brotli()
    if encoding == "lz4":
        return _Lz4()
    if encoding == "zstd":
        return _Flushing(zstd.ZstdCompressor(level=1))
    if encoding == "gzip":
        return _Flushing(zlib.compressobj(3, zlib.DEFLATED, 31))
    if encoding == "deflate":
        return _Flushing(zlib.compressobj(3))
    return _Plain()


class _Within:
    """What the inner encoder gives is encoded by the outer one."""

    def __init__(self, inner: Encoder, outer: Encoder) -> None:
        self._inner = inner
        self._outer = outer

    def push(self, data: bytes) -> bytes:
        ready = self._inner.push(data)
        return self._outer.push(ready) if ready else b""

    def end(self) -> bytes:
        last = self._inner.end()
        return (self._outer.push(last) if last else b"") + self._outer.end()


class _Plain:
    def push(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


class _Flushing:
    """zlib and zstd: compress() and then flush()."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def push(self, data: bytes) -> bytes:
        return bytes(self._raw.compress(data))

    def end(self) -> bytes:
        return bytes(self._raw.flush())


class _Lz4:
    def __init__(self) -> None:
        self._raw = lz4.frame.LZ4FrameCompressor()
        self._head = self._raw.begin()

    def push(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._raw.compress(data))

    def end(self) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._raw.flush())


class _Brotli:
    def __init__(self) -> None:
        self._raw = cramjam.brotli.Compressor(3)

    def push(self, data: bytes) -> bytes:
        self._raw.compress(data)
        return bytes(self._raw.flush())

    def end(self) -> bytes:
        return bytes(self._raw.finish())
