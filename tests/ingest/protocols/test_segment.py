"""Segment's and RudderStack's endpoints: keys, batches with bad events, orders, consent, and any body."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.endpoints.compatible import refuse
from ingest.protocols.categories import consent_signals
from ingest.protocols.segment.endpoint import ROUTES
from ingest.reading.body import GZIP_MAGIC, TOO_LARGE, ZSTD_MAGIC
from ingest.reading.fields import Unacceptable
from tests.ingest.builders import assert_survives_a_pack
from tests.ingest.protocols.calls import SECRET, basic, codes, events, objects, post, values
from tests.ingest.protocols.recorded import PUBLIC_KEYS


def track(**more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "a", "messageId": "m", "userId": "u", **more}


@pytest.mark.parametrize("path", ["/v1/track", "/v1/t/", "/segment/v1/track", "/rudderstack/v1/track"])
@pytest.mark.parametrize(
    ("headers", "body", "query"),
    [
        (basic("shop"), {}, ""),
        ({}, {"writeKey": "shop"}, ""),
        ({"Authorization": "Bearer shop"}, {}, ""),
        ({"Authorization": "Bearer of-somebody-else"}, {"writeKey": "shop"}, ""),
        ({"X-Write-Key": "shop"}, {}, ""),
        ({}, {}, "writeKey=shop"),
    ],
)
def test_a_key_is_found_wherever_an_sdk_puts_it(
    path: str, headers: dict[str, str], body: dict[str, Any], query: str
) -> None:
    if path == "/v1/t/" or not path.startswith("/rudderstack"):
        reading = post(path, {**track(), **body}, headers, query)
        assert [one.site for one in events(reading)] == ["shop"]
        assert reading.answer.status == 200
        assert reading.answer.body == b'{"success":true}'
    else:
        assert post(path, {**track(), **body}, headers, query).answer.body == b"OK"


@pytest.mark.parametrize(
    "headers", [basic("nobody"), {"Authorization": "Basic ?"}, {"Authorization": "Basic /w=="}, {}]
)
def test_an_unknown_key_is_401_with_a_code(headers: dict[str, str]) -> None:
    reading = post("/v1/batch", {"batch": [track()]}, headers)
    assert (reading.answer.status, reading.rows, codes(reading)) == (401, [], ["unknown_key"])
    assert {"code", "message", "detail"} == json.loads(reading.answer.body).keys()


def test_a_key_in_the_header_is_refused_before_the_body_is_parsed() -> None:
    assert post("/v1/batch", b"not JSON", basic("nobody")).answer.status == 401


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", None]
)
def test_gzip_is_undone_by_header_or_magic_under_any_content_type(content_type: str | None) -> None:
    body = gzip.compress(json.dumps({"batch": [track()]}).encode())
    stated = {"Content-Type": content_type} if content_type else {}
    for encoding in ({}, {"Content-Encoding": "gzip"}):
        assert len(post("/v1/batch", body, {**basic("shop"), **stated, **encoding}).rows) == 1


def test_a_bare_nan_refuses_its_event_and_no_other() -> None:
    batch = [track(messageId=str(n), properties={"v": float("nan") if n == 2 else n}) for n in range(5)]
    body = json.dumps({"writeKey": SECRET, "batch": batch, "sentAt": "2025-11-22T08:20:01Z"}).encode()
    for form in (body, json.dumps({"batch": batch, "writeKey": SECRET}).encode()):
        reading = post("/v1/batch", form)
        assert [one.event_id for one in events(reading)] == ["0", "1", "3", "4"]
        assert (reading.answer.status, codes(reading)) == (200, ["invalid_json"])


def test_what_is_more_than_the_protocol_takes_is_refused_and_counted() -> None:
    reading = post("/v1/batch", {"batch": [track()] * 2_501, "writeKey": SECRET})
    assert (reading.answer.status, len(reading.rows), codes(reading)) == (200, 2_500, ["oversize"])
    large = track(context={"note": "x" * 33_000})
    reading = post("/v1/batch", {"batch": [large, track()], "writeKey": SECRET})
    assert (reading.answer.status, len(reading.rows), codes(reading)) == (200, 1, ["oversize"])


def test_far_too_many_events_are_refused_at_once() -> None:
    reading = post("/v1/batch", {"batch": [{}] * 5_001, "writeKey": SECRET})
    assert (reading.answer.status, codes(reading)) == (400, ["body_too_large"])


def test_a_body_that_is_too_large_is_400_as_older_clients_send_again_on_413() -> None:
    for route in ROUTES:
        if route.methods == ("POST",) and route.path != "/v1/m":
            assert refuse(route, "POST", {}, Unacceptable(*TOO_LARGE)).status == 400, route.path


def test_a_single_event_that_can_never_succeed_is_400() -> None:
    reading = post("/v1/track", {"writeKey": "shop", "userId": "u"})
    assert (reading.answer.status, codes(reading)) == (400, ["missing_field"])


@pytest.mark.parametrize("name", ["Order Completed", "order completed", "Completed Order", "purchase"])
def test_an_order_is_a_purchase_under_its_own_id(name: str) -> None:
    (one,) = events(
        post("/v1/track", track(event=name, properties={"order_id": 7, "total": "9.5"}), basic(SECRET))
    )
    assert (one.name, one.kind, one.event_id, one.value_e4) == ("purchase", "purchase", "7", 95_000)
    assert json.loads(one.properties).get("original_event") == (None if name == "purchase" else name)


def test_an_order_without_an_id_keeps_its_name_and_message_id() -> None:
    (one,) = events(post("/v1/track", track(event="Order Completed", properties={"total": 1}), basic(SECRET)))
    assert (one.name, one.event_id) == ("Order Completed", "m")


def test_a_batch_speaks_for_its_events_and_an_event_for_itself() -> None:
    batch = [track(context={"ip": "198.51.100.7"}), track(sentAt="2025-11-22T08:00:00Z")]
    body = {
        "batch": batch,
        "context": {"ip": "198.51.100.8", "locale": "de"},
        "sentAt": "2025-11-22T09:00:00Z",
    }
    first, second = events(post("/v1/batch", body, basic(SECRET)))
    assert (first.ip, first.language, second.ip) == ("198.51.100.7", "de", "198.51.100.8")
    assert first.sent_at - second.sent_at == 3_600_000


@pytest.mark.parametrize(
    ("headers", "more", "source"),
    [
        ({}, {}, "server"),
        ({"Origin": "https://shop.example"}, {}, "tag"),
        ({}, {"context": {"library": {"name": "analytics.js"}}}, "tag"),
        ({}, {"context": {"library": {"name": "analytics-python"}}}, "server"),
        ({}, {"context": {"library": {"name": "@segment/analytics-react-native"}}}, "tag"),
        ({}, {"channel": "web"}, "tag"),
        ({}, {"channel": ["web"]}, "server"),
    ],
)
def test_a_browser_speaks_of_the_person_and_a_backend_does_not(
    headers: dict[str, str], more: dict[str, Any], source: str
) -> None:
    (one,) = events(post("/v1/track", track(**more), {**basic("shop"), "User-Agent": "A", **headers}))
    assert (one.source, bool(one.ip), bool(one.user_agent)) == (source, source == "tag", source == "tag")


def test_an_address_counts_from_a_secret_key_only() -> None:
    body = track(context={"ip": "198.51.100.7"})
    assert events(post("/v1/track", body, basic(SECRET)))[0].ip == "198.51.100.7"
    assert events(post("/v1/track", body, basic("shop")))[0].ip == ""


@pytest.mark.parametrize(
    ("consent", "expected"),
    [
        (None, ""),
        ({}, ""),
        ({"categoryPreferences": {}}, ""),
        ("all", "consent=all"),
        ({"categoryPreferences": {"analytics": True, "advertising": False}}, "consent=measurement"),
        ({"categoryPreferences": {"Analytics": False, "Marketing": False}}, "consent=none"),
        ({"categoryPreferences": {"performance": True, "statistics": False}}, "consent=none"),
        (
            {"categoryPreferences": {"strictly_necessary": True, "measurement": True, "Functional": True}},
            "consent=necessary%2Cmeasurement%2Cpersonalisation",
        ),
        ({"categoryPreferences": {"advertising": False}}, "categories=%7B%22advertising%22%3Afalse%7D"),
        (
            {"categoryPreferences": {"analytics": True, "C7": True}},
            "categories=%7B%22C7%22%3Atrue%2C%22analytics%22%3Atrue%7D",
        ),
        ({"categoryPreferences": {"analytics": "maybe"}}, "categories=unclear"),
        ({"categoryPreferences": [1]}, "categories=unclear"),
        ({"categoryPreferences": {"analytics": True}, "gpp": "DBAA"}, "consent=measurement&gpp=DBAA"),
        ({"allowedConsentIds": ["analytics"], "deniedConsentIds": ["ads"]}, "consent=measurement"),
        ({"allowedConsentIds": ["analytics"], "deniedConsentIds": ["analytics"]}, "consent=none"),
        ({"measurement": True, "marketing": False}, "consent=measurement"),
    ],
)
def test_categories_are_purposes_where_every_name_is_known(consent: object, expected: str) -> None:
    assert consent_signals(consent) == expected


@pytest.mark.parametrize("path", ["/v1/pixel/track", "/rudderstack/pixel/v1/track"])
@pytest.mark.parametrize(
    "query",
    ["", "data=%%%", "data=bm90aGluZw", "writeKey=nobody", "writeKey=shop", "a.b.c.d.e.f=1&a=2&a.b=3"],
)
def test_a_pixel_is_always_the_gif(path: str, query: str) -> None:
    reading = post(path, b"", {}, query, "GET")
    assert (reading.answer.status, reading.answer.body[:3]) == (200, b"GIF")
    assert len(reading.rows) + len(reading.refusals) == 1


def test_batch_goes_by_the_key_in_its_body() -> None:
    segments = post("/batch", {"batch": [track()], "writeKey": "shop"})
    posthogs = post("/batch/", {"batch": [track(distinct_id="d", uuid="w")], "api_key": "shop"})
    named = post("/batch", {"batch": [track(writeKey="x")], "api_key": "shop"})
    assert [one.protocol for one in events(segments)] == ["segment"]
    assert [one.protocol for one in events(posthogs) + events(named)] == ["posthog", "posthog"]
    assert events(post("/batch", {"batch": [track()]}, basic("shop")))[0].protocol == "segment"
    assert events(post("/segment/batch/b", {"batch": [track()], "writeKey": "shop"}))[0].protocol == "segment"


context = objects(["ip", "page", "library", "consent", "screen", "traits", "locale", "sessionId", "campaign"])
call = objects([
    "event", "messageId", "userId", "anonymousId", "properties", "traits", "context", "timestamp",
    "originalTimestamp", "sentAt", "previousId", "groupId", "name", "channel", "type", "writeKey",
]).flatmap(
    lambda one: st.fixed_dictionaries(
        {}, optional={
            "type": st.sampled_from(["track", "identify", "page", "screen", "group", "alias", "merge"]),
            "context": context,
            "properties": objects(["order_id", "revenue", "currency", "url", "title", "referrer", "canvas"]),
            "event": st.sampled_from(["Order Completed", "a"]),
        }
    ).map(lambda more: {**one, **more})
)  # fmt: skip


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.lists(call | values, max_size=4),
    objects(["context", "sentAt", "writeKey", "integrations"]),
    st.sampled_from(["/v1/batch", "/v1/import", "/rudderstack/v1/batch", "/beacon/v1/batch", "/batch"]),
)
def test_every_event_of_a_batch_is_a_row_or_a_refusal(
    batch: list[Any], fields: dict[str, Any], path: str
) -> None:
    body = json.dumps(
        {**fields, "batch": batch}
    ).encode()  # as Python's SDKs write it, with NaN and lone surrogates
    reading = post(path, body, basic(SECRET))
    assert reading.answer.status in (200, 400)
    if reading.answer.status == 200:
        assert len(reading.rows) + len(reading.refusals) == len(batch)
    else:
        assert (reading.rows, len(reading.refusals)) == ([], 1)
    for _, row in reading.rows:
        assert_survives_a_pack(row)
    assert post(path, body, basic(SECRET)).rows == reading.rows


@settings(deadline=None)  # a busy machine is no failure
@given(
    call | values,
    st.sampled_from(["track", "i", "page", "screen", "group", "alias", "batch"]),
    st.sampled_from(PUBLIC_KEYS),
)
def test_a_single_call_is_one_row_or_one_refusal(body: Any, path: str, key: str) -> None:
    reading = post(f"/v1/{path}", json.dumps(body).encode(), basic(key))
    assert reading.answer.status in (200, 400)
    if not isinstance(body, list):
        assert len(reading.rows) + len(reading.refusals) == 1
        assert (reading.answer.status == 200) == bool(reading.rows)


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=60).filter(lambda body: body[:2] != GZIP_MAGIC and body[:4] != ZSTD_MAGIC))
def test_any_bytes_are_answered(body: bytes) -> None:
    for path in ("/v1/batch", "/v1/track", "/batch"):
        assert post(path, body, basic("shop")).answer.status in (200, 400)


@pytest.mark.parametrize(
    "context",
    [
        {f"k{number}": 1 for number in range(1_000)},
        {"traits": {"a": "x" * 20_000}},
        {"campaign": "x" * 20_000},
    ],
)
def test_what_a_batch_says_once_is_counted_for_each_of_its_events(context: dict[str, Any]) -> None:
    """50 kB of these became 50 MB of rows, or minutes of copying."""
    batch = [{"type": "identify", "messageId": str(number), "userId": "u"} for number in range(2_000)]
    reading = post("/v1/batch", {"context": context, "batch": batch}, basic("shop"))
    assert (reading.answer.status, reading.rows, codes(reading)) == (400, [], ["body_too_large"])
    reading = post("/v1/batch", {"context": context, "batch": batch[:100]}, basic("shop"))
    assert (reading.answer.status, len(reading.rows)) == (200, 100)
