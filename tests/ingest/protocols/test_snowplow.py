"""Snowplow: what an event says, who is left out of it, and that no body is ever answered otherwise than with 200."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.protocols.protocol import Reading
from ingest.protocols.snowplow.endpoint import KEYS, ROUTES
from ingest.reading.body import TOO_LARGE
from ingest.reading.fields import Rejection
from ingest.serving.answers import SPOOL_FULL
from schemas.event import Event
from tests.ingest.protocols.laws import BODIES, TEXTS, VALUES, as_json, check_reading
from tests.ingest.protocols.recorded import SECRET_KEY, read

TP2 = "/com.snowplowanalytics.snowplow/tp2"
IGLU = "iglu:com.snowplowanalytics.snowplow/"
VIEW = {
    "e": "pv",
    "p": "web",
    "tv": "js-4",
    "aid": "shop",
    "eid": "e-1",
    "dtm": "1763799990000",
    "stm": "1763799999000",
}
PERSON = {"duid": "d", "nuid": "n", "tnuid": "t", "uid": "u", "sid": "s", "ip": "198.51.100.7"}
MOZILLA = {"User-Agent": "Mozilla/5.0"}


def post(*items: object, query: str = "", **headers: str) -> Reading:
    schema = f"{IGLU}payload_data/jsonschema/1-0-4"
    body = as_json({"schema": schema, "data": items})
    return read(
        ROUTES, "POST", TP2, query, MOZILLA | {k.replace("_", "-"): v for k, v in headers.items()}, body
    )


def one(item: dict[str, Any], **more: str) -> Event:
    reading = post(item, **more)
    assert reading.refusals == []
    return Event(*reading.rows[0][1])


def why(item: object) -> Rejection:
    reading = post(item)
    assert (reading.answer.status, reading.answer.body, reading.rows) == (200, b"ok", [])
    return reading.refusals[0][1]


def event(schema: str, data: object) -> str:
    inner = {"schema": schema, "data": data}
    return json.dumps({"schema": f"{IGLU}unstruct_event/jsonschema/1-0-0", "data": inner})


def contexts(**of: dict[str, Any]) -> str:
    data = [{"schema": f"{IGLU}{name}/jsonschema/1-0-0", "data": content} for name, content in of.items()]
    return json.dumps({"schema": f"{IGLU}contexts/jsonschema/1-0-0", "data": data})


@pytest.mark.parametrize("secret", [False, True])
def test_anonymous_tracking_leaves_no_address_and_no_identifier(secret: bool) -> None:
    session = contexts(
        client_session={"userId": "u", "sessionId": "s"}, mobile_context={"appleIdfa": "x", "osType": "ios"}
    )
    item = {**VIEW, **PERSON, "co": session, "aid": SECRET_KEY if secret else "shop"}
    seen, hidden = one(item), one(item, SP_Anonymous="*")
    assert (seen.visitor_id, seen.user_id, seen.session_id) == ("d", "u", "s")
    assert seen.ip == ("198.51.100.7" if secret else "203.0.113.77")
    assert (hidden.visitor_id, hidden.user_id, hidden.session_id, hidden.ip) == ("", "", "", "")
    assert hidden.properties == '{"mobile_context.osType":"ios"}'
    assert hidden.url == seen.url


def test_the_address_in_an_event_counts_from_the_secret_key_alone() -> None:
    assert one({**VIEW, "ip": "198.51.100.7", "p": "srv"}).ip == ""
    assert one({**VIEW, "ip": "198.51.100.7", "p": "srv", "aid": SECRET_KEY}).ip == "198.51.100.7"


def test_a_retry_with_another_time_of_sending_is_the_same_event() -> None:
    for item in (VIEW, {key: value for key, value in VIEW.items() if key != "eid"}):
        first, again = one({**item, "stm": "1763799999000"}), one({**item, "stm": "1763800000000"})
        assert first.event_id == again.event_id != ""
        assert (first.occurred_at, first.properties) == (again.occurred_at, again.properties)


def test_a_time_of_sending_cut_to_seconds_lies_never_before_the_event() -> None:
    assert one({**VIEW, "dtm": "1763799999700", "stm": "1763799999000"}).sent_at == 1_763_799_999_700
    assert one({**VIEW, "dtm": "1763799999700", "stm": "1763799990000"}).sent_at == 1_763_799_990_000


def test_a_true_time_is_not_corrected() -> None:
    found = one({**VIEW, "ttm": "1763700000000"})
    assert (found.occurred_at, found.sent_at) == (1_763_700_000_000, 0)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("blank", [False, True])
def test_base64_of_any_alphabet_is_read(encode: Any, padded: bool, blank: bool) -> None:
    for filler in ("", "a", "ab"):  # every length of padding
        text = encode(
            event("iglu:com.acme/sign_up/jsonschema/1-0-0", {"plan": f"ü>>>???{filler}"}).encode()
        ).decode()
        text = text if padded else text.rstrip("=")
        found = one({**VIEW, "e": "ue", "ue_px": text.replace("+", " ") if blank else text})
        assert (found.name, orjson.loads(found.properties)) == ("sign_up", {"plan": f"ü>>>???{filler}"})


@pytest.mark.parametrize("platform", ["pc", "srv", "app", "mob", "iot"])
def test_a_backend_is_told_from_a_browser_by_its_platform(platform: str) -> None:
    found = one({**VIEW, "p": platform})
    assert (found.source, found.ip, found.user_agent) == ("server", "", "")
    assert one(VIEW).source == "tag"


def test_orders_are_purchases_under_their_own_id() -> None:
    legacy = one({**VIEW, "e": "tr", "tr_id": "o-1", "tr_tt": "19.90", "tr_cu": "EUR"})
    action = event(
        "iglu:com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2",
        {"type": "transaction"},
    )
    order = {"transaction_id": "o-1", "revenue": 19.9, "currency": "EUR"}
    modern = one({**VIEW, "e": "ue", "ue_pr": action, "co": contexts(transaction=order)})
    own = one({**VIEW, "e": "ue", "ue_pr": event("iglu:com.acme/transaction/jsonschema/1-0-0", order)})
    for found in (legacy, modern, own):
        assert (found.event_id, found.name, found.kind, found.value_e4, found.currency, found.properties) == (
            "o-1", "purchase", "purchase", 199_000, "EUR", "",
        )  # fmt: skip


def test_an_unknown_platform_key_an_odd_item_and_a_bad_event_spare_their_neighbours() -> None:
    reading = post(
        VIEW, {**VIEW, "aid": "nobody"}, 7, {**VIEW, "e": "zz"}, {**VIEW, "eid": "e-2", "unknown": [1]}
    )
    assert [row[0] for _, row in reading.rows] == ["e-1", "e-2"]
    assert [(site, found.code) for site, found in reading.refusals] == [
        ("", "unknown_key"), ("", "invalid_field"), ("shop", "invalid_field"),
    ]  # fmt: skip


@pytest.mark.parametrize("item", [
    {**VIEW, "dtm": "soon"}, {**VIEW, "e": "se"}, {**VIEW, "e": "ue"}, {**VIEW, "e": "ue", "ue_pr": "[]"},
    {**VIEW, "e": "ue", "ue_px": "€"}, {**VIEW, "cx": "e30"}, {**VIEW, "co": '{"data":[7]}'}, {**VIEW, "url": {}},
    {**VIEW, "e": "ue", "ue_pr": event("iglu:a/b/jsonschema/1-0-0", {"canvas": 1})},
])  # fmt: skip
def test_a_bad_event_is_refused_with_the_field_and_no_value(item: dict[str, Any]) -> None:
    found = why(item)
    assert found.code in ("invalid_field", "missing_field", "fingerprinting_refused")
    assert "soon" not in found.detail


def test_an_event_that_is_too_large_is_counted_as_oversize() -> None:
    data = {str(n): "x" * 1_000 for n in range(40)}
    assert why({**VIEW, "e": "ue", "ue_pr": event("iglu:a/b/jsonschema/1-0-0", data)}).code == "oversize"
    query = f"e=pv&aid=shop&page={'x' * 17_000}"
    reading = read(ROUTES, "GET", "/i", query)
    assert (reading.answer.status, [found.code for _, found in reading.refusals]) == (200, ["oversize"])


def test_nan_and_lone_surrogates_of_python_cost_nobody_else_an_event() -> None:
    data = event("iglu:a/b/jsonschema/1-0-0", {"a": float("nan"), "b": "\ud800", "c": 1})
    reading = post({**VIEW, "eid": "e-1", "page": "\ud800"}, {**VIEW, "eid": "e-2", "e": "ue", "ue_pr": data})
    assert [(row[0], row[15]) for _, row in reading.rows] == [("e-1", "?"), ("e-2", "")]
    assert orjson.loads(reading.rows[1][1][-1]) == {"a": None, "b": "?", "c": 1}


def test_a_refused_request_ends_with_200_and_a_busy_edge_asks_to_come_again() -> None:
    (route,) = (route for route in ROUTES if route.path == TP2)
    assert route.refuse is not None
    assert [route.refuse(TOO_LARGE, status).status for status in (400, 401, 413)] == [200, 200, 200]
    assert [route.refuse(SPOOL_FULL, status).status for status in (408, 429, 503)] == [408, 429, 503]


def says(name: str, **data: object) -> dict[str, str]:
    """An event of Snowplow's own, as `ue_pr`."""
    return {"ue_pr": event(f"{IGLU}{name}/jsonschema/1-0-0", data)}


