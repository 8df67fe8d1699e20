"""The native endpoints in the OpenAPI document: the pixel, events, and the way of one event."""

from __future__ import annotations

from typing import Any

from ingest.openapi.schemas import CONSENT_TEXT, CURRENCY, SIGNAL, TIME, VALUE, cut, identifier, ref, text
from ingest.reading.body import BODY_BYTES_MAX, EVENT_COUNT_MAX, INFLATED_BYTES_MAX
from ingest.reading.pixel import KEY_NAMES, QUERY_LENGTH_MAX
from schemas.consent import OTHER_SIGNALS
from schemas.event import NAME_LENGTH_MAX

Part = dict[str, Any]

JSON = "application/json"
KEYS: list[Part] = [{"bearer": []}, {"basic": []}, {"writeKey": []}, {"queryKey": []}]


def errors(*statuses: str) -> Part:
    """Answers by status that the document names once."""
    return {status: {"$ref": f"#/components/responses/Error{status}"} for status in statuses}


def header(name: str) -> Part:
    """A header that the document names once."""
    return {"$ref": f"#/components/headers/{name}"}


def curl(words: str) -> Part:
    """An example for a shell."""
    return {"lang": "Shell", "source": f"curl {words}"}


GIF: Part = {"image/gif": {"schema": {"type": "string", "contentMediaType": "image/gif"}}}
PICTURE_HEADERS: Part = {"X-Fairpixel-Code": header("Code"), "X-Fairpixel-Detail": header("Detail")}


def event_paths() -> Part:
    """The addresses that take events, and the one that says what became of one."""
    return {
        "/p.gif": {"get": _pixel()},
        "/v1/events": {"post": _post_events()},
        "/v1/events/{id}": {"get": _get_event()},
    }


def _pixel() -> Part:
    names = ", ".join(f"`{name}`" for name in KEY_NAMES[1:])
    parameters = {
        "k": text(f"the site's key; also taken under {names}", minLength=1, examples=["demo"]),
        "e": text("the event's name", maxLength=NAME_LENGTH_MAX, default="page_view"),
        "id": identifier("your own id"),
        "v": VALUE,
        "cur": CURRENCY,
        "u": identifier("your name of the person"),
        "a": identifier("your first-party name of the browser"),
        "ts": TIME,
        "url": cut("the page; else the header Referer"),
        "ref": cut("the page before"),
        "consent": text(CONSENT_TEXT, examples=["all"]),
        **dict.fromkeys(OTHER_SIGNALS, SIGNAL),
        "p.<name>": text("a property of the event, any number of them"),
    }
    later = {**PICTURE_HEADERS, "Retry-After": header("RetryAfter")}
    meanings = {
        "400": "a parameter cannot be read",
        "401": "no site has this key",
        "413": f"the query is longer than {QUERY_LENGTH_MAX:,} bytes, or the properties are too large",
        "429": "too many at once",
        "503": "the event cannot be kept at the moment",
    }
    return {
        "tags": ["events"],
        "operationId": "sendPixel",
        "summary": "One event from an image",
        "description": "The body is a GIF of 43 bytes whatever the status, and never cached. `HEAD` makes no event.",
        "parameters": [
            {"name": name, "in": "query", "required": name == "k", "schema": schema}
            for name, schema in parameters.items()
        ],
        "responses": {
            "200": {"description": "kept, or decided by policy", "content": GIF},
            **{
                status: {
                    "description": meaning,
                    "headers": later if status in ("429", "503") else PICTURE_HEADERS,
                    "content": GIF,
                }
                for status, meaning in meanings.items()
            },
        },
        "x-codeSamples": [
            curl('"$EDGE/p.gif?k=demo&e=page_view&consent=all&url=https://shop.example/" -o /dev/null')
        ],
    }


def _post_events() -> Part:
    return {
        "tags": ["events"],
        "operationId": "sendEvents",
        "summary": "One event, a list, lines of JSON, or CloudEvents",
        "description": f"At most {BODY_BYTES_MAX:,} bytes as sent, {INFLATED_BYTES_MAX:,} after decompression (gzip, "
        f"deflate, zstd) and {EVENT_COUNT_MAX:,} events. Each event has its own result: a bad one spares its "
        "neighbours. CloudEvents 1.0 come structured, as a batch, or in binary mode (attributes in `ce-` headers, the "
        "body is the data): `source` and `id` are the event's id, `type` its name, `data` its properties. Instead of "
        "sending the secret key, a backend may send the public one and sign the body with the secret: "
        "`X-Fairpixel-Signature: t=<seconds since 1970>,v1=<hex HMAC-SHA-256 of t, a dot and the body>`, good for five "
        "minutes; a replay is a duplicate.",
        "security": KEYS,
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": {"anyOf": [ref("EventList"), ref("Event"), {"type": "array", "items": ref("Event")}]}},
                "application/x-ndjson": {"schema": {"type": "string", "description": "an Event a line"}},
                "application/cloudevents+json": {"schema": ref("CloudEvent")},
                "application/cloudevents-batch+json": {"schema": ref("CloudEventBatch")},
            },
        },
        "responses": {
            "200": {
                "description": "every accepted event is kept",
                "content": {JSON: {"schema": ref("Results")}},
            },
            **errors("400", "401", "408", "413", "429", "503"),
        },
        "x-codeSamples": [
            curl(
                "$EDGE/v1/events -H 'Authorization: Bearer <secret key>' -H 'Content-Type: application/json' \\\n"
                """  -d '{"events": [{"event": "purchase", "id": "order-42", "value": 19.90, "currency": "EUR"}]}'"""
            ),
            curl(
                "$EDGE/v1/events -H 'Authorization: Bearer demo' -H 'Content-Type: application/x-ndjson' \\\n"
                """  --data-binary $'{"event": "signup", "id": "s-1"}\\n{"event": "login", "id": "l-1"}'"""
            ),
            curl(
                "$EDGE/v1/events -H 'Authorization: Bearer <secret key>' \\\n"
                "  -H 'Content-Type: application/cloudevents+json' \\\n"
                """  -d '{"specversion": "1.0", "id": "42", "source": "/orders", "type": "signup", "data": {}}'"""
            ),
        ],
    }  # fmt: skip


def _get_event() -> Part:
    return {
        "tags": ["events"],
        "operationId": "traceEvent",
        "summary": "Every stage's decision about one event",
        "description": "Accepted by the edge, stored or dropped (and why) by streams, loaded into ClickHouse, seen "
        "again. About a second behind. Answers for the site of the secret key alone.",
        "security": KEYS,
        "parameters": [
            {
                "name": "id",
                "in": "path",
                "required": True,
                "schema": text("as sent, or as the result named it", minLength=1),
            }
        ],
        "responses": {
            "200": {"description": "what is known", "content": {JSON: {"schema": ref("Trace")}}},
            "404": {
                "description": "nothing is known (yet): on its way, never accepted, another site's, or too old",
                "content": {JSON: {"schema": ref("UnknownEvent")}},
            },
            **errors("401", "503"),
        },
        "x-codeSamples": [curl("$EDGE/v1/events/order-42 -H 'Authorization: Bearer <secret key>'")],
    }
