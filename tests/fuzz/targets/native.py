"""Native answers on their way to a client of a newer protocol: what the engine wrote, or anything else."""

from __future__ import annotations

from contextlib import suppress

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.native import NativeWalker, read_type

LENGTH_MAX = 2_000
SEEDS = (
    b"\x01\x01\x011\x05UInt8\x01",
    b"\x02\x02\x01a\x06String\x01x\x00\x01b\x0fNullable(UInt8)\x00\x01\x07\x00",
    b"\x01\x01\x01a\x0dArray(String)" + b"\x02" + b"\0" * 7 + b"\x01x\x01y",
    b"\x01\x01\x01l\x16LowCardinality(String)" + b"\x01" + b"\0" * 7 + b"\x00\x06" + b"\0" * 6,
    b"\x01\x01\x01t\x18Tuple(`a, b` UInt8, Date)",
    b"\x01\x00\x01e\x12Enum8('a(' = 1)",
    b"\xff" * 40,
)
WORDS = (
    b"Nullable(",
    b"Array(",
    b"Map(String, ",
    b"LowCardinality(",
    b"Tuple(a ",
    b"FixedString(",
    b"Decimal(76, 2)",
)


def walked(pieces: list[bytes]) -> tuple[bytes, bool]:
    """What came out until the first error, and whether there was one."""
    walker, out = NativeWalker(), b""
    try:
        for piece in pieces:
            out += walker.push(piece)
    except ClickHouseError:
        return out, True
    return out, False


def fuzz(data: bytes) -> None:
    """An answer; whatever it holds, pieces of it end alike."""
    whole, failed = walked([data])
    pieces, failed_in_pieces = walked([data[at : at + 1] for at in range(len(data))])
    assert failed == failed_in_pieces
    assert failed or whole == pieces
    with suppress(ClickHouseError):
        read_type(data.decode("latin-1"))
