"""Form bodies: a query and its parameters sent as fields, and tables sent along with the query as files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.headers import Headers

FORM_BYTES_MAX = 64 << 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """A table that lives as long as the query it came with."""

    name: str
    structure: str
    format: str
    data: bytes


def is_form(headers: Headers) -> bool:
    """Only multipart bodies are forms: curl calls every -d body urlencoded, and there it is SQL."""
    return headers.get("Content-Type", "").strip().lower().startswith("multipart/form-data")


def read_form(headers: Headers, pieces: Iterator[bytes]) -> tuple[list[tuple[str, str]], dict[str, bytes]]:
    """Return (fields, files by name) of a form body; raises ClickHouseError above FORM_BYTES_MAX."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > FORM_BYTES_MAX:
            raise ClickHouseError(
                223, "QUERY_IS_TOO_LARGE", f"The form is longer than {FORM_BYTES_MAX} bytes"
            )
        held.append(piece)
    body = b"".join(held)
    kind = headers.get("Content-Type", "")
    head = b"Content-Type: " + kind.encode("latin-1", "replace") + b"\r\n\r\n"
    fields: list[tuple[str, str]] = []
    files: dict[str, bytes] = {}
    for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
        name = str(part.get_param("name", "", header="content-disposition"))
        content = part.get_payload(decode=True)
        data = content if isinstance(content, bytes) else b""
        if part.get_filename() is not None:
            files[name] = data
        else:
            fields.append((name, data.decode("utf-8", "surrogateescape")))
    return fields, files


def external_tables(fields: dict[str, str], files: dict[str, bytes]) -> tuple[ExternalTable, ...]:
    """The tables of a form: NAME with NAME_structure or NAME_types, and NAME_format; raises ClickHouseError."""
    tables = []
    for name, data in files.items():
        if not _NAME.match(name):
            raise ClickHouseError(36, "BAD_ARGUMENTS", "An external table needs a plain name")
        structure = fields.get(f"{name}_structure", "")
        if not structure:
            types = [kind.strip() for kind in fields.get(f"{name}_types", "").split(",")]
            structure = ", ".join(f"_{at} {kind}" for at, kind in enumerate(types, 1) if kind)
        if not structure:
            raise ClickHouseError(
                36, "BAD_ARGUMENTS", f"External table {name}: no {name}_structure or {name}_types"
            )
        tables.append(ExternalTable(name, structure, fields.get(f"{name}_format", "TabSeparated"), data))
    return tuple(tables)
