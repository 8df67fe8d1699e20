"""PostHog's endpoints, v0 and v1: encodings, keys, persons, results by uuid, boot answers, and any body."""

from __future__ import annotations

import gzip
import json
import zlib
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.endpoints.compatible import refuse
from ingest.protocols.posthog.endpoint import ROUTES
from ingest.reading.body import GZIP_MAGIC, INFLATED_BYTES_MAX, ZSTD_MAGIC, inflate
from ingest.reading.fields import Unacceptable
from ingest.serving.answers import SPOOL_FULL, Limited
from tests.ingest.builders import assert_survives_a_pack
from tests.ingest.protocols.calls import SECRET, codes, events, objects, post, values
from tests.ingest.protocols.recorded import NOW_MS

V1 = "/i/v1/analytics/events"
BEARER = {"Authorization": f"Bearer {SECRET}"}


def item(**more: Any) -> dict[str, Any]:
    return {"event": "a", "uuid": "w", "distinct_id": "d", "properties": {}, **more}


def capture(**more: Any) -> Any:
    (one,) = events(post("/e", {"api_key": SECRET, **item(**more)}))
    return one


EVENT = json.dumps({"api_key": "shop", **item()}).encode()
BASE64 = b64encode(EVENT).decode()


@pytest.mark.parametrize(
    "path", ["/e", "/i/v0/e/", "/capture/", "/track", "/engage/", "/batch/", "/posthog/e"]
)
@pytest.mark.parametrize(
    ("body", "query", "headers"),
    [
        (EVENT, "", {"Content-Type": "application/json"}),
        (EVENT, "", {"Content-Type": "text/plain"}),
        (gzip.compress(EVENT), "compression=gzip-js", {"Content-Type": "text/plain"}),
        (gzip.compress(EVENT), "", {"Content-Encoding": "gzip"}),
        (zlib.compress(EVENT), "", {"Content-Encoding": "deflate"}),
        (zstd.compress(EVENT), "", {"Content-Encoding": "zstd"}),
        (f"data={quote(BASE64)}".encode(), "compression=base64", {}),
        (f"data={BASE64}".encode(), "", {}),  # a plus not escaped reads as a space
        (f"data={quote(EVENT)}".encode(), "", {}),
        (f"compression=base64&data={quote(BASE64)}".encode(), "", {}),
        (BASE64.encode(), "compression=base64", {}),
        (f"data={quote(b64encode(gzip.compress(EVENT)))}".encode(), "compression=gzip-js", {}),
    ],
)
def test_every_encoding_of_an_event_is_the_event(
    path: str, body: bytes, query: str, headers: dict[str, str]
) -> None:
    reading = post(path, body, headers, query)
    assert (reading.answer.status, [one.event_id for one in events(reading)]) == (200, ["w"])


def test_a_form_of_many_fields_is_refused_before_they_are_taken_apart() -> None:
    body = b"data=e30=" + b"&x=1" * 1_000
    assert b"form of at most" in post("/e", body, {}).answer.body


def test_an_image_is_answered_with_an_image() -> None:
    reading = post("/e", b"", {}, f"data={quote(BASE64)}&img=1", "GET")
    assert (reading.answer.status, reading.answer.body[:3], len(reading.rows)) == (200, b"GIF", 1)


@pytest.mark.parametrize("encoding", ["zstd", ""])
def test_a_frame_that_never_ends_is_inflated_no_further_than_the_bound(encoding: str) -> None:
    bomb = zstd.compress(b"a" * (INFLATED_BYTES_MAX + 1))
    with pytest.raises(Unacceptable, match="body_too_large"):
        inflate(bomb, encoding)
    assert len(inflate(zstd.compress(b"a" * 1000) + zstd.compress(b"b"), encoding)) == 1001


@pytest.mark.parametrize("body", [zstd.compress(b"a" * 5000)[:-3], ZSTD_MAGIC + b"nothing"])
def test_a_broken_frame_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unacceptable, match="unreadable_body"):
        inflate(body, "zstd")


def test_a_frame_may_not_ask_for_more_memory_than_the_bound() -> None:
    stream = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})  # 128 MB
    greedy = stream.compress(b"abc") + stream.flush()
    with pytest.raises(Unacceptable, match="unreadable_body"):
        inflate(greedy, "zstd")


