"""The shapes of the OpenAPI document, from the code's own limits and names."""

from __future__ import annotations

from typing import Any

from ingest.reading.body import EVENT_COUNT_MAX
from ingest.reading.cloudevents import CONTEXT_EXTENSIONS, EXTENSIONS, VERSION
from ingest.reading.codes import CODE_MEANING
from ingest.reading.fields import FINGERPRINTING, LANGUAGE_LENGTH_MAX, SHORT_LENGTH_MAX
from ingest.reading.times import TIME_MS_MAX
from schemas.consent import OTHER_SIGNALS, Purpose
from schemas.drops import DropReason
from schemas.event import (
    EVENT_ID_LENGTH_MAX,
    NAME_LENGTH_MAX,
    PROPERTIES_SIZE_MAX,
    TEXT_LENGTH_MAX,
    VALUE_E4_MAX,
)

Schema = dict[str, Any]

VALUE_MAX = VALUE_E4_MAX // 10_000


def ref(name: str) -> Schema:
    """A reference to one of the schemas below."""
    return {"$ref": f"#/components/schemas/{name}"}


def text(description: str, **more: Any) -> Schema:
    """A string."""
    return {"type": "string", "description": description, **more}


def cut(description: str, length_max: int = TEXT_LENGTH_MAX) -> Schema:
    """A string that is cut off rather than refused."""
    return text(f"{description}; cut after {length_max:,} characters")


def identifier(description: str) -> Schema:
    """Text or a whole number; never refused for its length."""
    return {
        "type": ["string", "integer"],
        "description": f"{description}; longer than {EVENT_ID_LENGTH_MAX} characters: replaced by its SHA-256",
    }


TIME: Schema = {
    "description": "milliseconds since 1970, or ISO 8601 (UTC where it names no offset)",
    "oneOf": [
        {"type": "integer", "minimum": 0, "maximum": TIME_MS_MAX},
        {"type": "string", "format": "date-time"},
    ],
    "examples": ["2026-01-31T12:00:00Z", 1769860800000],
}
VALUE: Schema = {
    "description": "amount of money in units of the currency, exact to four decimals",
    "oneOf": [
        {"type": "number", "minimum": -VALUE_MAX, "maximum": VALUE_MAX},
        {"type": "string", "pattern": r"^-?[0-9]{1,9}(\.[0-9]{1,4})?$"},
    ],
    "examples": [19.9],
}
CURRENCY: Schema = {
    "type": "string",
    "pattern": "^[A-Za-z]{3}$",
    "description": "three letters as in ISO 4217",
    "examples": ["EUR"],
}
SIGNAL: Schema = {"type": ["string", "integer", "boolean"], "description": "as the consent platform gave it"}
CONSENT_TEXT = f"`all`, `none`, or purposes by comma: {', '.join(Purpose)}"
CODES: Schema = {"type": "string", "enum": sorted(CODE_MEANING)}


def build_schemas() -> dict[str, Schema]:
    """Every named shape."""
    return {**_events(), **_answers(), **_cloudevents(), **_trace()}


def _events() -> dict[str, Schema]:
    signals = dict.fromkeys(OTHER_SIGNALS, SIGNAL)
    return {
        "Event": {
            "type": "object",
            "description": "One thing that happened. Keys nobody knows are named in the result and ignored.",
            "required": ["event"],
            "properties": {
                "event": text("its name", minLength=1, maxLength=NAME_LENGTH_MAX, examples=["purchase"]),
                "id": identifier("your own id: the same site, name and id is one event, however often it is sent"),
                "ts": TIME,
                "sent_at": TIME,
                "visitor_id": identifier("your first-party name of the browser or device"),
                "user_id": identifier("your name of the person"),
                "session_id": identifier("your name of the visit"),
                "url": cut("the page"),
                "referrer": cut("the page before"),
                "title": cut("the page's title"),
                "value": VALUE,
                "currency": CURRENCY,
                "consent": ref("Consent"),
                "context": ref("Context"),
                "properties": ref("Properties"),
                **signals,
            },
            "examples": [
                {"event": "purchase", "id": "order-42", "value": 19.9, "currency": "EUR", "consent": "all"}
            ],
        },
        "Consent": {
            "description": "What the person agreed to. What is present and unreadable gives less data, never more.",
            "oneOf": [
                text(CONSENT_TEXT, examples=["all", "measurement,marketing"]),
                {"type": "object", "additionalProperties": {"type": ["boolean", "string"]},
                 "examples": [{"measurement": True, "marketing": False}]},
            ],
        },
        "Context": {
            "type": "object",
            "properties": {
                "ip": text("the person's address; secret key only"),
                "user_agent": cut("the person's agent; secret key only"),
                "language": cut("as Accept-Language has it", LANGUAGE_LENGTH_MAX),
                "title": cut("the page's title"),
                "session_id": identifier("your name of the visit"),
                "screen": cut("such as 1920x1080", SHORT_LENGTH_MAX),
                "viewport": cut("such as 1280x720", SHORT_LENGTH_MAX),
                "timezone": cut("such as Europe/Berlin", SHORT_LENGTH_MAX),
                "gpc": {"type": "boolean", "description": "Global Privacy Control is set"},
                "dnt": {"type": "boolean", "description": "Do Not Track is set"},
                "webdriver": {"type": "boolean", "description": "the browser says it is driven by a program"},
            },
        },
        "Properties": {
            "type": "object",
            "description": f"Anything else, at most {PROPERTIES_SIZE_MAX:,} bytes of JSON. Refused: "
            f"{', '.join(sorted(FINGERPRINTING))}, which only tell machines apart.",
            "propertyNames": {"not": {"enum": sorted(FINGERPRINTING)}},
        },
        "EventList": {
            "type": "object",
            "required": ["events"],
            "properties": {
                "events": {"type": "array", "items": ref("Event"), "maxItems": EVENT_COUNT_MAX},
                "sent_at": TIME,
                "k": text("the site's key, where no header carries it"),
            },
        },
    }  # fmt: skip