@pytest.mark.parametrize(("item", "query", "signals"), [
    (says("consent_preferences", eventType="deny_all"), "consent=all", "consent=none"),
    (says("consent_preferences", eventType="allow_all"), "consent=measurement", "consent=unclear"),
    (says("consent_preferences", eventType="allow_all"), "", "consent=all"),
    (says("consent_preferences", eventType="pending"), "", "categories=unclear"),
    (says("consent_preferences", eventType="allow_selected", consentScopes=["ads"]), "", "consent=marketing"),
    (says("consent_preferences", eventType="allow_selected", consentScopes=[]), "", "categories=unclear"),
    (says("consent_withdrawn", all=False), "", "categories=unclear"),
    (says("consent_withdrawn", all=True), "", "consent=none"),
    (says("consent_granted", expiry=None), "gcs=G111", "gcs=G111&categories=unclear"),
    (says("a") | {"co": contexts(gdpr={"basisForProcessing": "consent"})}, "", "categories=unclear"),
    (
        says("consent_preferences", eventType="allow_all") | {"co": contexts(consent_withdrawn={"all": True}, gdpr={})},
        "",
        "consent=none",
    ),
    (says("a"), "", ""),
])  # fmt: skip
def test_consent_is_taken_where_it_is_clear_and_a_signal_where_not(
    item: dict[str, str], query: str, signals: str
) -> None:
    assert one({**VIEW, "e": "ue", **item}, query=query).consent == signals


