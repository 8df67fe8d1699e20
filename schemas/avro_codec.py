"""Avro single-object encoding: marker, schema fingerprint, body (Avro specification 1.11, "Single object encoding").

fastavro reads, and writes what `schemas.avro.columns` does not.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.avro.columns import Fields, compile_fields, write_fields
from schemas.drops import DeadReason

MARKER = b"\xc3\x01"
HEADER_SIZE = 10  # marker 2, CRC-64-AVRO fingerprint 8


class PackError(ValueError):
    """A message that cannot be read; `reason` is what its dead letter will say. The text never repeats content."""

    def __init__(self, reason: DeadReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one record: as declared, ready to be read and written, and what its messages begin with."""

    name: str  # such as clean_pack.v1
    declared: dict[str, Any]
    parsed: Any
    header: bytes  # ten bytes
    fields: Fields | None  # None: fastavro writes it


@cache
def load_schema(name: str) -> Schema:
    """Read one schema file of this package, such as `clean_pack.v1`."""
    declared: dict[str, Any] = json.loads(files("schemas.avro").joinpath(f"{name}.avsc").read_text("utf-8"))
    return build_schema(name, declared)


def build_schema(name: str, declared: dict[str, Any]) -> Schema:
    """Prepare a schema; the fingerprint is CRC-64-AVRO of its parsing canonical form, little-endian."""
    print_hex = fingerprint(to_parsing_canonical_form(declared), "CRC-64-AVRO")
    return Schema(
        name, declared, parse_schema(declared), MARKER + bytes.fromhex(print_hex), compile_fields(declared)
    )


def encode(schema: Schema, record: dict[str, Any]) -> bytes:
    """One record as a message."""
    if schema.fields is not None:
        return schema.header + write_fields(schema.fields, record)
    out = io.BytesIO()
    out.write(schema.header)
    schemaless_writer(out, schema.parsed, record)
    return out.getvalue()


def decode(message: bytes, versions: dict[bytes, Schema], newest: Schema) -> dict[str, Any]:
    """Read a message of any of `versions` (by header) as the newest one. Raises PackError."""
    return _read(message, find_schema(message, versions), newest)[0]


def find_schema(message: bytes, versions: dict[bytes, Schema]) -> Schema:
    """The schema a message says it was written with. Raises PackError."""
    if message[:2] != MARKER or len(message) < HEADER_SIZE:
        raise PackError(DeadReason.NOT_A_PACK)
    schema = versions.get(message[:HEADER_SIZE])
    if schema is None:
        raise PackError(DeadReason.UNKNOWN_SCHEMA, message[2:HEADER_SIZE].hex())
    return schema


def read_record(message: bytes, schema: Schema, reader: Schema | None = None) -> tuple[dict[str, Any], int]:
    """Read one record behind the ten bytes; returns it and where it ended. Raises PackError."""
    return _read(message, schema, reader or schema)


def _read(message: bytes, writer: Schema, reader: Schema) -> tuple[dict[str, Any], int]:
    body = io.BytesIO(message)
    body.seek(HEADER_SIZE)
    try:
        record = schemaless_reader(body, writer.parsed, None if reader is writer else reader.parsed)
    except (EOFError, ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise PackError(DeadReason.UNREADABLE, type(error).__name__) from None
    if not isinstance(record, dict):
        raise PackError(DeadReason.UNREADABLE, "not a record")
    return record, body.tell()
