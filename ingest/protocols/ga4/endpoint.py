"""GA4 Measurement Protocol: `POST /mp/collect`, and `/debug/mp/collect`, which stores nothing (docs/protocols/ga4.md).

`/mp/collect` answers 200 and nothing else, whatever it was sent: what is not taken is counted. `api_secret` is the
site's secret key, so every event is a backend's. What the debug endpoint finds fatal is what this one refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

from ingest.protocols.categories import read_preferences
from ingest.protocols.ga4.rules import (
    BODY_BYTES_MAX,
    SHOWN_MAX,
    Problem,
    check_request,
    find_duplicates,
    read_micros,
)
from ingest.protocols.lenient import currency, first_text, identifier, mapping, money, text
from ingest.protocols.mapping import SERVER, make_row
from ingest.protocols.payload import derive_id, join_signals, load_json
from ingest.protocols.protocol import Answer, Ask, Reading, Route, error_answer, json_answer
from ingest.reading.body import TOO_LARGE
from ingest.reading.fields import Rejection, Unacceptable
from ingest.reading.pixel import parse_query
from ingest.reading.row import Row
from ingest.reading.sites import SECRET, Credential
from ingest.reading.times import MICROSECONDS, parse_claim

PROTOCOL = "ga4"
# Parameters with a column of their own.
COLUMN_PARAMS = frozenset({
    "event_id", "page_location", "page_referrer", "page_title", "session_id", "value", "currency", "language",
    "screen_resolution",
})  # fmt: skip
DONE = Answer(200, b"", [(b"cache-control", b"no-store")])

MAPPING: Mapping[str, str] = MappingProxyType({
    "event_id": "`transaction_id` of a purchase; `params.event_id`; else, with `timestamp_micros`, a hash of client,"
    " name, time, parameters and place in the request; else made by the edge",
    "site": "`api_secret`, the site's secret key, with a public key of the same site as `measurement_id` or"
    " `firebase_app_id`",
    "name": "`name`",
    "trust": "always secret",
    "occurred_at": "`timestamp_micros` of the event, else of the request",
    "ip": "`ip_override`",
    "user_agent": "`user_agent`",
    "language": "`language` of the event, else of `device`",
    "url": "`page_location`",
    "referrer": "`page_referrer`",
    "title": "`page_title`",
    "visitor_id": "`client_id` or `app_instance_id`",
    "user_id": "`user_id`",
    "session_id": "`session_id`",
    "consent": "`consent` as `categories`: advertising says nothing of measurement; `consent`, `gdpr`, `gpp`, `gcs`,"
    " `gcd` and the like in the query",
    "screen": "`screen_resolution` of the event, else of `device`",
    "value_e4": "`value`",
    "currency": "`currency`",
    "properties": "every other parameter; `user_properties.<name>`, `user_location.<name>`, `device.<name>`",
})  # fmt: skip


def read_collect(ask: Ask) -> Reading:
    """Up to 25 events."""
    query = parse_query(ask.query)
    site = ""
    try:
        credential = _find_credential(ask, query)
        site = credential.site
        if len(ask.body) > BODY_BYTES_MAX:
            raise Unacceptable(*TOO_LARGE)
        body = load_json(ask.body, "body")
        fatal: dict[int | None, Problem] = {}
        for problem in check_request(body, len(ask.body), ask.now_ms):
            if problem.fatal:
                fatal.setdefault(problem.event, problem)
        if not isinstance(body, dict) or not isinstance(body.get("events"), list) or not body["events"]:
            raise Unacceptable(*fatal[None].rejection)
    except Unacceptable as refused:
        return Reading(DONE, refusals=[(site, refused.rejection)])
    reading, signals = Reading(DONE), join_signals(query, _categories(body.get("consent")))
    for index, event in enumerate(body["events"]):
        try:
            if why := fatal.get(None) or fatal.get(index):
                raise Unacceptable(*why.rejection)
            reading.rows.append((credential, _read_one(ask, credential, body, event, index, signals)))
        except Unacceptable as refused:
            reading.refusals.append((site, refused.rejection))
    return reading


def read_debug(ask: Ask) -> Reading:
    """What is wrong with a request, in GA4's words; nothing is stored."""
    problems = []
    try:
        _find_credential(ask, parse_query(ask.query))
    except Unacceptable as problem:
        problems.append(Problem("api_secret", "VALUE_INVALID", problem.rejection.detail))
    try:
        body = load_json(ask.body, "body")
    except Unacceptable:
        problems.append(Problem("body", "VALUE_INVALID", "expected JSON in UTF-8"))
    else:
        problems += islice(check_request(body, len(ask.body), ask.now_ms), SHOWN_MAX)
        problems += find_duplicates(ask.body) if len(ask.body) <= BODY_BYTES_MAX else []
    return Reading(json_answer({"validationMessages": [problem.shown for problem in problems]}))