SCHEMAS = ["iglu:a/transaction/jsonschema/1-0-0", f"{IGLU}consent_preferences/jsonschema/1-0-0", "x"]
EVENTS = st.builds(event, st.sampled_from(SCHEMAS), VALUES)
CONTEXTS = st.builds(lambda data: contexts(product=data, transaction=data, client_session=data), VALUES)
KEYS_OF_TEXT = ("eid", "dtm", "stm", "ttm", "se_ac", "se_va", "tr_id", "tr_tt", "tr_cu", "p", "url", "duid")
LIKELY = st.fixed_dictionaries(
    {
        "aid": st.sampled_from(["shop", SECRET_KEY, "nobody"]),
        "e": st.sampled_from(["pv", "pp", "se", "ue", "tr", "ti", "x"]),
    },
    optional={
        **dict.fromkeys(KEYS_OF_TEXT, TEXTS),
        "ue_pr": st.one_of(TEXTS, EVENTS),
        "co": st.one_of(TEXTS, CONTEXTS),
    },
)
ITEMS = st.one_of(VALUES, st.dictionaries(st.sampled_from(sorted(KEYS)), VALUES, max_size=8), LIKELY)


@given(st.lists(ITEMS, min_size=1, max_size=4), st.booleans())
def test_every_item_is_a_row_or_a_refusal(items: list[Any], anonymous: bool) -> None:
    reading = post(*items, **({"SP_Anonymous": "*"} if anonymous else {}))
    assert reading.answer.status == 200
    check_reading(reading, len(items))
    if anonymous:
        assert {(row[10], row[16], row[17], row[18]) for _, row in reading.rows} <= {("", "", "", "")}


@given(BODIES)
def test_every_body_is_answered_with_ok(body: bytes) -> None:
    reading = read(ROUTES, "POST", TP2, "", {}, body)
    assert (reading.answer.status, reading.answer.body) == (200, b"ok")
    check_reading(reading)


@given(st.text(max_size=60), st.dictionaries(st.sampled_from(sorted(KEYS)), TEXTS, max_size=5))
def test_every_query_is_one_row_or_one_refusal(noise: str, params: dict[str, str]) -> None:
    query = f"e=pv&aid=shop&{urlencode(params, errors='replace')}&{noise.encode('utf-8', 'replace').decode()}"
    check_reading(read(ROUTES, "GET", "/i", query), 1)