@pytest.mark.parametrize(
    ("body", "query", "headers"),
    [
        ({**item(), "token": "shop"}, "", {}),
        ({**item(), "api_key": "shop"}, "", {}),
        (item(properties={"token": "shop"}), "", {}),
        ([item(properties={"token": "shop"})], "", {}),
        ({"batch": [item()], "api_key": "shop"}, "", {}),
        ({"batch": [{**item(), "token": "shop"}]}, "", {}),
        (item(), "token=shop", {}),
        (item(), "", {"Authorization": "Bearer shop"}),
    ],
)
def test_a_key_is_found_wherever_an_sdk_puts_it(body: object, query: str, headers: dict[str, str]) -> None:
    reading = post("/batch", body, headers, query)
    assert (reading.answer.status, [one.site for one in events(reading)]) == (200, ["shop"])


@pytest.mark.parametrize(
    "body", [item(), {"batch": [item()], "api_key": "nobody"}, [item(token="nobody")] * 2]
)
def test_an_unknown_key_is_401_with_a_code(body: object) -> None:
    reading = post("/batch/", body)
    assert (reading.answer.status, reading.rows, set(codes(reading))) == (401, [], {"unknown_key"})
    assert {"code", "message", "detail"} == json.loads(reading.answer.body).keys()


def test_a_foreign_key_in_a_list_spares_its_neighbours() -> None:
    reading = post("/e", [item(token="shop", uuid="1"), item(token="nobody", uuid="2")])
    assert (reading.answer.status, [one.event_id for one in events(reading)]) == (200, ["1"])
    assert codes(reading) == ["unknown_key"]


@pytest.mark.parametrize(
    "nobody", ["null", "undefined", " Anonymous", "guest", "0", 0, "", None, True, 1.5, [], {}, "NaN"]
)
def test_an_id_that_stands_for_nobody_is_no_visitor(nobody: object) -> None:
    one = capture(distinct_id=nobody)
    assert (one.event_id, one.visitor_id, one.user_id) == ("w", "", "")


@pytest.mark.parametrize(
    ("more", "visitor", "user"),
    [
        ({}, "d", ""),
        ({"distinct_id": 7}, "7", ""),
        ({"distinct_id": None, "properties": {"distinct_id": "p"}}, "p", ""),
        ({"properties": {"$device_id": "d"}}, "d", ""),
        ({"distinct_id": "u", "properties": {"$device_id": "d"}}, "d", "u"),
        ({"properties": {"$user_id": "u"}}, "d", "u"),
        ({"event": "$identify", "distinct_id": "u", "properties": {"$anon_distinct_id": "d"}}, "d", "u"),
        ({"event": "$create_alias", "properties": {"alias": "u"}}, "d", "u"),
        ({"event": "$groupidentify", "distinct_id": "$company_7"}, "", ""),
        ({"properties": {"$cookieless_mode": True}}, "", ""),
        ({"options": {"cookieless_mode": True}}, "", ""),
    ],
)
def test_who_it_was(more: dict[str, Any], visitor: str, user: str) -> None:
    one = capture(**more)
    assert (one.visitor_id, one.user_id) == (visitor, user)


def test_no_address_with_a_query_is_left_in_the_properties() -> None:
    payload = {
        "$current_url": "https://a.example/?q=1", "$initial_current_url": "https://a.example/?q=1",
        "$session_entry_url": "https://a.example/?q=1", "$referrer": "https://a.example/?q=1",
        "$set_once": {"$initial_referrer": "https://a.example/?q=1"}, "plan": "gold",
    }  # fmt: skip
    assert capture(properties=payload).properties == '{"plan":"gold"}'


def test_an_event_that_waited_happened_so_long_ago() -> None:
    assert capture(offset=30_000).occurred_at == NOW_MS - 30_000
    assert capture(offset=30_000, timestamp="2025-11-22T08:20:00Z").occurred_at == 1_763_799_600_000
    for unreadable in (-1, "30000", None, True, 1e300):
        assert capture(offset=unreadable).occurred_at == 0


def test_time_is_the_timestamp_or_the_seconds_of_older_sdks() -> None:
    assert capture(timestamp="2025-11-22T08:20:00Z").occurred_at == 1_763_799_600_000
    assert capture(properties={"$time": 1_763_799_600.5}).occurred_at == 1_763_799_600_500
    assert capture(properties={"$time": "later"}).occurred_at == 0


def test_a_purchase_is_one_under_its_order_id() -> None:
    one = capture(event="purchase", properties={"order_id": "o-1", "total": 3, "currency": "EUR"})
    assert (one.name, one.event_id, one.value_e4, one.currency) == ("purchase", "o-1", 30_000, "EUR")