def refuse(why: Rejection, status: int) -> Answer:
    """Bad input is silent by design; what may still succeed is to come again."""
    return DONE if status in (400, 401, 413) else error_answer(why, status)


ROUTES = (
    Route(PROTOCOL, "/mp/collect", ("POST",), read_collect, busy_status=503, refuse=refuse),
    Route(PROTOCOL, "/debug/mp/collect", ("POST",), read_debug, busy_status=503),
)


def _find_credential(ask: Ask, query: Mapping[str, str]) -> Credential:
    """The site whose secret key and whose public key were given. Raises Unacceptable."""
    credential = ask.sites.find(query.get("api_secret", ""))
    stream = ask.sites.find(query.get("measurement_id") or query.get("firebase_app_id") or "")
    if credential is None or credential.trust != SECRET or stream is None or stream.site != credential.site:
        raise Unacceptable(
            "unknown_key",
            "The keys are not known here.",
            "api_secret and measurement_id: expected the secret key and a public key of one site",
        )
    return credential


def _read_one(
    ask: Ask,
    credential: Credential,
    body: Mapping[str, Any],
    event: Mapping[str, Any],
    index: int,
    signals: str,
) -> Row:
    params = event.get("params") or {}
    get = params.get
    device = mapping(body.get("device"))
    order = get("transaction_id") if event["name"] == "purchase" else None
    micros = (
        one for one in (event.get("timestamp_micros"), body.get("timestamp_micros")) if read_micros(one)
    )
    claim = parse_claim(next(micros, None), "timestamp_micros", ask.now_ms, trusted=True, unit=MICROSECONDS)
    client = body.get("client_id") or body.get("app_instance_id")
    payload = [client, event["name"], claim.ms, params, index]
    derived = derive_id(ask.sites.id_secret(credential.site), PROTOCOL, payload) if claim.ms else None
    return make_row(
        ask,
        credential,
        protocol=PROTOCOL,
        source=SERVER,
        name=event["name"],
        event_id=next((one for one in (order, get("event_id")) if one not in (None, "")), derived),
        occurred_at=claim,
        ip=body.get("ip_override"),
        user_agent=text(body.get("user_agent")),
        language=first_text(get("language"), device.get("language")),
        url=text(get("page_location")),
        referrer=text(get("page_referrer")),
        title=text(get("page_title")),
        visitor_id=client,
        user_id=body.get("user_id"),
        session_id=identifier(get("session_id")),
        signals=signals,
        screen=first_text(get("screen_resolution"), device.get("screen_resolution")),
        value=money(get("value")),
        currency=currency(get("currency")),
        properties=_properties(params, body, order not in (None, "")),
    )


def _properties(params: Mapping[str, Any], body: Mapping[str, Any], is_order: bool) -> dict[str, Any]:
    """Parameters without a column, and what the request says of the user, flat: `user_properties.plan`."""
    own = COLUMN_PARAMS | {"transaction_id"} if is_order else COLUMN_PARAMS
    found = {name: value for name, value in params.items() if name not in own}
    for group in ("user_properties", "user_location", "device"):
        for name, value in mapping(body.get(group)).items():
            if isinstance(value, dict) and "value" in value:
                value = value["value"]
            if name not in COLUMN_PARAMS:
                found[f"{group}.{name}"] = value
    return found


def _categories(consent: Any) -> dict[str, Any]:
    """The request's `consent` as signals.

    Advertising says nothing of measurement, granted or denied: it is a signal that is there and does not decide, so it
    gives nothing (schemas/consent.py).
    """
    if consent is None:
        return {}
    answers = consent.values() if isinstance(consent, dict) else [None]
    if any(answer not in ("GRANTED", "DENIED") for answer in answers):
        return {"categories": "unclear"}
    return read_preferences({name: answer == "GRANTED" for name, answer in consent.items()})
