"""Endpoints of Snowplow, Matomo, Plausible and GA4 on a real edge: answers after events are kept, refusals counted."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.ingest.edges import SECRET_KEY, Edge, ends

MOZILLA = {"User-Agent": "Mozilla/5.0"}
TP2 = "/com.snowplowanalytics.snowplow/tp2"
SCHEMA = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
GA4 = f"measurement_id=demo&api_secret={SECRET_KEY}"


def test_each_client_has_its_own_answer_and_its_events_are_in_the_topic(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    answers = {}

    def send(name: str, method: str, path: str, body: object = None, **headers: str) -> None:
        content = json.dumps(body).encode() if body is not None else b""
        status, answer, got = edge.request(method, path, content, MOZILLA | headers)
        answers[name] = (status, answer[:3], got.get("content-type", ""))

    item = {"e": "pv", "p": "web", "tv": "t", "aid": "demo", "eid": "sp-post"}
    send("snowplow", "POST", TP2, {"schema": SCHEMA, "data": [item]})
    send(
        "snowplow prefix",
        "POST",
        f"/snowplow{TP2}/",
        {"schema": SCHEMA, "data": [item | {"eid": "sp-prefix"}]},
    )
    send("snowplow pixel", "GET", "/i?e=pv&aid=demo&eid=sp-get")
    send("matomo", "GET", "/matomo.php?idsite=demo&rec=1&ec_id=ma-get&idgoal=0")
    send("matomo beacon", "POST", "/piwik.php?idsite=demo&rec=1&ec_id=ma-post&idgoal=0&send_image=0")
    send("matomo bulk", "POST", "/matomo/matomo.php", {"requests": ["?idsite=demo&rec=1&ec_id=ma-bulk"]})
    order = {"order_id": "pl"}
    send(
        "plausible",
        "POST",
        "/api/event",
        {"n": "Buy", "u": "https://a/", "d": "demo", "p": order, "$": {"amount": 1, "currency": "EUR"}},
    )
    send(
        "ga4",
        "POST",
        f"/mp/collect?{GA4}",
        {"client_id": "1", "events": [{"name": "a", "params": {"event_id": "ga"}}]},
    )
    assert answers == {
        "snowplow": (200, b"ok", "text/plain; charset=utf-8"),
        "snowplow prefix": (200, b"ok", "text/plain; charset=utf-8"),
        "snowplow pixel": (200, b"GIF", "image/gif"),
        "matomo": (200, b"GIF", "image/gif"),
        "matomo beacon": (204, b"", ""),
        "matomo bulk": (200, b'{"s', "application/json"),
        "plausible": (202, b"ok", "text/plain; charset=utf-8"),
        "ga4": (200, b"", ""),
    }
    found = {event.event_id: (event.protocol, event.name) for event in edge.events(start)}
    assert found == {
        "sp-post": ("snowplow", "page_view"),
        "sp-prefix": ("snowplow", "page_view"),
        "sp-get": ("snowplow", "page_view"),
        "ma-get": ("matomo", "purchase"),
        "ma-post": ("matomo", "purchase"),
        "ma-bulk": ("matomo", "purchase"),
        "pl": ("plausible", "purchase"),
        "ga": ("ga4", "a"),
    }


@pytest.mark.parametrize(("path", "body", "reason"), [
    (TP2, json.dumps({"schema": SCHEMA, "data": [{"e": "pv", "aid": "nobody"}]}).encode(), "unknown_key"),
    (TP2, b"{", "invalid"),
    (TP2, gzip.compress(b"{}")[:-9], "invalid"),
    (TP2, b"x" * 5_100_000, "oversize"),
    ("/api/event", b'{"n": "pageview", "u": "https://nobody.example/"}', "unknown_key"),
    ("/mp/collect?api_secret=wrong", b"{}", "unknown_key"),
    ("/mp/collect?api_secret=wrong", b"x" * 5_100_000, "oversize"),
])  # fmt: skip
def test_what_is_refused_with_a_success_is_counted_before_the_answer(
    edge: Edge, path: str, body: bytes, reason: str
) -> None:
    start = ends(edge.bootstrap)
    assert edge.request("POST", path, body)[0] in (200, 202)
    assert [(one.reason, one.count) for pack in edge.packs(start) for one in pack.refusals] == [(reason, 1)]


def test_scanners_and_pages_of_other_origins_may_ask(edge: Edge) -> None:
    for picture in ("/i?e=pv&aid=demo", "/matomo.php?rec=1&idsite=demo", "/v1/pixel/track?data=x"):
        status, body, headers = edge.request("HEAD", picture)
        assert (status, body, headers["content-type"]) == (200, b"", "image/gif")
    page = {"Origin": "https://shop.example", "Access-Control-Request-Headers": "SP-Anonymous"}
    status, _, headers = edge.request("OPTIONS", TP2, headers=page)
    assert (status, headers["access-control-allow-headers"]) == (204, "SP-Anonymous")
    assert edge.request("POST", "/com.acme/tp2", b"{}")[0] == 404
