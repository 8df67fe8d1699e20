"""What an Avro reader may be told: lengths and counts that are negative, huge, endless, or beyond 64 bits."""

from __future__ import annotations


def encode_long(number: int) -> bytes:
    """An Avro long (specification 1.11: zigzag, then base 128), also one of more than 64 bits."""
    rest = number << 1 if number >= 0 else (-number << 1) - 1
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


HOSTILE_NUMBERS = (
    *map(encode_long, (-1, 2**31 - 1, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63), 2**63, 2**64, 2**70, -(2**70),
    10**6)),
    b"\xff" * 9 + b"\x01", b"\xff" * 12, b"\x80" * 11, b"\x80" * 60 + b"\0",
)  # fmt: skip
