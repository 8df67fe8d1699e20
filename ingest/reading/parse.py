"""One event of `POST /v1/events`, already decoded from JSON → `Row` or `Rejection`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from ingest.reading.client import Client
from ingest.reading.fields import (
    KINDS,
    LANGUAGE_LENGTH_MAX,
    SHORT_LENGTH_MAX,
    Rejection,
    Unacceptable,
    invalid,
    parse_address,
    parse_currency,
    parse_id,
    parse_name,
    parse_signals,
    parse_text,
    parse_value,
    refuse_fingerprinting,
)
from ingest.reading.row import Row, build_row, check_properties_size
from ingest.reading.sites import SECRET, Credential
from ingest.reading.times import parse_claim, parse_time
from schemas.consent import OTHER_SIGNALS
from schemas.event import PROPERTIES_SIZE_MAX, TEXT_LENGTH_MAX, Flag

WARNED_KEYS_MAX = 5
WARNED_KEY_LENGTH_MAX = 40

EVENT_KEYS = frozenset({
    "event", "id", "ts", "sent_at", "visitor_id", "user_id", "session_id", "url", "referrer", "title",
    "value", "currency", "consent", "context", "properties", "k", *OTHER_SIGNALS,
})  # fmt: skip
PERSON_KEYS = ("ip", "user_agent")  # of the context: only a backend knows them better than the request
CONTEXT_KEYS = frozenset({
    *PERSON_KEYS, "language", "title", "session_id", "screen", "viewport", "timezone", "gpc", "dnt", "webdriver",
})  # fmt: skip
CONTEXT_FLAGS = (("gpc", int(Flag.GPC)), ("dnt", int(Flag.DNT)), ("webdriver", int(Flag.WEBDRIVER)))
ID_GENERATED = int(Flag.ID_GENERATED)


class Parsed(NamedTuple):
    """An event that was taken, and what its sender should know about it ("" for nothing)."""

    row: Row
    warning: str = ""


class Converted(NamedTuple):
    """An event of another form in our terms, and its sender's word for each field that is called otherwise there."""

    item: dict[str, Any]
    names: Mapping[str, str]
    unknown: tuple[str, ...] = ()  # keys nobody knows


def parse_event(
    item: object, credential: Credential, client: Client, now_ms: int, sent_at: int, generated_id: str
) -> Parsed | Rejection:
    """One event: a JSON object, or what a converter made of one (a Rejection stands).

    client: of the request; its address and agent count for public keys only, as a backend's are not a person's.
    sent_at: of the request, ms, 0 for none; generated_id: the id to use where the client sent none.
    """
    try:
        if type(item) is dict:
            return _parse(item, credential, client, now_ms, sent_at, generated_id)
        if isinstance(item, Converted):
            return _parse_converted(item, credential, client, now_ms, sent_at, generated_id)
    except Unacceptable as problem:
        return problem.rejection
    if isinstance(item, Rejection):
        return item
    return Rejection(
        "not_an_event", "This is not an event.", 'expected a JSON object such as {"event": "page_view"}'
    )


def _parse_converted(
    converted: Converted, credential: Credential, client: Client, now_ms: int, sent_at: int, generated_id: str
) -> Parsed:
    try:
        row, warning = _parse(converted.item, credential, client, now_ms, sent_at, generated_id)
    except Unacceptable as problem:
        raise _in_words_of_client(problem.rejection, converted.names) from None
    if converted.unknown:
        ignored = "unknown keys ignored: " + _names(converted.unknown)
        warning = f"{warning}; {ignored}" if warning else ignored
    return Parsed(row, warning)


def _in_words_of_client(why: Rejection, names: Mapping[str, str]) -> Unacceptable:
    """The rejection with the sender's name of the field, which our details begin with."""
    ours = next((field for field in names if why.detail.startswith((f"{field}:", f"{field}."))), "")
    if not ours:
        return Unacceptable(*why)
    theirs = names[ours]
    return Unacceptable(
        why.code, why.message.replace(f" {ours} ", f" {theirs} "), theirs + why.detail.removeprefix(ours)
    )


