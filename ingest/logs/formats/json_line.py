"""What the JSON formats share: one line as an object, and its texts and numbers."""

from __future__ import annotations

import json
from typing import Any

import orjson

from ingest.logs.access_log import LINE_BYTES_MAX
from ingest.logs.lines.escapes import json_escapes, json_text
from ingest.reading.client import says_one


def load_object(line: bytes) -> dict[str, Any] | None:
    """The object a line is; None for anything else. Bytes that are no UTF-8, and the `\\xHH` of nginx's default escape,
    are put right first: both stand in logs whenever a client sends them. Such a byte is a surrogate then, as Python's
    `surrogateescape` has it: the texts of this module are free of them."""
    if len(line) > LINE_BYTES_MAX or line[:1] != b"{":
        return None
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            record = json.loads(json_escapes(line).decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            return None
    return record if type(record) is dict else None


def text_of(value: object) -> str:
    """A text, "" for none and for the dash that stands for nothing."""
    if type(value) is not str or value == "-":
        return ""
    return value if value.isascii() and "\\" not in value else json_text(value)


def any_says_one(value: object) -> bool:
    """Whether a header such as Sec-GPC says `1`, of whose lines a log has a text or a list."""
    if value is None or value == ["1"]:  # as nearly all have it
        return value is not None
    lines = value if type(value) is list else [value]
    return any(says_one(str(line)) for line in lines if type(line) is str or type(line) is int)


def digits_of(value: object) -> str:
    """A whole number, or its digits, as digits; "-" for none."""
    if type(value) is int and value >= 0:
        return str(value)
    return value if type(value) is str and value.isascii() and value.isdigit() else "-"
