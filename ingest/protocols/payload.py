"""What the endpoints of compatible clients share: tolerant JSON, ids made from content, browsers told from backends."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

from ingest.protocols.protocol import Ask
from ingest.reading.body import BOM, load
from ingest.reading.fields import Unacceptable, invalid, parse_signals
from schemas.consent import SIGNALS

ITEM_COUNT_MAX = 5_000  # events of one request, as at the native endpoint
LOOSE_LENGTH_MAX = 300_000  # of a text read as Python's JSON: two calls of 20 ms that nothing interrupts


@dataclass(slots=True)
class Payload:
    """What one event says of itself, by its kind."""

    name: object
    event_id: object = None  # of an order; None: the client's own
    value: object = None
    currency: object = None
    properties: dict[str, Any] = field(default_factory=dict)


def chosen(item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The values an item has, under our names. names: their word -> ours."""
    return {name: item[key] for key, name in names.items() if item.get(key) not in (None, "")}


def load_json(text: bytes | str, field: str) -> Any:
    """JSON as values that can be written again. Raises Unacceptable.

    json.dumps of Python writes NaN, Infinity and lone surrogates, which are no JSON: they are read as
    null and as `?`, so that one odd number does not cost its whole batch (of up to 300,000 bytes).
    """
    try:
        return load(text)
    except orjson.JSONDecodeError:
        text = text.removeprefix(BOM) if isinstance(text, bytes) else text
    try:
        if len(text) > LOOSE_LENGTH_MAX:
            raise ValueError
        loose = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
        return orjson.loads(json.dumps(loose, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):  # a JSONDecodeError and a UnicodeDecodeError are ValueErrors
        raise Unacceptable(
            "unreadable_body", "The body cannot be read.", f"{field}: expected JSON in UTF-8"
        ) from None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def derive_id(secret_key: str, protocol: str, content: Any) -> str:
    """An id made of what the sender says, for protocols without one: a repeated request is the same event.

    secret_key: of the site; without it nobody can tell from an id what was said. Raises Unacceptable where the content
    is nested too deep to be written.
    """
    try:
        encoded = orjson.dumps([protocol, content], option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise invalid("event", "at most 250 levels of nesting") from None
    return blake2b(encoded, key=secret_key.encode()[:64], digest_size=16, person=b"derived id").hexdigest()


def join_signals(query: Mapping[str, str], payload: Mapping[str, str]) -> str:
    """The consent signals of an address and those of a body, as `fields.parse_signals` gives them.

    Two choices that differ are unclear, unless one says none.
    """
    signals = {name: query[name] for name in SIGNALS if query.get(name)} | dict(payload)
    choices = {one["consent"] for one in (query, payload) if one.get("consent")}
    if len(choices) > 1:
        signals["consent"] = "none" if "none" in choices else "unclear"
    return parse_signals(signals)


def is_browser(ask: Ask) -> bool:
    """Whether the request's own User-Agent is that of a browser: all of them begin with Mozilla/, and Opera once did.

    Libraries of backends send their name or nothing.
    """
    return ask.client.user_agent.startswith(("Mozilla/", "Opera/"))
