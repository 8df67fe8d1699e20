"""The scripts of the tag: small, cached, compressed; and the beacon they send."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from ingest.endpoints.page import read_json
from ingest.reading.fields import Unacceptable
from ingest.tag.endpoint import NAMES, SOURCES, build_scripts
from tests.ingest.edges import SECRET_KEY, Edge, ends

ORIGIN = "https://shop.example"
PAGE = "https://shop.example/shoes"


def beacon(edge: Edge, *events: dict[str, Any], cookie: str = "", **payload: Any) -> tuple[int, Any, str]:
    """(status, answer, Set-Cookie) of a beacon of the site shop, with consent and from its own page unless told
    otherwise."""
    origin = payload.pop("origin", ORIGIN)
    body = {"k": "shop", "page": "seed-1", "common": {"consent": "all"}, "events": list(events), **payload}
    headers = {"Content-Type": "text/plain;charset=UTF-8", "Origin": origin}
    if cookie:
        headers["Cookie"] = cookie
    status, answer, sent = edge.request("POST", "/b", json.dumps(body).encode(), headers)
    return status, json.loads(answer), sent.get("set-cookie", "")


def view(event_id: str, **payload: Any) -> dict[str, Any]:
    return {"event": "page_view", "id": event_id, "url": PAGE, "ts": 1_763_800_000_000, **payload}


@pytest.mark.parametrize(("name", "bytes_max"), [("t.js", 1_500), ("consent.js", 4_000), ("links.js", 1_000)])
def test_what_is_served_stays_small(edge: Edge, name: str, bytes_max: int) -> None:
    status, body, headers = edge.get(f"/{name}", **{"Accept-Encoding": "gzip, br"})
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert len(body) <= bytes_max
    assert gzip.decompress(body) == edge.get(f"/{name}")[1] == build_scripts()[name].plain


def test_a_script_is_cached_and_asked_for_again_at_no_cost(edge: Edge) -> None:
    _, _, headers = edge.get("/t.js")
    assert headers["content-type"].startswith("text/javascript")
    assert "max-age=" in headers["cache-control"]
    status, body, again = edge.get("/t.js", **{"If-None-Match": headers["etag"]})
    assert (status, body, again["etag"]) == (304, b"", headers["etag"])
    assert edge.request("HEAD", "/t.js")[:2] == (200, b"")
    assert edge.request("POST", "/t.js", b"x")[0] == 405


def test_the_scripts_lie_in_the_package() -> None:
    assert {path.name for path in SOURCES.glob("*.js")} == set(NAMES)


def test_a_beacon_becomes_rows_of_one_visitor_and_a_cookie(edge: Edge, kafka: str) -> None:
    start = ends(kafka)
    order = view("o-1", event="purchase", value="19.90", currency="EUR")
    status, answer, cookie = beacon(edge, view("v-1"), order)
    assert (status, answer) == (200, {"accepted": 2})
    rows = {one.event_id: one for one in edge.events(start)}
    assert (rows["o-1"].kind, rows["o-1"].value_e4, rows["o-1"].currency) == ("purchase", 199_000, "EUR")
    assert (rows["v-1"].source, rows["v-1"].protocol, rows["v-1"].trust) == ("tag", "native", "public")
    assert rows["v-1"].visitor_id == rows["o-1"].visitor_id == cookie.split("=")[1].split(".")[0]
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))


def test_a_retry_says_the_same_whether_the_first_answer_arrived_or_not(edge: Edge, kafka: str) -> None:
    start = ends(kafka)
    _, _, cookie = beacon(edge, view("v-2"), page="seed-2")
    assert beacon(edge, view("v-2"), page="seed-2")[0] == 200
    assert beacon(edge, view("v-2"), page="seed-2", cookie=cookie.split(";")[0])[2] == ""
    first, again, with_cookie = (one for one in edge.events(start) if one.event_id == "v-2")
    payload = ("kind", "occurred_at", "url", "visitor_id", "user_id", "properties", "value_e4")
    assert len({tuple(getattr(one, name) for name in payload) for one in (first, again, with_cookie)}) == 1
    assert first.visitor_id


@pytest.mark.parametrize("consent", ["", "none", "marketing", "unclear"])
def test_without_consent_to_measurement_there_is_no_visitor_and_no_cookie(
    edge: Edge, kafka: str, consent: str
) -> None:
    start = ends(kafka)
    status, _, cookie = beacon(
        edge, view(f"n-{consent}"), common={"consent": consent, "context": {"gpc": True}}
    )
    assert (status, cookie) == (200, "")
    assert [one.visitor_id for one in edge.events(start) if one.event_id == f"n-{consent}"] == [""]


def test_a_beacon_that_carries_a_withdrawal_ends_the_cookie(edge: Edge) -> None:
    _, _, cookie = beacon(edge, view("w-1"))
    _, _, ended = beacon(edge, view("w-2"), common={"consent": "none"}, cookie=cookie.split(";")[0])
    assert ended.startswith("__Host-fp_shop=;")
    assert "Max-Age=0" in ended


def test_the_pixel_reads_the_cookie_and_ends_it(edge: Edge, kafka: str) -> None:
    start = ends(kafka)
    cookie = beacon(edge, view("x-0"), page="seed-x")[2].split(";")[0]
    for event_id, consent in (("x-1", "all"), ("x-2", ""), ("x-3", "none")):
        status, _, headers = edge.get(f"/p.gif?k=shop&id={event_id}&consent={consent}", Cookie=cookie)
        assert status == 200
        assert ("Max-Age=0" in headers.get("set-cookie", "")) == (consent == "none")
    found = {one.event_id: one.visitor_id for one in edge.events(start)}
    assert found["x-1"] == found["x-0"] != ""
    assert (found["x-2"], found["x-3"]) == ("", "")


def test_a_page_of_another_origin_gets_the_same_answer_and_no_cookie(edge: Edge) -> None:
    foreign = 'fairpixel_ingest_refused_total{reason="origin_refused"}'
    beacon(edge, view("f-0"), origin="https://evil.example")
    before = edge.metric(foreign)
    status, answer, cookie = beacon(edge, view("f-1"), origin="https://evil.example")
    assert (status, answer, cookie) == (200, {"accepted": 1}, "")
    assert edge.metric(foreign) == before + 1


def test_only_a_declared_page_may_read_the_answer_with_credentials(edge: Edge) -> None:
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example", None)):
        body = json.dumps({"k": "shop", "events": []}).encode()
        _, _, headers = edge.request("POST", "/b", body, {"Origin": origin})
        assert headers.get("access-control-allow-origin") == allowed
        assert headers.get("access-control-allow-credentials") == (allowed and "true")
        assert headers["vary"] == "Origin"


def test_bad_neighbours_are_named_and_do_no_harm(edge: Edge, kafka: str) -> None:
    start = ends(kafka)
    status, answer, _ = beacon(edge, {"event": 7}, view("b-1"), view("b-2", value="much"))
    assert (status, answer["accepted"]) == (200, 1)
    assert [one["index"] for one in answer["rejected"]] == [0, 2]
    assert answer["rejected"][1]["detail"].startswith("value:")
    assert [one.event_id for one in edge.events(start) if one.site == "shop"] == ["b-1"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 401, "unknown_key"),
        (b"[]", 400, "unreadable_body"),
        (b"{", 400, "unreadable_body"),
        (b'{"k": "nobody", "events": []}', 401, "unknown_key"),
        (b'{"k": "shop"}', 400, "invalid_field"),
        (b'{"k": "shop", "events": [], "common": 3}', 400, "invalid_field"),
        (json.dumps({"k": SECRET_KEY, "events": []}).encode(), 401, "unknown_key"),
        # Small as they are, these would be 150 MB once each event had what all share.
        (
            json.dumps({"k": "shop", "common": {"title": "x" * 30_000}, "events": [{}] * 5_000}).encode(),
            413,
            "body_too_large",
        ),
        (
            json.dumps(
                {"k": "shop", "common": dict.fromkeys(map(str, range(9_000)), 1), "events": [{}] * 5_000}
            ).encode(),
            413,
            "body_too_large",
        ),
        (
            json.dumps(
                {"k": "shop", "events": [{"event": "x", "consent": f"a{i}"} for i in range(50)]}
            ).encode(),
            400,
            "invalid_field",
        ),
    ],
)
def test_what_cannot_be_a_beacon_is_refused_with_a_fix(
    edge: Edge, body: bytes, status: int, code: str
) -> None:
    answered, answer, _ = edge.request("POST", "/b", body, {"Origin": ORIGIN})
    payload = json.loads(answer)
    assert (answered, payload["code"]) == (status, code)
    assert payload["message"]
    assert payload["detail"]


def test_half_a_surrogate_pair_in_a_title_costs_one_character() -> None:
    assert read_json(rb'{"title": "a\ud83d", "k": "shop"}') == {"title": "a?", "k": "shop"}
    with pytest.raises(Unacceptable):
        read_json(b'{"value": NaN}')
    with pytest.raises(Unacceptable):
        read_json(b"[" * 100_000)
    with pytest.raises(Unacceptable):  # read the slow way only up to a bound
        read_json(rb'{"title": "a\ud83d", "x": [' + b"0," * 600_000 + b"0]}")
