"""A real edge with its limits: rates, signatures, replays and full buckets, from the request to the counted refusal."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest

from ingest.mail.links import CLICK, OPEN, MailLink, encode_link, link_key
from ingest.reading.signature import sign
from tests.ingest.edges import SECRET_KEY, SITES, Edge, StartEdge, ends
from tests.processes import await_that

Asked = tuple[str, str, Any, dict[str, str]]  # method, path, content, headers


def native(key: str, number: int, **headers: str) -> Asked:
    return "POST", "/v1/events", [{"event": "x"}] * number, {"Authorization": f"Bearer {key}", **headers}


def native_signed(site: str, number: int, *, key_in_body: bool = False) -> Asked:
    content: Any = {"k": site, "events": [{"event": "x"}] * number}
    signature = sign(f"sk-{site}", int(time.time()), json.dumps(content).encode())
    key = {} if key_in_body else {"Authorization": f"Bearer {site}"}
    return "POST", "/v1/events", content, {"X-Fairpixel-Signature": signature, **key}


def segment(site: str, number: int) -> Asked:
    calls = [
        {"type": "track", "event": "x", "anonymousId": "a", "messageId": f"m-{n}"} for n in range(number)
    ]
    key = base64.b64encode(f"sk-{site}:".encode()).decode()
    return "POST", "/v1/batch", {"batch": calls}, {"Authorization": f"Basic {key}"}


def matomo(site: str, number: int) -> Asked:
    hits = [f"?idsite={site}&rec=1&url={quote('https://shop.example/')}&cid={n:016x}" for n in range(number)]
    return "POST", "/matomo.php", {"requests": hits, "token_auth": f"sk-{site}"}, {}


def ga4(site: str, number: int) -> Asked:
    content = {"client_id": "c", "events": [{"name": "x"}] * number}
    return "POST", f"/mp/collect?measurement_id={site}&api_secret=sk-{site}", content, {}


def plausible(site: str, _: int) -> Asked:
    content = {"n": "pageview", "u": "https://shop.example/", "d": site}
    return "POST", "/api/event", content, {"Authorization": f"Bearer sk-{site}"}


# The site each endpoint has for itself -> (its request with so many events or with one, status over the rate).
ENDPOINTS: dict[str, tuple[Callable[[str, int], Asked], int]] = {
    "native": (lambda site, number: native(f"sk-{site}", number), 429),
    "in-body": (
        lambda site, number: ("POST", "/v1/events", {"k": f"sk-{site}", "events": [{"event": "x"}] * number}, {}),
        429,
    ),
    "signed": (native_signed, 429),
    "signed-in-body": (partial(native_signed, key_in_body=True), 429),
    "pixel": (lambda site, _: ("GET", f"/p.gif?k=sk-{site}", None, {}), 429),
    "choice": (lambda site, _: ("POST", "/v1/consent", {"k": f"sk-{site}", "consent": "all"}, {}), 429),
    "segment": (segment, 429),
    "matomo": (matomo, 429),
    "ga4": (ga4, 503),
    "plausible": (plausible, 503),
}  # fmt: skip
_elsewhere = count()


def ask(edge: Edge, asked: Asked) -> tuple[int, dict[str, str]]:
    """From a network nobody else uses: whoever waits here waits for a key."""
    method, path, content, headers = asked
    number = next(_elsewhere)
    headers = {"X-Forwarded-For": f"203.{number // 250}.{number % 250}.1", **headers}
    body = json.dumps(content).encode() if content is not None else b""
    status, _, received = edge.request(method, path, body, headers)
    return status, received


@pytest.fixture(scope="module")
def edge(start_edge: StartEdge) -> Edge:
    env = {
        "FAIRPIXEL_INGEST_NETWORK_RATE_MAX": "5",
        "FAIRPIXEL_INGEST_RATE_BURST_SECONDS": "2",
        "FAIRPIXEL_TRUSTED_PROXIES": "1",
    }
    tight = [f"[sites.{site}]\nsecret_events_per_second_max = 1\n" for site in (*ENDPOINTS, "forged")]
    tight += ["events_per_second_max = 1\n", "[sites.tight]\nevents_per_second_max = 2\n"]
    keys = [f'[sites.{site}]\nsecret_key = "sk-{site}"\n' for site in (*ENDPOINTS, "forged")]
    return start_edge(env, sites=SITES + "".join(tight), secrets="".join(keys))


_networks = iter(range(1, 250))


@pytest.fixture
def network() -> str:
    """An address of a network that no other test uses."""
    return f"198.51.{next(_networks)}.1"


def refusals(edge: Edge, start: list[Any]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for pack in edge.packs(start):
        for one in pack.refusals:
            counts[one.site, one.reason] += one.count
    return counts


def test_a_network_over_its_rate_waits_and_another_does_not(edge: Edge, network: str) -> None:
    start = ends(edge.bootstrap)
    answers = [edge.get("/p.gif?k=demo", **{"X-Forwarded-For": network}) for _ in range(80)]
    statuses = Counter(status for status, _, _ in answers)
    assert statuses[200] >= 10
    assert statuses[429] >= 1  # more where the machine is fast
    status, body, headers = next(one for one in answers if one[0] == 429)
    assert (len(body), headers["x-fairpixel-code"]) == (43, "rate_limited")
    assert int(headers["retry-after"]) >= 1
    forged = {"X-Forwarded-For": f"203.0.113.9, {network}"}  # what stands further left is a claim
    status, answer, headers = edge.request(
        "POST", "/v1/events", b"not parsed", {**forged, "Authorization": "Bearer demo"}
    )
    assert (status, json.loads(answer)["code"]) == (429, "rate_limited")
    assert int(headers["retry-after"]) >= 1
    assert edge.get("/p.gif?k=demo", **{"X-Forwarded-For": "203.0.113.9"})[0] == 200
    await_that(
        lambda: refusals(edge, start)["demo", "rate_limited"] == statuses[429] + 1, 8, "each is counted"
    )
    assert len(edge.events(start)) == statuses[200] + 1
    await_that(lambda: edge.get("/p.gif?k=demo", **forged)[0] == 200, 5, "its bucket fills again")


@pytest.mark.parametrize("endpoint", [("GET", "/p.gif?k=nobody"), ("POST", "/v1/events?k=nobody")])
def test_unknown_keys_count_for_the_rate_of_their_network(
    edge: Edge, network: str, endpoint: tuple[str, str]
) -> None:
    asked = [edge.request(*endpoint, b"", {"X-Forwarded-For": network})[0] for _ in range(80)]
    statuses = Counter(asked)
    assert statuses[401] >= 10
    assert statuses[429] >= 1  # more where the machine is fast
    assert statuses[401] + statuses[429] == 80


@pytest.mark.parametrize("key_in", ["header", "body"])
def test_a_site_over_its_rate_is_told_before_its_events_are_taken(
    edge: Edge, network: str, key_in: str
) -> None:
    def post(count: int) -> int:
        batch: dict[str, Any] = {"events": [{"event": "x"}] * count}
        headers = {"X-Forwarded-For": network}
        if key_in == "header":
            headers["Authorization"] = "Bearer tight"
        else:
            batch["k"] = "tight"
        return edge.request("POST", "/v1/events", json.dumps(batch).encode(), headers)[0]

    await_that(lambda: post(1) == 200, 8, "the bucket holds an event")
    await_that(lambda: post(8) == 200, 8, "a body is let in whole")
    assert post(1) == 429  # it owes for the events of that body
    assert edge.get("/p.gif?k=tight", **{"X-Forwarded-For": "198.51.250.1"})[0] == 429
    assert edge.get("/p.gif?k=demo", **{"X-Forwarded-For": "198.51.250.1"})[0] == 200


@pytest.mark.parametrize("site", ENDPOINTS)
def test_a_secret_key_over_its_rate_waits_at_every_endpoint_and_the_public_key_does_not(
    edge: Edge, site: str
) -> None:
    make, busy = ENDPOINTS[site]
    assert ask(edge, make(site, 20))[0] < 300
    if site in ("pixel", "choice", "plausible"):  # one event a request
        await_that(lambda: ask(edge, make(site, 1))[0] == busy, 8, "its bucket is empty")
    status, headers = ask(edge, make(site, 1))
    assert (status, int(headers["retry-after"]) >= 1) == (busy, True)
    assert ask(edge, native(f"sk-{site}", 1))[0] == 429
    assert ask(edge, native_signed(site, 1))[0] == 429
    assert [ask(edge, native(site, 9))[0] for _ in range(5)] == [200] * 5


def test_a_signature_that_does_not_hold_takes_nothing_from_either_key(edge: Edge) -> None:
    forged = {"X-Fairpixel-Signature": sign("sk-of-nobody", int(time.time()), b"")}
    assert {ask(edge, native("forged", 9, **forged))[0] for _ in range(9)} == {401}
    assert ask(edge, native("forged", 20))[0] == 200
    assert ask(edge, native("forged", 1))[0] == 429
    assert ask(edge, native_signed("forged", 20))[0] == 200
    assert ask(edge, native_signed("forged", 1))[0] == 429


def signed(body: bytes, at_s: float | None = None, key: str = SECRET_KEY, **headers: str) -> dict[str, str]:
    return {
        "Authorization": "Bearer demo",
        "X-Fairpixel-Signature": sign(key, int(at_s or time.time()), body),
        **headers,
    }


@pytest.mark.parametrize("packed", [False, True])
def test_a_signed_body_has_the_trust_of_the_secret_key_and_a_replay_has_the_same_ids(
    edge: Edge, network: str, packed: bool
) -> None:
    body = json.dumps(
        [
            {"event": "purchase", "id": f"o-{packed}", "context": {"ip": "192.0.2.44"}},
            {"event": "x"},
            {"event": "x"},
        ]
    ).encode()
    if packed:
        body = gzip.compress(body)
    headers, start = signed(body, **{"X-Forwarded-For": network}), ends(edge.bootstrap)
    first, again = (edge.request("POST", "/v1/events", body, headers) for _ in range(2))
    assert (first[0], first[1]) == (200, again[1])
    events = edge.events(start)
    assert {event.trust for event in events} == {"secret"}
    assert Counter(event.event_id for event in events).most_common()[0][1] == 2
    assert len({event.event_id for event in events}) == 3
    assert "192.0.2.44" in {event.ip for event in events}


@pytest.mark.parametrize(
    ("age_s", "key", "changed", "code"),
    [
        (0, "sk-of-nobody", b"", "signature_wrong"),
        (0, SECRET_KEY, b" ", "signature_wrong"),
        (400, SECRET_KEY, b"", "signature_expired"),
        (-400, SECRET_KEY, b"", "signature_expired"),
    ],
)
def test_a_signature_that_does_not_hold_is_refused_and_counted(
    edge: Edge, network: str, age_s: int, key: str, changed: bytes, code: str
) -> None:
    start, body = ends(edge.bootstrap), b'{"event": "x"}'
    headers = signed(body, time.time() - age_s, key, **{"X-Forwarded-For": network})
    status, answer, _ = edge.request("POST", "/v1/events", body + changed, headers)
    assert (status, json.loads(answer)["code"]) == (401, code)
    assert SECRET_KEY not in answer.decode()
    await_that(lambda: refusals(edge, start)["demo", "bad_signature"] == 1, 8, "it is counted")
    assert edge.events(start) == []


def test_a_bomb_is_survived_at_every_endpoint(edge: Edge) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    endpoints = ("/v1/events", "/v1/batch", "/b", "/matomo.php", "/mp/collect", "/v1/consent")
    for number, path in enumerate(endpoints):
        headers = {"X-Forwarded-For": f"198.52.{number}.1", "Authorization": "Bearer demo"}
        status, answer, _ = edge.request("POST", f"{path}?k=demo", bomb, headers)
        assert status < 500, (path, status, answer[:200])
    assert edge.get("/healthz")[0] == 200


def test_mails_have_the_rate_of_their_network_and_nobody_is_kept_from_the_page(
    edge: Edge, network: str
) -> None:
    key, target = link_key(bytes.fromhex("ab" * 32)), "https://anywhere.example/"
    opened, clicked = (
        encode_link(MailLink(kind, "demo", "sale", "r-1", 1_763_700_000_000, "", to), key)
        for kind, to in ((OPEN, ""), (CLICK, target))
    )
    forwarded = {"X-Forwarded-For": network}
    answers = [edge.get(f"/o/{opened}.gif", **forwarded) for _ in range(30)]
    status, body, headers = next(one for one in answers if one[0] != 200)
    assert (status, len(body), headers["x-fairpixel-code"]) == (429, 43, "rate_limited")
    assert int(headers["retry-after"]) >= 1
    assert {edge.get(f"/c/{clicked}", **forwarded)[2].get("location") for _ in range(20)} == {target}
    assert 'reason="click_lost"' in edge.get("/metrics")[1].decode()
