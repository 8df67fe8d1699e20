"""What the doors of compatible clients share: tolerant JSON, ids made from content, browsers told from backends."""

from __future__ import annotations

import json
import math
from hashlib import sha256
from typing import Any

import orjson

from ingest.fields import Unacceptable, invalid
from ingest.protocol import Ask

ITEM_COUNT_MAX = 5_000  # events of one request, as at the native door
DERIVED_ID_LENGTH = 32  # hex digits: 128 bits


def load_json(text: bytes | str, field: str) -> Any:
    """JSON as values that can be written again. Raises Unacceptable.

    json.dumps of Python writes NaN, Infinity and lone surrogates, which are no JSON (wire.md, B): they are read as
    null and as `?`, so that one odd number does not cost its whole batch.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        loose = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        return orjson.loads(json.dumps(loose, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):  # a JSONDecodeError and a UnicodeDecodeError are ValueErrors
        raise Unacceptable(
            "unreadable_body", "The body cannot be read.", f"{field}: expected JSON in UTF-8"
        ) from None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def derive_id(protocol: str, content: Any) -> str:
    """An id made of what the sender says, for protocols without one: a repeated request is the same event.

    Raises Unacceptable where the content is nested too deep to be written.
    """
    try:
        encoded = orjson.dumps([protocol, content], option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise invalid("event", "at most 250 levels of nesting") from None
    return sha256(encoded).hexdigest()[:DERIVED_ID_LENGTH]


def is_browser(ask: Ask) -> bool:
    """Whether the request's own User-Agent is that of a browser: all of them begin with Mozilla/, and Opera once did.

    Libraries of backends send their name or nothing (wire.md, B).
    """
    return ask.client.user_agent.startswith(("Mozilla/", "Opera/"))
