"""ClickHouse's own compression of bodies, compress=1 and decompress=1: blocks with a checksum each.

A block is CityHash128 (as of CityHash 1.0.2) of all that follows it, 16 bytes; a byte for the method; the length of the
block without its checksum and the length of what it holds, 4 bytes each; the data. All numbers are little-endian.
See CompressedReadBufferBase.cpp and ICompressionCodec.cpp of ClickHouse.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import lz4.block
from clickhouse_cityhash.cityhash import CityHash128

from deploy.embedded.clickhouse.bodies import zstd
from deploy.embedded.clickhouse.errors import ClickHouseError

BLOCK_BYTES = 1 << 20  # what ClickHouse puts into one block
_HEAD = struct.Struct("<BII")
_CHECKSUM_BYTES = 16
_LZ4, _ZSTD, _NONE = 0x82, 0x90, 0x02


class BlockEncoder:
    """Plain bytes in, LZ4 blocks out; an answer without a byte has no block."""

    def __init__(self) -> None:
        self._held = bytearray()

    def push(self, data: bytes) -> bytes:
        self._held += data
        ready = len(self._held) - len(self._held) % BLOCK_BYTES
        blocks = [bytes(self._held[at : at + BLOCK_BYTES]) for at in range(0, ready, BLOCK_BYTES)]
        del self._held[:ready]
        return b"".join(map(encode_block, blocks))

    def end(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return encode_block(held) if held else b""


def encode_block(data: bytes) -> bytes:
    """One LZ4 block of `data`."""
    packed: bytes = lz4.block.compress(data, store_size=False)
    block = _HEAD.pack(_LZ4, _HEAD.size + len(packed), len(data)) + packed
    return b"".join((_checksum(block), block))


def read_blocks(pieces: Iterator[bytes], block_bytes_max: int) -> Iterator[bytes]:
    """What the blocks of a body hold, block by block; at most `block_bytes_max` in one, packed or not.

    Raises ClickHouseError: 40 for a wrong checksum, 432 for a method that is not known, 271 for data that does not hold
    what it says, 49 for a block that is too large and 33 for one cut short.
    """
    held = bytearray()
    wanted = _CHECKSUM_BYTES + _HEAD.size
    for piece in pieces:
        held += piece
        at = 0
        while len(held) - at >= wanted:
            end = at + _CHECKSUM_BYTES + _block_length(held, at + _CHECKSUM_BYTES, block_bytes_max)
            if len(held) < end:
                break
            yield _open_block(bytes(held[at:end]))
            at = end
        del held[:at]
    if held:
        raise ClickHouseError(
            33, "CANNOT_READ_ALL_DATA", "decompress=1: the last block of the body is cut short", status=400
        )


def _block_length(held: bytearray, at: int, bytes_max: int) -> int:
    """The length that a block's head says, once it is seen to be one that may be read."""
    method, packed, plain = _HEAD.unpack_from(held, at)
    if method not in (_LZ4, _ZSTD, _NONE):
        raise ClickHouseError(
            432,
            "UNKNOWN_CODEC",
            f"decompress=1: a block has the method byte 0x{method:02x}; known are LZ4 (0x82), ZSTD (0x90) and none "
            "(0x02)",
            status=400,
        )
    # Bytes that LZ4 and zstd cannot pack grow a little.
    if plain > bytes_max or packed > bytes_max + bytes_max // 128 + 1024:
        raise ClickHouseError(
            49,
            "TOO_LARGE_SIZE_COMPRESSED",
            f"decompress=1: a block says that it holds {plain} bytes in {packed}; at most {bytes_max} are read",
            status=413,
        )
    if packed < _HEAD.size:
        raise _damaged("a block is shorter than its head")
    return int(packed)


def _open_block(block: bytes) -> bytes:
    body = block[_CHECKSUM_BYTES:]
    if _checksum(body) != block[:_CHECKSUM_BYTES]:
        raise ClickHouseError(
            40,
            "CHECKSUM_DOESNT_MATCH",
            "decompress=1: the checksum of a block does not match what it holds",
            status=400,
        )
    method, _, size = _HEAD.unpack_from(body)
    packed = body[_HEAD.size :]
    try:
        plain = _unpack(method, packed, size)
    except (lz4.block.LZ4BlockError, zstd.ZstdError, ValueError, EOFError):
        raise _damaged("a block cannot be unpacked") from None
    if len(plain) != size:
        raise _damaged("a block holds another number of bytes than it says")
    return plain


def _unpack(method: int, packed: bytes, size: int) -> bytes:
    """At most `size` bytes and one more, so that a block that holds more is seen."""
    if method == _LZ4:
        return bytes(lz4.block.decompress(packed, uncompressed_size=size)) if size else b""
    if method == _ZSTD:
        return bytes(zstd.ZstdDecompressor().decompress(packed, size + 1))
    return packed


def _checksum(block: bytes) -> bytes:
    number = CityHash128(block)
    # The package gives the first of the two 64-bit words as the higher one.
    return struct.pack("<QQ", number >> 64, number & 0xFFFF_FFFF_FFFF_FFFF)


def _damaged(what: str) -> ClickHouseError:
    return ClickHouseError(271, "CANNOT_DECOMPRESS", f"decompress=1: {what}", status=400)