def _answers() -> dict[str, Schema]:
    return {
        "Error": {
            "type": "object",
            "required": ["code", "message", "detail"],
            "properties": {"code": CODES, "message": text("what happened"), "detail": text("the field and the fix")},
        },
        "Accepted": {
            "type": "object",
            "required": ["id", "status"],
            "properties": {
                "id": text("the event's id: yours, or the one made for it"),
                "status": {"const": "accepted"},
                "detail": text("what was ignored"),
            },
            "additionalProperties": False,
        },
        "Rejected": {
            "type": "object",
            "required": ["index", "status", "code", "message", "detail"],
            "properties": {
                "index": {"type": "integer", "minimum": 0, "description": "its place in the request"},
                "status": {"const": "rejected"},
                "code": CODES,
                "message": text("what happened"),
                "detail": text("the field and the fix"),
            },
            "additionalProperties": False,
        },
        "Results": {
            "type": "object",
            "required": ["results"],
            "description": "One result an event, in order. `accepted` means kept: Kafka or the spool on disk has it.",
            "properties": {
                "results": {"type": "array", "items": {"oneOf": [ref("Accepted"), ref("Rejected")]}},
                "detail": text("what was ignored of the request"),
            },
            "additionalProperties": False,
        },
    }  # fmt: skip


def _cloudevents() -> dict[str, Schema]:
    extensions = {
        name: {"type": ["string", "integer", "boolean"], "description": f"the event's {field}"}
        for name, field in EXTENSIONS.items()
    }
    context = {
        name: text(f"the context's {field}; secret key only") for name, field in CONTEXT_EXTENSIONS.items()
    }
    return {
        "CloudEvent": {
            "type": "object",
            "required": ["specversion", "id", "source", "type"],
            "properties": {
                "specversion": {"const": VERSION},
                "id": text("with `source` the event's id", minLength=1),
                "source": text(
                    "a URI reference; with `id` the event's id", minLength=1, pattern=r"^[^\s|]+$"
                ),
                "type": text("the event's name", minLength=1, maxLength=NAME_LENGTH_MAX),
                "time": text("when it happened", format="date-time"),
                "subject": text("kept as the property `subject`"),
                "datacontenttype": text("not kept"),
                "dataschema": text("not kept"),
                "data": {
                    "description": "an object becomes the properties; anything else the one property `data`"
                },
                **extensions,
                "value": VALUE,
                "currency": CURRENCY,
                "consent": text(CONSENT_TEXT),
                **dict.fromkeys(("url", "referrer", "title"), cut("as in our own events")),
                **context,
            },
            "examples": [
                {
                    "specversion": VERSION,
                    "id": "42",
                    "source": "https://shop.example/orders",
                    "type": "purchase",
                    "time": "2026-01-31T12:00:00Z",
                    "consent": "all",
                    "data": {"order_id": "order-42", "value": 19.9, "currency": "EUR"},
                }
            ],
        },
        "CloudEventBatch": {"type": "array", "items": ref("CloudEvent"), "maxItems": EVENT_COUNT_MAX},
    }


def _trace() -> dict[str, Schema]:
    return {
        "Decision": {
            "type": "object",
            "required": ["stage", "decision", "at", "text"],
            "properties": {
                "stage": {"enum": ["edge", "streams", "loader", "copies"]},
                "decision": {"enum": ["accepted", "stored", "dropped", "loaded", "counted", "copy"]},
                "at": text("UTC; the minute where only that is kept; empty where nobody notes it"),
                "text": text("the same in words"),
                "reason": {"enum": sorted(DropReason), "description": "of a drop"},
            },
            "additionalProperties": False,
        },
        "Trace": {
            "type": "object",
            "required": ["id", "site", "decisions", "loaded_at", "drops_readable"],
            "properties": {
                "id": text("as you asked"),
                "site": text("whose key asked"),
                "decisions": {"type": "array", "items": ref("Decision")},
                "loaded_at": text("when ClickHouse last took something; empty: never"),
                "drops_readable": {"type": "boolean", "description": "false: drops could not be looked up"},
            },
            "additionalProperties": False,
        },
        "UnknownEvent": {
            "allOf": [ref("Error")],
            "properties": {"loaded_at": text("see Trace"), "drops_readable": {"type": "boolean"}},
        },
    }
