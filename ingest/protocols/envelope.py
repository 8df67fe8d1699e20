"""What Segment, RudderStack and PostHog share: keys in headers, and lists of events that stand each for itself."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from ingest.protocols.protocol import Ask, Reading, error_answer
from ingest.reading.body import (
    EVENT_COUNT_MAX,
    INFLATED_BYTES_MAX,
    TOO_LARGE,
    UNREADABLE_EVENT,
    UNREADABLE_ITEM,
)
from ingest.reading.client import Headers
from ingest.reading.fields import Rejection, Unacceptable, invalid
from ingest.reading.row import Row
from ingest.reading.sites import Credential

EVENT_SIZE_MAX = 32_768  # bytes of JSON of one event, as Segment and RudderStack have it
UNKNOWN_KEY = Rejection(
    "unknown_key",
    "The key is not known here.",
    "Authorization, writeKey, api_key or token: expected a key of fairpixel.toml",
)
NOT_AN_EVENT = Rejection("not_an_event", "This is not an event.", "event: expected a JSON object")
OVERSIZE = Rejection(
    "oversize", "The event is too large.", f"event: expected at most {EVENT_SIZE_MAX:,} bytes of JSON"
)
TOO_MANY = Rejection("oversize", "The batch has too many events.", "batch: send fewer events at once")


class Item(NamedTuple):
    """One event of a request: whose it is, and its row or why it has none."""

    credential: Credential | None
    row: Row | None
    why: Rejection | None = None


def basic_user(headers: Headers) -> str:
    """The user name of HTTP Basic, where these clients put their key; "" for none."""
    scheme, _, encoded = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        return b64decode(encoded.strip()).partition(b":")[0].decode()
    except (binascii.Error, ValueError):
        return ""


def bearer(headers: Headers) -> str:
    """The bearer token; "" for none."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""


def without_address(ask: Ask) -> Ask:
    """The request with nobody's address."""
    return replace(ask, client=ask.client._replace(ip=""))


def read_items(
    ask: Ask,
    items: Iterable[Any],
    credential_of: Callable[[Any], Credential | None],
    row_of: Callable[[Credential, dict[str, Any]], Row],
    count_max: int,
    size_max: int = EVENT_SIZE_MAX,
) -> list[Item]:
    """Each event by itself: a bad one spares its neighbours. Raises Unacceptable for more than EVENT_COUNT_MAX.

    count_max: events beyond it are refused as oversize; size_max: of one event, bytes of JSON.
    """
    items = list(items)
    if len(items) > EVENT_COUNT_MAX:
        raise Unacceptable(*TOO_LARGE)
    weigh = len(ask.body) > size_max  # what is smaller as a whole holds no larger event
    found = []
    for number, item in enumerate(items):
        credential = credential_of(item)
        try:
            if credential is None:
                raise Unacceptable(*UNKNOWN_KEY)
            if number >= count_max:
                raise Unacceptable(*TOO_MANY)
            _check(item, size_max if weigh else 0)
            found.append(Item(credential, row_of(credential, item)))
        except Unacceptable as problem:
            found.append(Item(credential, None, problem.rejection))
    return found


def _check(item: Any, size_max: int) -> None:
    if item is UNREADABLE_ITEM:
        raise Unacceptable(*UNREADABLE_EVENT)
    if not isinstance(item, dict):
        raise Unacceptable(*NOT_AN_EVENT)
    if size_max:
        try:
            size = len(orjson.dumps(item))
        except TypeError:
            raise invalid("event", "an object nested at most 250 deep") from None
        if size > size_max:
            raise Unacceptable(*OVERSIZE)


def check_shared(shared: Mapping[str, Any], count: int) -> None:
    """What a batch says once and each of its events repeats: a small body must not become a hundred times itself.

    Raises Unacceptable.
    """
    try:
        size = len(orjson.dumps(shared)) if shared else 0
    except TypeError:
        raise invalid("context", "an object nested at most 250 deep") from None
    if size * count > INFLATED_BYTES_MAX:
        raise Unacceptable(*TOO_LARGE)


def refuse_whole(why: Rejection, status: int, site: str = "") -> Reading:
    """Nothing of the request is taken."""
    return Reading(error_answer(why, status), [], [(site, why)])


def rows_and_refusals(
    items: Iterable[Item],
) -> tuple[list[tuple[Credential, Row]], list[tuple[str, Rejection]]]:
    """The two lists of a Reading; together as long as `items`."""
    rows, refusals = [], []
    for credential, row, why in items:
        if credential is not None and row is not None:
            rows.append((credential, row))
        elif why is not None:
            refusals.append((credential.site if credential else "", why))
    return rows, refusals