def _parse(
    item: dict[str, Any], credential: Credential, client: Client, now_ms: int, sent_at: int, generated_id: str
) -> Parsed:
    get = item.get
    name = parse_name(get("event"), "event")
    event_id = parse_id(get("id"), "id")
    flags = client.flags
    if not event_id:
        event_id = generated_id
        flags |= ID_GENERATED
    if "sent_at" in item:
        sent_at = parse_time(item["sent_at"], "sent_at") or sent_at
    trusted, occurred_at = credential.trust == SECRET, 0
    if "ts" in item:
        occurred_at, changed = parse_claim(item["ts"], "ts", now_ms, trusted=trusted, sent_at=sent_at)
        flags |= changed
    warnings = [] if EVENT_KEYS.issuperset(item) else [_unknown(item)]
    context = get("context")
    if context is None:
        context = {}
    else:
        flags |= _check_context(context, trusted, warnings)
    ip, user_agent, language = client.ip, client.user_agent, client.language
    if trusted:  # the request came from a customer's server: only the event speaks of the person
        ip = parse_address(context.get("ip"))
        user_agent = parse_text(context.get("user_agent"), "context.user_agent", TEXT_LENGTH_MAX)
        language = ""
    if "language" in context:
        language = parse_text(context["language"], "context.language", LANGUAGE_LENGTH_MAX) or language
    row = build_row(
        event_id,
        credential.site,
        name,
        KINDS.get(name, "custom"),
        "server" if trusted else "tag",
        "native",
        credential.trust,
        occurred_at,
        sent_at,
        now_ms,
        ip,
        user_agent,
        language,
        # A look into the event is 0.03 µs, a call 0.2: most events lack most fields.
        parse_text(item["url"], "url", TEXT_LENGTH_MAX) if "url" in item else "",
        parse_text(item["referrer"], "referrer", TEXT_LENGTH_MAX) if "referrer" in item else "",
        parse_text(get("title") or context.get("title"), "title", TEXT_LENGTH_MAX)
        if "title" in item or "title" in context
        else "",
        parse_id(item["visitor_id"], "visitor_id") if "visitor_id" in item else "",
        parse_id(item["user_id"], "user_id") if "user_id" in item else "",
        parse_id(get("session_id") or context.get("session_id"), "session_id")
        if "session_id" in item or "session_id" in context
        else "",
        parse_signals(item),
        flags,
        parse_text(context["screen"], "context.screen", SHORT_LENGTH_MAX) if "screen" in context else "",
        parse_text(context["viewport"], "context.viewport", SHORT_LENGTH_MAX)
        if "viewport" in context
        else "",
        parse_text(context["timezone"], "context.timezone", SHORT_LENGTH_MAX)
        if "timezone" in context
        else "",
        parse_value(item["value"], "value") if "value" in item else 0,
        parse_currency(item["currency"], "currency") if "currency" in item else "",
        _properties(item["properties"]) if "properties" in item else "",
    )
    return Parsed(row, "; ".join(warnings))


def _check_context(context: object, trusted: bool, warnings: list[str]) -> int:
    """The flags a context sets; appends what its sender should know."""
    if not isinstance(context, dict):
        raise invalid("context", "an object")
    if not CONTEXT_KEYS.issuperset(context):
        refuse_fingerprinting(context, "context")
        warnings.append(
            "unknown keys ignored: " + _names(f"context.{key}" for key in context if key not in CONTEXT_KEYS)
        )
    if not trusted and (context.get("ip") or context.get("user_agent")):
        warnings.append("context.ip and context.user_agent ignored: they need the secret key")
    if trusted and context.get("ip") and not parse_address(context["ip"]):
        warnings.append("context.ip ignored: expected an IP address")
    flags = 0
    for key, flag in CONTEXT_FLAGS:
        if context.get(key) in (True, 1, "1"):
            flags |= flag
    return flags


def _unknown(item: dict[str, Any]) -> str:
    refuse_fingerprinting(item, "event")
    return "unknown keys ignored: " + _names(key for key in item if key not in EVENT_KEYS)


def _names(keys: Any) -> str:
    """At most five names, each cut; names only, never a value."""
    names = sorted(keys)
    shown = [name[:WARNED_KEY_LENGTH_MAX] for name in names[:WARNED_KEYS_MAX]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _properties(value: object) -> str:
    if not value:
        if value is None or value == {}:
            return ""
        raise invalid("properties", "an object")
    if type(value) is not dict:
        raise invalid("properties", "an object")
    refuse_fingerprinting(value, "properties")
    try:
        encoded = orjson.dumps(value)
    except TypeError:  # nested deeper than 254 levels
        raise invalid(
            "properties", f"an object of at most {PROPERTIES_SIZE_MAX:,} bytes, nested at most 250 deep"
        ) from None
    return check_properties_size(encoded, "properties")
