"""Form bodies: a query and its parameters sent as fields, and tables sent along with the query as files.

A body is bounded before it is cut, and cut by searching for its boundary alone: time and memory grow with its
length, whatever stands in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.headers import Headers
from deploy.embedded.clickhouse.lexer import read_tokens

FORM_BYTES_MAX = 16 << 20
FIELD_COUNT_MAX = 1000
# A field is a query, a parameter or a setting; the limit is that of a query.
FIELD_BYTES_MAX = 256 << 10
TABLE_COUNT_MAX = 16
_PART_HEAD_BYTES_MAX = 4 << 10

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"\r\n]{1,200})"|([^\s;",]{1,200}))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"content-disposition:\s*form-data\s*(;[^\r\n]*)", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb';\s*(name|filename)="([^"\r\n]*)"', re.IGNORECASE)
_ENCODED = re.compile(rb"content-transfer-encoding:\s*(?!binary|8bit|7bit)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """A table that lives as long as the query it came with; `structure` is judged before it is used."""

    name: str
    structure: str
    format: str
    data: bytes


def is_form(headers: Headers) -> bool:
    """Only multipart bodies are forms: curl calls every -d body urlencoded, and there it is SQL."""
    return headers.get("Content-Type", "").strip().lower().startswith("multipart/form-data")


def read_form(headers: Headers, pieces: Iterator[bytes]) -> tuple[list[tuple[str, str]], dict[str, bytes]]:
    """Return (fields, files by name) of a form body; raises ClickHouseError above one of the limits."""
    boundary = _BOUNDARY.search(headers.get("Content-Type", ""))
    if boundary is None:
        raise _bad("Content-Type names no boundary")
    mark = b"--" + (boundary.group(1) or boundary.group(2)).encode("latin-1", "replace")
    body = _take(pieces)
    fields: list[tuple[str, str]] = []
    files: dict[str, bytes] = {}
    for head, content in _parts(body, mark):
        name, filename = _names(head)
        if filename is not None:
            files[name] = content
            continue
        if len(content) > FIELD_BYTES_MAX:
            raise _too_large(f"Field {name[:64]} of the form", FIELD_BYTES_MAX)
        fields.append((name, content.decode("utf-8", "surrogateescape")))
    return fields, files


def _take(pieces: Iterator[bytes]) -> bytes:
    held = bytearray()
    for piece in pieces:
        if len(held) + len(piece) > FORM_BYTES_MAX:
            raise _too_large("The form", FORM_BYTES_MAX)
        held += piece
    return bytes(held)


def _parts(body: bytes, mark: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(head, content) of each part between two boundaries."""
    at = 0 if body.startswith(mark) else _find(body, b"\r\n" + mark, 0) + 2
    for _ in range(FIELD_COUNT_MAX):
        at += len(mark)
        if body.startswith(b"--", at):
            return
        start = _find(body, b"\r\n", at) + 2
        if body.startswith(b"\r\n", start):
            head_end = start - 2
        else:
            head_end = body.find(b"\r\n\r\n", start, start + _PART_HEAD_BYTES_MAX)
            if head_end < 0:
                raise _bad(f"a part has no head of at most {_PART_HEAD_BYTES_MAX} bytes")
        end = _find(body, b"\r\n" + mark, head_end + 2)
        yield body[start:head_end], body[head_end + 4 : end]
        at = end + 2
    raise _bad(f"the form has more than {FIELD_COUNT_MAX} parts")


def _find(body: bytes, sought: bytes, at: int) -> int:
    found = body.find(sought, at)
    if found < 0:
        raise _bad("it ends early")
    return found


def _names(head: bytes) -> tuple[str, str | None]:
    disposition = _DISPOSITION.search(head)
    if disposition is None or _ENCODED.search(head):
        raise _bad("a part is no plain form-data")
    given = {
        key.lower(): value.decode("utf-8", "replace")
        for key, value in _ATTRIBUTE.findall(disposition.group(1))
    }
    if b"name" not in given:
        raise _bad("a part has no name")
    return given[b"name"], given.get(b"filename")


def external_tables(fields: dict[str, str], files: dict[str, bytes]) -> tuple[ExternalTable, ...]:
    """The tables of a form: NAME with NAME_structure or NAME_types, and NAME_format; raises ClickHouseError."""
    if len(files) > TABLE_COUNT_MAX:
        raise _bad(f"it brings more than {TABLE_COUNT_MAX} external tables")
    tables = []
    for name, data in files.items():
        if not _NAME.match(name):
            raise ClickHouseError(36, "BAD_ARGUMENTS", "An external table needs a plain name")
        structure = fields.get(f"{name}_structure", "")
        if not structure:
            types = _split_types(fields.get(f"{name}_types", ""))
            structure = ", ".join(f"_{at} {kind}" for at, kind in enumerate(types, 1) if kind)
        if not structure:
            raise ClickHouseError(
                36, "BAD_ARGUMENTS", f"External table {name}: no {name}_structure or {name}_types"
            )
        tables.append(ExternalTable(name, structure, fields.get(f"{name}_format", "TabSeparated"), data))
    return tuple(tables)


def _split_types(text: str) -> list[str]:
    """Types between commas, but for commas inside brackets: Decimal(10, 2)."""
    cuts = [token.start for token in read_tokens(text) if token.text == "," and token.depth == 0]
    return [
        text[start:end].strip()
        for start, end in zip([0, *(at + 1 for at in cuts)], [*cuts, len(text)], strict=True)
    ]


def _bad(why: str) -> ClickHouseError:
    return ClickHouseError(36, "BAD_ARGUMENTS", f"The form cannot be read: {why}")


def _too_large(what: str, bytes_max: int) -> ClickHouseError:
    return ClickHouseError(223, "QUERY_IS_TOO_LARGE", f"{what} is longer than {bytes_max} bytes")
