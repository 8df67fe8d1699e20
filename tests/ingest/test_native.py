"""The native endpoints of a real edge, address by address: what is answered and how, and that nothing is half done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ingest.openapi.document import build_openapi
from tests.ingest.clickhouse import FakeClickHouse
from tests.ingest.edges import SECRET_KEY, Edge, StartEdge, ends

SITES = """
[sites.demo]
[sites.shop]
origins = ["https://shop.example"]
[sites.slow]
events_per_second_max = 1
"""
SECRETS = '[sites.shop]\nsecret_key = "sk-of-the-shop"\n'
GIF_BYTES = 43


@pytest.fixture(scope="module")
def clickhouse() -> Iterator[FakeClickHouse]:
    with FakeClickHouse() as one:
        yield one


@pytest.fixture(scope="module")
def edge(start_edge: StartEdge, clickhouse: FakeClickHouse) -> Edge:
    return start_edge({"FAIRPIXEL_CLICKHOUSE_URL": clickhouse.url}, sites=SITES, secrets=SECRETS)


def native(edge: Edge, body: bytes, key: str = "demo", **headers: str) -> tuple[int, Any, dict[str, str]]:
    status, answer, found = edge.request(
        "POST", "/v1/events", body, {"Authorization": f"Bearer {key}", **headers}
    )
    return status, json.loads(answer), found


# The table of answers, row by row; a full spool is in test_edge.py.


def test_accepted_is_200_at_both_endpoints(edge: Edge) -> None:
    status, body, _ = edge.get("/p.gif?k=demo")
    assert (status, len(body)) == (200, GIF_BYTES)
    status, answer, _ = native(edge, b'{"event": "a", "id": "mine"}')
    assert (status, answer) == (200, {"results": [{"id": "mine", "status": "accepted"}]})


def test_a_decision_by_policy_is_200_and_looks_like_any_other(edge: Edge) -> None:
    foreign = {"Origin": "https://evil.example"}
    start = ends(edge.bootstrap)
    assert edge.get("/p.gif?k=shop", **foreign)[0] == 200
    status, answer, _ = native(edge, b'{"event": "a", "id": "mine"}', "shop", **foreign)
    assert (status, answer) == (200, {"results": [{"id": "mine", "status": "accepted"}]})
    assert edge.events(start) == []


def test_one_unreadable_event_is_400_for_a_pixel_and_a_result_of_its_own_in_a_body(edge: Edge) -> None:
    status, body, headers = edge.get("/p.gif?k=demo&v=much")
    assert (status, len(body), headers["x-fairpixel-code"]) == (400, GIF_BYTES, "invalid_field")
    status, answer, _ = native(edge, b'[{"event": "a", "id": "1"}, {"event": "a", "value": "much"}]')
    assert status == 200
    first, second = answer["results"]
    assert first == {"id": "1", "status": "accepted"}
    assert set(second) == {"index", "status", "code", "message", "detail"}
    assert (second["index"], second["status"], second["code"]) == (1, "rejected", "invalid_field")


@pytest.mark.parametrize(
    ("query", "body", "key", "status", "code"),
    [
        ("k=demo&ts=soon", b"{", "demo", 400, "unreadable_body"),
        ("k=nobody", b"{}", "nobody", 401, "unknown_key"),
        ("", b"{}", "", 401, "unknown_key"),
        ("k=demo&p.x=" + "y" * 20_000, b" " * 5_000_001, "demo", 413, "body_too_large"),
    ],
)
def test_what_cannot_be_taken_at_all_has_its_status(
    edge: Edge, query: str, body: bytes, key: str, status: int, code: str
) -> None:
    found, answer, headers = edge.get(f"/p.gif?{query}")
    assert (found, len(answer)) == (status, GIF_BYTES)
    assert headers["x-fairpixel-code"]
    found, error, _ = native(edge, body, key)
    assert (found, error["code"]) == (status, code)
    assert set(error) == {"code", "message", "detail"}


def test_over_the_rate_is_429_with_the_time_to_wait(edge: Edge) -> None:
    answers = [edge.get("/p.gif?k=slow") for _ in range(8)]
    (status, body, headers) = next(one for one in answers if one[0] != 200)
    assert (status, len(body), headers["x-fairpixel-code"]) == (429, GIF_BYTES, "rate_limited")
    assert int(headers["retry-after"]) > 0
    status, error, headers = native(edge, b'{"event": "a"}', "slow")
    assert (status, error["code"]) == (429, "rate_limited")
    assert int(headers["retry-after"]) > 0


# Every address.


def addresses() -> list[tuple[str, str]]:
    """(path, method) of each operation, parameters filled in."""
    return [
        (re.sub(r"\{\w+\}", "x", path), method.upper())
        for path, item in build_openapi()["paths"].items()
        for method in item
    ]


@pytest.mark.parametrize(("path", "method"), addresses())
def test_no_address_redirects_and_each_takes_head_and_options_in_both_forms(
    edge: Edge, path: str, method: str
) -> None:
    start = ends(edge.bootstrap) if method == "POST" else []
    for form in dict.fromkeys((path, path.rstrip("/") + "/")):
        for asked in ("HEAD", "OPTIONS"):
            status, body, headers = edge.request(asked, form)
            redirects = path.startswith("/c/")
            assert status < 300 or 400 <= status < 500 or redirects, (asked, form, status)
            assert status != 404 or asked == "HEAD"
            assert status != 405, (asked, form)
            assert body == b""
            if asked == "OPTIONS":
                assert status == 204
                assert {method, "OPTIONS"} <= set(headers["allow"].split(", "))
        status = edge.request(method, form)[0]
        assert not 300 <= status < 400
    if method == "POST":
        assert edge.events(start) == []


@pytest.mark.parametrize(
    "path", ["/p.gif", "/v1/events", "/v1/events/x", "/docs", "/healthz", "/openapi.json/"]
)
def test_a_wrong_method_is_405_and_hears_which_are_right(edge: Edge, path: str) -> None:
    status, body, headers = edge.request("DELETE", path)
    assert status == 405
    assert "OPTIONS" in headers["allow"]
    assert headers.get("x-fairpixel-code") == "wrong_method" or json.loads(body)["code"] == "wrong_method"


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1", "/v2/events", "/docs/x", "//", "/%00", "/..%2f..%2fetc/passwd"]
)
def test_an_unknown_address_is_404_and_names_the_endpoints(edge: Edge, path: str) -> None:
    status, body, _ = edge.get(path)
    error = json.loads(body)
    assert (status, error["code"]) == (404, "not_found")
    assert "/v1/events" in error["detail"]
    assert "/docs" in error["detail"]


def test_the_pages_are_whole_by_themselves(edge: Edge) -> None:
    for path in ("/", "/docs"):
        status, body, headers = edge.get(path)
        page = body.decode()
        assert status == 200
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert "<script" not in page
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    for path in build_openapi()["paths"]:
        assert path in page
    assert json.loads(edge.get("/openapi.json")[1]) == json.loads(json.dumps(build_openapi()))
    assert json.loads(edge.get("/asyncapi.json")[1])["asyncapi"] == "3.0.0"


# CloudEvents.


def test_cloudevents_come_in_three_modes(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    item = {"specversion": "1.0", "id": "1", "source": "/a", "type": "signup", "data": {"plan": "gold"}}
    structured = {"Content-Type": "application/cloudevents+json"}
    batch = {"Content-Type": "application/cloudevents-batch+json"}
    binary = {"ce-specversion": "1.0", "ce-id": "4", "ce-source": "/a", "ce-type": "signup",
              "Content-Type": "application/json"}  # fmt: skip
    assert native(edge, json.dumps(item).encode(), **structured)[1]["results"][0]["id"] == "/a|1"
    results = native(edge, json.dumps([{**item, "id": "2"}, {"id": "3"}]).encode(), **batch)[1]["results"]
    assert [one["status"] for one in results] == ["accepted", "rejected"]
    assert native(edge, b'{"plan":"gold"}', **binary)[0] == 200
    found = {event.event_id: event for event in edge.events(start)}
    assert set(found) == {"/a|1", "/a|2", "/a|4"}
    assert {event.properties for event in found.values()} == {'{"plan":"gold"}'}


# The way of one event.


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("path", ["/v1/events/known", "/v1/events/known/"])
def test_a_secret_key_sees_every_stage_of_its_event(edge: Edge, path: str) -> None:
    status, body, headers = edge.get(path, **bearer(SECRET_KEY))
    answer = json.loads(body)
    assert (status, answer["id"], answer["site"], headers["cache-control"]) == (
        200,
        "known",
        "demo",
        "no-store",
    )
    assert [(one["stage"], one["decision"]) for one in answer["decisions"]] == [
        ("edge", "accepted"),
        ("streams", "stored"),
        ("loader", "loaded"),
    ]
    assert "raw partition 1, offset 7" in answer["decisions"][0]["text"]
    assert answer["drops_readable"] is True


@pytest.mark.parametrize("headers", [{}, bearer("demo"), bearer("nobody"), {"Authorization": "Basic !"}])
def test_without_a_secret_key_nobody_sees_anything(edge: Edge, headers: dict[str, str]) -> None:
    status, body, found = edge.get("/v1/events/known", **headers)
    assert (status, json.loads(body)["code"]) == (401, "secret_key_needed")
    assert found["www-authenticate"] == "Bearer"


def test_the_event_of_another_site_is_not_known(edge: Edge, clickhouse: FakeClickHouse) -> None:
    clickhouse.asked.clear()
    status, body, _ = edge.get("/v1/events/known", **bearer("sk-of-the-shop"))
    error = json.loads(body)
    assert (status, error["code"]) == (404, "unknown_event")
    for reason in ("on its way", "never accepted", "7 days", "retention"):
        assert reason in error["detail"]
    assert {one["param_site"] for one in clickhouse.asked if "param_site" in one} == {"shop"}


@pytest.mark.parametrize(
    "event_id", ["a%2Fb", "%27%20OR%201%3D1%20--", "%F0%9F%92%A9", "%00", "%FF", "x" * 3_000]
)
def test_an_odd_id_is_only_an_id(edge: Edge, event_id: str) -> None:
    assert edge.get(f"/v1/events/{event_id}", **bearer(SECRET_KEY))[0] == 404


def test_without_clickhouse_the_answer_is_503_and_events_are_taken_all_the_same(
    edge: Edge, clickhouse: FakeClickHouse
) -> None:
    clickhouse.status = 500
    try:
        status, body, headers = edge.get("/v1/events/known", **bearer(SECRET_KEY))
    finally:
        clickhouse.status = 200
    assert (status, json.loads(body)["code"]) == (503, "history_unavailable")
    assert int(headers["retry-after"]) > 0
    assert edge.get("/p.gif?k=demo")[0] == 200


# Nothing is half stored.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "event",
    "id",
    "ts",
    "visitor_id",
    "url",
    "value",
    "currency",
    "consent",
    "context",
    "properties",
    "odd",
]
items = st.dictionaries(st.sampled_from(KEYS), json_values, max_size=4) | json_values
bodies = st.lists(items | st.just({"event": "a"}), max_size=6)


def test_each_item_has_one_result_and_each_accepted_one_a_row(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    accepted: list[str] = []

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(bodies, st.sampled_from(["list", "object", "lines"]))
    def send(sent: list[Any], form: str) -> None:
        encoded = [json.dumps(one).encode() for one in sent]
        if form == "lines":
            assume(
                len(sent) != 1 or not isinstance(sent[0], list)
            )  # one line that is a list is a list of events
            body, headers = b"\n".join(encoded), {"Content-Type": "application/x-ndjson"}
        else:
            body, headers = b"[" + b",".join(encoded) + b"]", {}
            body = b'{"events":' + body + b"}" if form == "object" else body
        status, answer, _ = native(edge, body, SECRET_KEY, **headers)
        assert status in (200, 400)
        if status == 200:
            results = answer["results"]
            assert len(results) == len(sent)
            assert [one["index"] for one in results if one["status"] == "rejected"] == [
                index for index, one in enumerate(results) if one["status"] == "rejected"
            ]
            accepted.extend(one["id"] for one in results if one["status"] == "accepted")

    send()
    assert accepted
    assert sorted(event.event_id for event in edge.events(start)) == sorted(accepted)
