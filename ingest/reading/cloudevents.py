"""CloudEvents 1.0 on `POST /v1/events`: structured, batched and binary mode → events in our own terms.

The rules are those of the CloudEvents specification 1.0.2, its JSON format and its HTTP protocol binding.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from ingest.reading.body import (
    EVENT_COUNT_MAX,
    TOO_LARGE,
    UNREADABLE,
    UNREADABLE_EVENT,
    Body,
    load,
    split_events,
)
from ingest.reading.client import Headers
from ingest.reading.fields import (
    Rejection,
    Unacceptable,
    invalid,
    parse_name,
    refuse_fingerprinting,
)
from ingest.reading.parse import Converted
from ingest.reading.signature import HEADER as SIGNATURE
from ingest.reading.times import parse_time

STRUCTURED = "application/cloudevents"
BATCH = "application/cloudevents-batch"
JSON_FORMAT = "+json"
VERSION = "1.0"

# Extension attributes (lower case letters and digits only, as the specification wants) -> fields of an event.
EXTENSIONS: Mapping[str, str] = {
    "visitorid": "visitor_id",
    "userid": "user_id",
    "sessionid": "session_id",
    "url": "url",
    "referrer": "referrer",
    "title": "title",
    "value": "value",
    "currency": "currency",
    "consent": "consent",
    "gdpr": "gdpr",
    "gdprconsent": "gdpr_consent",
    "gpp": "gpp",
    "gppsid": "gpp_sid",
    "usprivacy": "us_privacy",
    "gcs": "gcs",
    "gcd": "gcd",
}
CONTEXT_EXTENSIONS: Mapping[str, str] = {"clientip": "ip", "useragent": "user_agent"}
ORDER_IDS = ("order_id", "transaction_id")  # of a purchase: an order is one event, whoever speaks of it
MONEY = ("value", "currency")  # of a purchase: taken from data where no attribute says them
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
NOT_EXTENSIONS = frozenset({
    "specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data", "data_base64",
})  # fmt: skip
NAMES: Mapping[str, str] = {
    "ts": "time",
    "properties": "data",
    **{field: name for name, field in EXTENSIONS.items()},
}


def is_cloudevent(headers: Headers, content_type: str) -> bool:
    """Whether a request says that its body is a CloudEvent."""
    return content_type[: len(STRUCTURED)].lower() == STRUCTURED or b"ce-specversion" in headers


def split_body(headers: Headers, body: bytes) -> Body:
    """The events of an inflated body, CloudEvents or ours. Raises Unacceptable where nothing can be read."""
    content_type = headers.get(b"content-type", b"").decode("latin-1").strip()
    if not is_cloudevent(headers, content_type):
        return split_events(body, content_type)
    media_type = content_type.partition(";")[0].strip().lower()
    match media_type:
        case "application/cloudevents+json":
            items = [_load(body)]
        case "application/cloudevents-batch+json":
            items = _load(body)
            if not isinstance(items, list):
                raise invalid(
                    "body", "a JSON list of CloudEvents, as application/cloudevents-batch+json has it"
                )
        case _ if media_type.startswith(STRUCTURED):
            raise Unacceptable(
                "unknown_format",
                "This format of CloudEvents is not taken.",
                "Content-Type: expected application/cloudevents+json or application/cloudevents-batch+json",
            )
        case _ if SIGNATURE in headers:
            raise Unacceptable(
                "signature_wrong",
                "The signature does not cover all of the event.",
                "ce-: a signature covers the body alone; send the CloudEvent structured, application/cloudevents+json",
            )
        case _:
            return Body([_convert_binary(headers, media_type, body)])
    if len(items) > EVENT_COUNT_MAX:
        raise Unacceptable(*TOO_LARGE)
    return Body([convert(item) for item in items])


def convert(item: object) -> Converted | Rejection:
    """One CloudEvent of the JSON format in our own terms, or why it is none."""
    if not isinstance(item, dict):
        return Rejection(
            "not_an_event", "This is not an event.", 'expected a CloudEvent such as {"specversion": "1.0"}'
        )
    try:
        return _convert(item)
    except Unacceptable as problem:
        return problem.rejection


def _convert(item: dict[str, Any]) -> Converted:
    if item.get("specversion") != VERSION:
        raise invalid("specversion", f'"{VERSION}"')
    name = parse_name(item.get("type"), "type")
    ours: dict[str, Any] = {"event": name, "id": _identify(item)}
    if item.get("time") is not None:
        if not isinstance(item["time"], str):
            raise invalid("time", "a time of RFC 3339, such as 2026-01-31T12:00:00Z")
        parse_time(item["time"], "time")
        ours["ts"] = item["time"]
    properties = _read_data(item)
    if subject := _read_text(item, "subject"):
        properties.setdefault("subject", subject)
    if name == "purchase":
        _read_order(properties, ours)
    unknown = _read_extensions(item, ours)
    return Converted({**ours, "properties": properties}, NAMES, unknown)


def _read_extensions(item: dict[str, Any], ours: dict[str, Any]) -> tuple[str, ...]:
    """Put the attributes we know into an event; gives the names of the others."""
    context, unknown = {}, []
    for attribute, value in item.items():
        if attribute in NOT_EXTENSIONS or value is None:
            continue
        if attribute in EXTENSIONS:
            if not isinstance(
                value, (str, int)
            ):  # the specification has no others but truth values, which are ints
                raise invalid(attribute, "text, a whole number, true or false")
            ours[EXTENSIONS[attribute]] = value
        elif attribute in CONTEXT_EXTENSIONS:
            context[CONTEXT_EXTENSIONS[attribute]] = _read_text(item, attribute)
        else:
            unknown.append(attribute)
    refuse_fingerprinting(unknown, "event")
    if context:
        ours["context"] = context
    return tuple(unknown)


def _identify(item: dict[str, Any]) -> str:
    """`source|id`: the two together are unique, and no URI holds a bar."""
    source, event_id = _read_text(item, "source"), _read_text(item, "id")
    for name, value, such_as in (("source", source, "https://shop.example/orders"), ("id", event_id, "4711")):
        if not value:
            raise Unacceptable(
                "missing_field", f"The event has no {name}.", f"{name}: expected text, such as {such_as}"
            )
    if "|" in source or any(letter.isspace() for letter in source):
        raise invalid("source", "a URI reference, such as https://shop.example/orders")
    return f"{source}|{event_id}"


def _read_text(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(name, "text")
    return value


def _read_data(item: dict[str, Any]) -> dict[str, Any]:
    """An object as it is, also where base64 hides JSON that says so; anything else as the one property `data` or
    `data_base64`."""
    if "data_base64" in item:
        if "data" in item:
            raise invalid("data_base64", "either data or data_base64, not both")
        return _read_binary(_read_text(item, "data_base64"), _read_text(item, "datacontenttype"))
    data = item.get("data")
    if data is None:
        return {}
    return dict(data) if isinstance(data, dict) else {"data": data}


def _read_binary(encoded: str, content_type: str) -> dict[str, Any]:
    """The JSON object that base64 holds, where the content type says JSON; else base64 as it came."""
    if _is_json(content_type.partition(";")[0].strip().lower()):
        try:
            data = load(base64.b64decode(encoded, validate=True))
        except (ValueError, Unacceptable):  # binascii's and orjson's errors are value errors
            data = None
        if isinstance(data, dict):
            return data
    return {"data_base64": encoded}


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith(JSON_FORMAT)


def _read_order(properties: dict[str, Any], ours: dict[str, Any]) -> None:
    order_id = next((properties[name] for name in ORDER_IDS if properties.get(name) not in (None, "")), None)
    if isinstance(order_id, (str, int)) and not isinstance(order_id, bool):
        ours["id"] = str(order_id)
    for name in MONEY:
        if isinstance(properties.get(name), (str, int, float)):
            ours[name] = properties[name]


def _convert_binary(headers: Headers, media_type: str, body: bytes) -> Converted | Rejection:
    """Binary mode: attributes in `ce-` headers, percent-encoded; the body is the data."""
    item: dict[str, Any] = {
        name[3:].decode("latin-1"): decode_header(value)
        for name, value in headers.items()
        if name.startswith(b"ce-")
    }
    item.pop("data", None)
    item.pop("data_base64", None)
    if body:
        if not media_type or _is_json(media_type):
            try:
                item["data"] = load(body)
            except orjson.JSONDecodeError:
                return UNREADABLE_EVENT
        elif media_type.startswith("text/"):
            item["data"] = body.decode("utf-8", "replace")
        else:
            item["data_base64"] = base64.b64encode(body).decode("ascii")
    return convert(item)


def decode_header(value: bytes) -> str:
    """The attribute a header's value says: the quotes of a quoted string off (RFC 9110, section 5.6.4), then one round
    of percent-decoding (HTTP protocol binding, section 3.1.3.2)."""
    if len(value) >= 2 and value[:1] == value[-1:] == b'"':
        value = _QUOTED_PAIR.sub(rb"\1", value[1:-1])
    return unquote_to_bytes(value).decode("utf-8", "replace")


def _load(body: bytes) -> Any:
    try:
        return load(body)
    except orjson.JSONDecodeError:
        raise Unacceptable(*UNREADABLE) from None
