"""What the JSON formats share: one line as an object, and times in any of the forms servers write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from ingest.logs.access_log import LINE_BYTES_MAX, parse_log_time

_MS_FROM = 100_000_000_000  # a number from here on is ms (1973 on), below it seconds


def load_object(line: bytes) -> dict[str, Any] | None:
    """The object a line is; None for anything else. Bytes that are no UTF-8, and the `\\xHH` of nginx's default escape,
    are put right first: both stand in logs whenever a client sends them."""
    if len(line) > LINE_BYTES_MAX or line[:1] != b"{":
        return None
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            record = orjson.loads(line.decode("utf-8", "replace").replace("\\x", "\\u00"))
        except orjson.JSONDecodeError:
            return None
    return record if type(record) is dict else None


def text_of(value: object) -> str:
    """A text, "" for none and for the dash that stands for nothing."""
    return value if type(value) is str and value != "-" else ""


def digits_of(value: object) -> str:
    """A whole number, or its digits, as digits; "-" for none."""
    if type(value) is int and value >= 0:
        return str(value)
    return value if type(value) is str and value.isascii() and value.isdigit() else "-"


def time_of(value: object) -> int:
    """ms since 1970 of a number (s or ms), its digits, ISO 8601 (UTC where it names no offset) or the combined
    format's time; 0 for what is no time."""
    try:
        if isinstance(value, str):
            if "-" not in value and "/" not in value:
                value = float(value)
            elif value[4:5] == "/":  # Caddy's "wall": 2026/01/31 12:00:00.123
                value = datetime.fromisoformat(value.replace("/", "-")).replace(tzinfo=UTC).timestamp()
            elif value[2:3] == "/":
                return parse_log_time(value)
            else:
                moment = datetime.fromisoformat(value)
                value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return 0
        return int(value) if value >= _MS_FROM else round(value * 1000)
    except (ValueError, OverflowError):
        return 0