def test_v1_answers_each_uuid() -> None:
    batch = [item(uuid="1"), item(uuid="2", event=7), item(uuid=[3]), 9]
    reading = post(V1, {"batch": batch}, BEARER)
    results = json.loads(reading.answer.body)["results"]
    assert {uuid: result["result"] for uuid, result in results.items()} == {"1": "ok", "2": "drop"}
    assert "event" in results["2"]["details"]
    assert (reading.answer.status, len(reading.rows), len(reading.refusals)) == (200, 1, 3)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [({"batch": []}, {}, 401), ({"batch": 1}, BEARER, 400), (b"?", BEARER, 400)],
)
def test_errors_of_v1_speak_its_words(body: object, headers: dict[str, str], status: int) -> None:
    answer = post(V1, body, headers).answer
    assert answer.status == status
    assert {"code", "message", "detail", "error", "error_description", "error_uri"} == json.loads(
        answer.body
    ).keys()


@pytest.mark.parametrize("problem", [Unacceptable(*SPOOL_FULL), Limited(2.0)])
def test_when_busy_v1_says_once_when_to_come_back(problem: Unacceptable) -> None:
    (route,) = (one for one in ROUTES if one.path == V1)
    answer = refuse(route, "POST", {}, problem)
    assert answer.status == 503
    assert [name for name, _ in answer.headers].count(b"retry-after") == 1  # two are none to its SDK


def test_no_route_sheds_load_with_429() -> None:
    assert {route.busy_status for route in ROUTES if "POST" in route.methods} == {503}


@pytest.mark.parametrize("path", ["/s", "/s/", "/posthog/s/"])
def test_a_recording_is_answered_counted_and_not_kept(path: str) -> None:
    reading = post(path, [{"event": "$snapshot"}])
    assert (reading.answer.status, reading.rows, codes(reading)) == (200, [], ["recording_refused"])


def test_the_script_of_the_configuration_names_only_known_tokens() -> None:
    assert post("/array/shop/config.js", b"", method="GET").answer.status == 200
    assert post("/array/%22%5D;alert(1);/config.js", b"", method="GET").answer.status == 404


payload = objects([
    "$device_id", "$user_id", "$ip", "$time", "$consent", "$set", "$current_url", "token", "order_id", "revenue",
    "currency", "$screen_width", "$screen_height", "$lib", "alias", "distinct_id", "fonts", "$session_id",
])  # fmt: skip
one_event = objects([
    "event", "uuid", "distinct_id", "timestamp", "properties", "$set", "options", "token", "session_id",
]).flatmap(
    lambda one: st.fixed_dictionaries(
        {}, optional={
            "event": st.sampled_from(["$pageview", "$identify", "$set", "$create_alias", "$snapshot", "purchase", "a"]),
            "properties": payload, "options": objects(["cookieless_mode", "disable_skew_correction"]),
        }
    ).map(lambda more: {**one, **more})
)  # fmt: skip


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.lists(one_event | values, max_size=4),
    objects(["sent_at", "sentAt", "historical_migration"]),
    st.sampled_from(["/batch/", "/e", "/engage", V1]),
)
def test_every_event_of_a_batch_is_a_row_or_a_refusal(
    batch: list[Any], fields: dict[str, Any], path: str
) -> None:
    body = json.dumps({"api_key": SECRET, **fields, "batch": batch}).encode()
    reading = post(path, body, BEARER)
    assert reading.answer.status in (200, 400)
    if reading.answer.status == 200:
        assert len(reading.rows) + len(reading.refusals) == len(batch)
    else:
        assert (reading.rows, len(reading.refusals)) == ([], 1)
    for _, row in reading.rows:
        assert_survives_a_pack(row)
    assert post(path, body, BEARER).rows == reading.rows


@settings(deadline=None)  # a busy machine is no failure
@given(one_event | values, st.sampled_from(["/e", "/capture", "/engage"]))
def test_a_single_event_is_one_row_or_one_refusal(body: Any, path: str) -> None:
    reading = post(path, json.dumps(body).encode(), BEARER)
    assert reading.answer.status in (200, 400, 401)
    if not isinstance(body, list):
        assert len(reading.rows) + len(reading.refusals) == 1


@settings(deadline=None)  # a busy machine is no failure
@given(st.binary(max_size=60).filter(lambda body: body[:2] != GZIP_MAGIC and body[:4] != ZSTD_MAGIC))
def test_any_bytes_are_answered(body: bytes) -> None:
    for path, query in (("/e", ""), ("/e", "compression=base64"), (V1, "")):
        assert post(path, body, BEARER, query).answer.status in (200, 400)
        assert post("/e", b"", BEARER, f"data={quote(body)}", "GET").answer.status in (200, 400)
