"""Snowplow trackers: `POST /com.snowplowanalytics.snowplow/tp2`, `GET /i` and `/ice.png` (docs/protocols/snowplow.md).

Every answer is 200: trackers send a 404 or 413 again for ever and block their queue with it. What is not taken is
counted. `SP-Anonymous` means no address, no cookie and no identifier, whatever the payload holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ingest.protocols.apps import APP, flag_of_app
from ingest.protocols.lenient import currency, identifier, moment, money
from ingest.protocols.mapping import PIXEL, SERVER, TAG, make_row
from ingest.protocols.payload import ITEM_COUNT_MAX, Payload, chosen, derive_id, join_signals, load_json
from ingest.protocols.protocol import Answer, Ask, Reading, Route, error_answer, gif_answer, text_answer
from ingest.protocols.snowplow.self_describing import (
    Entity,
    consent_of,
    flatten,
    read_contexts,
    read_self_describing,
)
from ingest.reading.body import TOO_LARGE
from ingest.reading.fields import Rejection, Unacceptable, invalid
from ingest.reading.pixel import QUERY_LENGTH_MAX, parse_query
from ingest.reading.row import Row
from ingest.reading.sites import Credential
from ingest.reading.times import Moment, parse_moment
from ingest.serving.answers import UNKNOWN_KEY

PROTOCOL = "snowplow"
PAYLOAD_SCHEMA = re.compile(r"iglu:com\.snowplowanalytics\.snowplow/payload_data/jsonschema/1-0-[0-4]")
VENDOR_PATHS = ("/com.snowplowanalytics.snowplow/tp2",)  # a wildcard would swallow /v1/track and /api/event
SENT_EARLY_MS_MAX = 1_000  # the Python tracker cuts `stm` to whole seconds
OK = text_answer("ok")

# The keys we read; others are left out and the event is kept. `fp`, `cookie`, `f_*`, `ds`, `cd`, `cs` only tell
# machines apart.
KEYS = frozenset({
    "e", "eid", "aid", "p", "dtm", "stm", "ttm", "tz", "duid", "nuid", "tnuid", "uid", "sid", "ip", "ua", "url", "page",
    "refr", "lang", "res", "vp", "co", "cx", "ue_pr", "ue_px", "se_ca", "se_ac", "se_la", "se_pr", "se_va",
    "pp_mix", "pp_max", "pp_miy", "pp_may", "tr_id", "tr_af", "tr_tt", "tr_tx", "tr_sh", "tr_ci", "tr_st", "tr_co",
    "tr_cu", "ti_id", "ti_sk", "ti_nm", "ti_ca", "ti_pr", "ti_qu", "ti_cu",
})  # fmt: skip
IDENTIFIERS = ("duid", "nuid", "tnuid", "uid", "sid", "ip")
PING = {"pp_mix": "x_min", "pp_max": "x_max", "pp_miy": "y_min", "pp_may": "y_max"}
ORDER = {
    "tr_af": "affiliation", "tr_tx": "tax", "tr_sh": "shipping", "tr_ci": "city", "tr_st": "state", "tr_co": "country",
}  # fmt: skip
ORDER_ITEM = {
    "ti_id": "order_id", "ti_sk": "sku", "ti_nm": "product", "ti_ca": "category", "ti_pr": "price",
    "ti_qu": "quantity", "ti_cu": "item_currency",
}  # fmt: skip
STRUCTURED = {"se_ca": "category", "se_la": "label", "se_pr": "property"}

MAPPING: Mapping[str, str] = MappingProxyType({
    "event_id": "`eid`; of an order `tr_id` or `transaction_id`; without one, a hash of the event but for `stm`",
    "site": "`aid`",
    "name": "`e`: pv is `page_view`, pp `page_ping`, se its `se_ac`, ue its schema's name, tr `purchase`,"
    " ti `transaction_item`; of an ecommerce action its `type`, where `transaction` is `purchase`",
    "source": "`p`: web is `tag`, any other `server`; without `p`, `pixel` for a GET and `server` for a POST",
    "occurred_at": "`ttm`, else `dtm`",
    "sent_at": "`stm`, where `ttm` is absent",
    "ip": "`ip`, with a secret key; not under `SP-Anonymous`",
    "user_agent": "`ua`",
    "language": "`lang`",
    "url": "`url`",
    "referrer": "`refr`",
    "title": "`page`",
    "visitor_id": "`duid`, else `nuid`, `tnuid`, `userId` of the context client_session; not under `SP-Anonymous`",
    "user_id": "`uid`; not under `SP-Anonymous`",
    "session_id": "`sid`, else `sessionId` of client_session; not under `SP-Anonymous`",
    "consent": "consent_preferences, consent_withdrawn; consent_granted and the contexts consent_document and gdpr"
    " as `categories`; `gdpr`, `gpp`, `gcs`, `gcd` and the like in the query",
    "screen": "`res`",
    "viewport": "`vp`",
    "timezone": "`tz`",
    "value_e4": "`tr_tt`, `revenue` of an ecommerce transaction, `se_va`",
    "currency": "`tr_cu`, `currency` of an ecommerce transaction",
    "properties": "`se_*`, `pp_*`, `tr_*`, `ti_*`, the data of `ue_pr` or `ue_px`, contexts as `<name>.<field>`",
})  # fmt: skip


def read_post(ask: Ask) -> Reading:
    """A payload of several events."""
    try:
        items, why = _split(ask.body)
    except Unacceptable as problem:
        return Reading(OK, refusals=[("", problem.rejection)])
    return _read_items(ask, items, OK, parse_query(ask.query) if ask.query else {}, why)


def read_get(ask: Ask) -> Reading:
    """One event in the query string."""
    if len(ask.query) > QUERY_LENGTH_MAX:
        why = Rejection(
            "oversize", "The event is too large.", f"query: expected at most {QUERY_LENGTH_MAX:,} bytes"
        )
        return Reading(gif_answer(), refusals=[("", why)])
    params = parse_query(ask.query)
    return _read_items(ask, [params], gif_answer(), params)


def refuse_post(why: Rejection, status: int) -> Answer:
    """A body nobody will ever read ends here with a 200; whatever may still succeed is to come again."""
    return OK if status in (400, 401, 413) else error_answer(why, status)


def read_health(ask: Ask) -> Reading:
    """What load balancers in front of a collector ask for."""
    return Reading(OK)


ROUTES = (
    *(Route(PROTOCOL, path, ("POST",), read_post, refuse=refuse_post) for path in VENDOR_PATHS),
    Route(PROTOCOL, "/i", ("GET",), read_get, is_pixel=True),
    Route(PROTOCOL, "/ice.png", ("GET",), read_get, is_pixel=True),
    Route(PROTOCOL, "/health", ("GET",), read_health, bare=False),
)


def _split(body: bytes) -> tuple[list[Any], Rejection | None]:
    """The events of a payload, and why none of them is taken, if so. Raises Unacceptable where there are none."""
    payload = load_json(body, "body")
    items = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(items, list) or not items:
        raise invalid("data", "a list of at least one event")
    if len(items) > ITEM_COUNT_MAX:
        raise Unacceptable(*TOO_LARGE)
    schema = payload.get("schema")
    if isinstance(schema, str) and PAYLOAD_SCHEMA.fullmatch(schema):
        return items, None
    return items, Rejection(
        "unlisted_schema",
        "The payload's schema is not known here.",
        "schema: expected iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-0 to 1-0-4",
    )


def _read_items(
    ask: Ask, items: Iterable[Any], answer: Answer, query: Mapping[str, str], why: Rejection | None = None
) -> Reading:
    anonymous = b"sp-anonymous" in ask.headers
    if anonymous:
        ask = replace(ask, client=ask.client._replace(ip=""))
    reading = Reading(answer)
    for item in items:
        credential = _find_credential(ask, item)
        try:
            if not isinstance(item, dict):
                raise invalid("data", "events that are objects")
            if credential is None:
                raise Unacceptable(*UNKNOWN_KEY)
            if why is not None:
                raise Unacceptable(*why)
            reading.rows.append((credential, _read_item(ask, credential, item, query, anonymous)))
        except Unacceptable as problem:
            reading.refusals.append((credential.site if credential else "", problem.rejection))
    return reading


def _find_credential(ask: Ask, item: object) -> Credential | None:
    key = item.get("aid") if isinstance(item, dict) else None
    return ask.sites.find(key) if isinstance(key, str) else None


def _read_item(
    ask: Ask, credential: Credential, item: dict[str, Any], query: Mapping[str, str], anonymous: bool
) -> Row:
    payload_keys = {
        key: _text(value, key) for key, value in item.items() if key in KEYS and value is not None
    }
    if anonymous:
        for key in IDENTIFIERS:
            payload_keys.pop(key, None)
    get = payload_keys.get
    data = read_self_describing(get("ue_pr"), get("ue_px")) if get("e") == "ue" else None
    contexts = read_contexts(get("co"), get("cx"))
    session = next((one.data for one in contexts if one.name == "client_session"), {})
    if anonymous:
        session = {}
    payload = _read_payload(payload_keys, data, contexts)
    payload.properties |= flatten(contexts)
    times = _times(get("ttm"), get("dtm"), get("stm"))
    return make_row(
        ask,
        credential,
        protocol=PROTOCOL,
        source=_source(ask, get("p")),
        name=payload.name,
        event_id=payload.event_id
        or get("eid")
        or _derive_id(ask, credential, item, get("ttm") or get("dtm")),
        occurred_at=times[0],
        sent_at=times[1],
        ip=get("ip"),
        user_agent=get("ua"),
        language=get("lang"),
        url=get("url"),
        referrer=get("refr"),
        title=get("page"),
        visitor_id=get("duid") or get("nuid") or get("tnuid") or identifier(session.get("userId")),
        user_id=get("uid"),
        session_id=get("sid") or identifier(session.get("sessionId")),
        flags=APP if get("p") == "mob" else flag_of_app(get("tv")),
        signals=join_signals(query, consent_of(data, contexts)),
        screen=get("res"),
        viewport=get("vp"),
        timezone=get("tz"),
        value=money(payload.value),
        currency=currency(payload.currency),
        properties=payload.properties,
    )


def _text(value: object, key: str) -> str:
    """A value as text: the protocol wants text everywhere, and the Python tracker sends numbers of orders as such."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise invalid(key, "text")


