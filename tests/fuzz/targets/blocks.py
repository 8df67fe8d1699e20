"""Compressed blocks of a body for the embedded ClickHouse, whole and in pieces."""

from __future__ import annotations

from deploy.embedded.clickhouse.blocks import encode_block, read_blocks
from deploy.embedded.clickhouse.errors import ClickHouseError

LENGTH_MAX = 4_000
BLOCK_BYTES_MAX = 1 << 16
SEEDS = (
    encode_block(b"SELECT 1"),
    encode_block(b"a" * 5_000) + encode_block(b"b"),
    encode_block(b"SELECT 1")[:-1],
    b"\0" * 16 + b"\x90\x20\0\0\0\xff\xff\xff\x7f" + b"\0" * 40,
    b"\0" * 25,
    b"",
)
WORDS = (b"\x82", b"\x90", b"\x02", b"\xff\xff\xff\xff", b"\x09\0\0\0")


def opened(pieces: list[bytes]) -> tuple[bytes, int]:
    """What the blocks held until the first error, and its code, 0 for none."""
    plain = b""
    try:
        for block in read_blocks(iter(pieces), BLOCK_BYTES_MAX):
            assert len(block) <= BLOCK_BYTES_MAX, "a bound of one block"
            plain += block
    except ClickHouseError as error:
        return plain, error.code
    return plain, 0


def fuzz(data: bytes) -> None:
    """A body; the same comes of it however it arrives."""
    assert opened([data]) == opened([data[at : at + 7] for at in range(0, len(data), 7)])
    assert opened([encode_block(data)]) == (data, 0)
