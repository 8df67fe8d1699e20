"""From what a compatible protocol says of an event to a row, by one set of rules for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ingest.protocols.protocol import Ask
from ingest.reading.fields import (
    KINDS,
    LANGUAGE_LENGTH_MAX,
    SHORT_LENGTH_MAX,
    invalid,
    parse_address,
    parse_currency,
    parse_id,
    parse_name,
    parse_text,
    parse_value,
    refuse_fingerprinting,
)
from ingest.reading.row import Row, build_row, check_properties_size
from ingest.reading.sites import SECRET, Credential
from ingest.reading.times import parse_claim, parse_time
from schemas.event import PROPERTIES_SIZE_MAX, TEXT_LENGTH_MAX, Flag

SERVER, TAG, PIXEL = "server", "tag", "pixel"
ID_GENERATED = int(Flag.ID_GENERATED)


def make_row(
    ask: Ask,
    credential: Credential,
    *,
    protocol: str,
    source: str,
    name: object,
    event_id: object = None,
    kind: str = "",
    occurred_at: object = None,
    sent_at: object = None,
    ip: object = None,
    user_agent: object = None,
    language: object = None,
    url: object = None,
    referrer: object = None,
    title: object = None,
    visitor_id: object = None,
    user_id: object = None,
    session_id: object = None,
    signals: str = "",
    flags: int = 0,
    screen: object = None,
    viewport: object = None,
    timezone: object = None,
    value: object = None,
    currency: object = None,
    properties: Mapping[str, Any] | None = None,
) -> Row:
    """One row. Raises Unacceptable naming the field.

    source: "tag" or "pixel" where a browser sent it: then the request speaks of the person; "server" where a backend
    did: then only the event does. ip and user_agent are what the event says; an address in an event is believed from a
    secret key only. occurred_at and sent_at: ms, ISO 8601 or a `Moment`. value: units of the currency. signals: as
    `fields.parse_signals` gives them. kind: "" to go by the name.
    """
    row_id = parse_id(event_id, "id")
    if not row_id:
        row_id, flags = ask.make_id(), flags | ID_GENERATED
    event_name = parse_name(name, "event")
    secret, browser = credential.trust == SECRET, source != SERVER
    sent = parse_time(sent_at, "sent_at")
    claimed, changed = parse_claim(occurred_at, "timestamp", ask.now_ms, trusted=secret, sent_at=sent)
    agent = parse_text(user_agent, "user_agent", TEXT_LENGTH_MAX)
    return build_row(
        row_id,
        credential.site,
        event_name,
        kind or KINDS.get(event_name, "custom"),
        source,
        protocol,
        credential.trust,
        claimed,
        sent,
        ask.now_ms,
        (parse_address(ip) if secret else "") or (ask.client.ip if browser else ""),
        agent or (ask.client.user_agent if browser else ""),
        parse_text(language, "language", LANGUAGE_LENGTH_MAX) or (ask.client.language if browser else ""),
        parse_text(url, "url", TEXT_LENGTH_MAX),
        parse_text(referrer, "referrer", TEXT_LENGTH_MAX),
        parse_text(title, "title", TEXT_LENGTH_MAX),
        parse_id(visitor_id, "visitor_id"),
        parse_id(user_id, "user_id"),
        parse_id(session_id, "session_id"),
        signals,
        flags | changed | (ask.client.flags if browser else 0),
        parse_text(screen, "screen", SHORT_LENGTH_MAX),
        parse_text(viewport, "viewport", SHORT_LENGTH_MAX),
        parse_text(timezone, "timezone", SHORT_LENGTH_MAX),
        parse_value(value, "value"),
        parse_currency(currency, "currency"),
        encode_properties(properties, "properties"),
    )


def encode_properties(properties: Mapping[str, Any] | None, field: str) -> str:
    """Properties as JSON text, "" for none. Raises Unacceptable where they are too large, too deep or refused."""
    if not properties:
        return ""
    refuse_fingerprinting(properties, field)
    try:
        encoded = orjson.dumps(properties)
    except TypeError:  # nested deeper than 254 levels, lone surrogates, huge numbers
        raise invalid(
            field, f"an object of at most {PROPERTIES_SIZE_MAX:,} bytes, nested at most 250 deep"
        ) from None
    return check_properties_size(encoded, field)