def _read_payload(item: Mapping[str, str], data: Entity | None, contexts: list[Entity]) -> Payload:
    """What the event says, by its `e`. Raises Unacceptable."""
    match item.get("e", ""):
        case "pv":
            return Payload("page_view")
        case "pp":
            return Payload("page_ping", properties=chosen(item, PING))
        case "se":
            return Payload(item.get("se_ac"), value=item.get("se_va"), properties=chosen(item, STRUCTURED))
        case "tr":
            return Payload(
                "purchase", item.get("tr_id"), item.get("tr_tt"), item.get("tr_cu"), chosen(item, ORDER)
            )
        case "ti":
            return Payload("transaction_item", properties=chosen(item, ORDER_ITEM))
    if data is None:
        raise invalid("e", "pv, pp, se, ue, tr or ti")
    return _self_describing(data, contexts)


def _self_describing(data: Entity, contexts: list[Entity]) -> Payload:
    """A self-describing event; of an ecommerce action the order stands in a context, else in the event itself."""
    is_action = data.name == "snowplow_ecommerce_action"
    name = data.data.get("type") if is_action else data.name
    properties = {key: value for key, value in data.data.items() if not (is_action and key == "type")}
    if name != "transaction":
        return Payload(name, properties=properties)
    order = next((one.data for one in contexts if one.name == "transaction"), properties)
    order_id, revenue, unit = (order.pop(key, None) for key in ("transaction_id", "revenue", "currency"))
    return Payload("purchase", order_id, revenue, unit, properties)


def _times(true: str | None, created: str | None, sent: str | None) -> tuple[Moment, int]:
    """(occurred_at, sent_at in ms): a true time is not to be corrected, so it has no time of sending."""
    if true:
        return parse_moment(true, "ttm"), 0
    occurred_at, sent_at = parse_moment(created, "dtm"), moment(sent)
    if sent_at and 0 < occurred_at.ms - sent_at < SENT_EARLY_MS_MAX:
        sent_at = occurred_at.ms
    return occurred_at, sent_at


def _source(ask: Ask, platform: str | None) -> str:
    if platform:
        return TAG if platform == "web" else SERVER
    return PIXEL if ask.method == "GET" else SERVER


def _derive_id(ask: Ask, credential: Credential, item: Mapping[str, Any], time: str | None) -> str | None:
    """For trackers without `eid`: what they said at a time, but for the time of sending, which a retry changes."""
    if not time:
        return None
    payload = {key: value for key, value in item.items() if key != "stm"}
    return derive_id(ask.sites.id_secret(credential.site), PROTOCOL, payload)
