"""Clean packs: head and whole agree, or are a PackError."""

from __future__ import annotations

from schemas.avro_codec import PackError
from schemas.clean_pack import (
    CLEAN_PACK,
    CleanPack,
    decode_clean_pack,
    encode_clean_pack,
    read_clean_head,
)
from schemas.links import Origin, Position
from schemas.seal import Accepted
from tests.clean_heads import head_of_one
from tests.fuzz.avro import HOSTILE_NUMBERS
from tests.streams.make import decided, page_view, purchase, sealed

LENGTH_MAX = 8_000
_HEAD = head_of_one(
    Origin("t", 0, 2**60), "w", Position("t", 2**62, "v"), accepted=(Accepted(60, "demo", 2),)
)
SEEDS = (
    encode_clean_pack(CleanPack(_HEAD))[10:],
    decided(sealed([page_view(), page_view(), purchase()], pack_id=b"p" * 16)).value[10:],
)
WORDS = HOSTILE_NUMBERS


def fuzz(data: bytes) -> None:
    """A message behind its ten bytes."""
    message = CLEAN_PACK.header + data
    try:
        head = read_clean_head(message)
        list(head.kept_entries())
    except PackError:
        head = None
    try:
        pack = decode_clean_pack(message)
    except PackError:
        return
    assert pack.head == head
