"""Values of compatible clients, taken where they can be read: an SDK hears no refusal, so a lost field costs less than
a lost event. What says which event it is, and when, is never read this way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.reading.fields import Unacceptable, parse_currency, parse_value
from ingest.reading.times import SECONDS, Moment, parse_moment, parse_time

NOTHING: Mapping[str, Any] = {}


def text(value: object) -> str | None:
    """Text, else None."""
    return value if isinstance(value, str) else None


def first_text(*values: object) -> str | None:
    """The first that is a text and not empty."""
    for value in values:
        if value and isinstance(value, str):
            return value
    return None


def first_given(*values: object) -> object:
    """The first that is there, 0 and false too; else None."""
    return next((value for value in values if value is not None and value != ""), None)


def mapping(value: object) -> Mapping[str, Any]:
    """An object, else an empty one."""
    return value if isinstance(value, dict) else NOTHING


def identifier(value: object) -> str | int | None:
    """An identifier: text or a whole number, also one written as 7.0; else None."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else None
    return value if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def money(*values: object) -> object:
    """The first that `fields.parse_value` can read, else None."""
    for value in values:
        if value is not None and value != "" and _can(parse_value, value):
            return value
    return None


def currency(value: object) -> object:
    """A currency `fields.parse_currency` can read, else None."""
    return value if _can(parse_currency, value) else None


def moment(value: object) -> int:
    """A time as `times.parse_time` reads it, else 0; for sent_at only, which corrects and never says when."""
    if not value:
        return 0
    try:
        return parse_time(value, "")
    except Unacceptable:
        return 0


def seconds(value: object) -> Moment | None:
    """A number of seconds since 1970, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        return None
    try:
        return parse_moment(value, "", SECONDS)
    except Unacceptable:
        return None


def size(width: object, height: object) -> str | None:
    """`1920x1080`, where both are numbers."""
    if type(width) not in (int, float) or type(height) not in (int, float):
        return None
    return f"{width:.0f}x{height:.0f}"


def _can(parse: Any, value: object) -> bool:
    try:
        parse(value, "")
    except Unacceptable:
        return False
    return True
