"""Plausible: what an event says, what is left out and how its sender hears of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.protocols.plausible import ROUTES
from ingest.protocols.protocol import Ask, Reading
from ingest.reading.sites import PUBLIC, Credential
from schemas.event import Event
from tests.ingest.protocols.laws import BODIES, TEXTS, VALUES, as_json, check_reading
from tests.ingest.protocols.recorded import SECRET_KEY, SITES, ask, read

MOZILLA = {"User-Agent": "Mozilla/5.0", "Content-Type": "text/plain"}
VIEW = {"n": "pageview", "u": "https://shop.example/a", "d": "shop.example"}


def post(body: object, **headers: str) -> Reading:
    given = body if isinstance(body, bytes) else as_json(body)
    return read(
        ROUTES,
        "POST",
        "/api/event",
        "",
        MOZILLA | {k.replace("_", "-"): v for k, v in headers.items()},
        given,
    )


def one(**more: object) -> Event:
    reading = post(VIEW | more)
    assert (reading.answer.status, reading.answer.body, reading.refusals) == (202, b"ok", [])
    return Event(*reading.rows[0][1])


def errors(body: object) -> dict[str, list[str]]:
    reading = post(body)
    answer = orjson.loads(reading.answer.body)
    assert (reading.answer.status, reading.rows, len(reading.refusals)) == (400, [], 1)
    assert {"code", "message", "detail"} <= answer.keys()
    found: dict[str, list[str]] = answer["errors"]
    return found


def drop_reason(reading: Reading) -> bytes:
    headers = dict(reading.answer.headers)
    assert (b"x-plausible-dropped" in headers) == (b"x-drop-reason" in headers)
    return headers.get(b"x-drop-reason", b"")


def test_the_script_and_the_api_write_the_same_event() -> None:
    short = one(r="https://a.example/", p='{"plan":"gold"}', **{"$": {"currency": "EUR", "amount": "1.5"}})
    long = post({
        "name": "pageview", "url": VIEW["u"], "domain": VIEW["d"], "referrer": "https://a.example/",
        "props": {"plan": "gold"}, "revenue": '{"currency": "EUR", "amount": 1.5}',
    })  # fmt: skip
    assert [row for _, row in long.rows] == [tuple(getattr(short, name) for name in short.__slots__)]
    assert (short.name, short.kind, short.source, short.value_e4, short.currency) == (
        "page_view", "page", "tag", 15_000, "EUR",
    )  # fmt: skip


def test_each_domain_of_a_list_gets_an_event_and_an_unknown_one_is_named() -> None:
    reading = post(VIEW | {"d": "shop.example, nobody.example,,shop"})
    assert (reading.answer.status, len(reading.rows), drop_reason(reading)) == (202, 2, b"unknown_key")
    assert [why.code for _, why in reading.refusals] == ["unknown_key"]
    assert drop_reason(post(VIEW)) == b""


def test_without_a_domain_the_host_of_the_page_says_whose_it_is() -> None:
    reading = post({"n": "pageview", "u": "https://www.shop.example:8443/a"})
    assert [credential.site for credential, _ in reading.rows] == ["shop"]


def test_a_page_of_an_undeclared_origin_is_told_that_its_event_is_left_out() -> None:
    public = {"shop.example": Credential("shop", PUBLIC, frozenset({"https://shop.example"}))}
    found = {}
    for origin in ("https://shop.example", "https://elsewhere.example"):
        request = ask("POST", "/api/event", "", MOZILLA | {"Origin": origin}, as_json(VIEW))
        sites = type(SITES)(public, {})
        reading = ROUTES[0].read(
            Ask(**{n: getattr(request, n) for n in request.__slots__} | {"sites": sites})
        )
        assert (reading.answer.status, len(reading.rows)) == (202, 1)  # the endpoint counts it
        found[origin] = drop_reason(reading)
    assert found == {"https://shop.example": b"", "https://elsewhere.example": b"origin_refused"}


def test_revenue_with_an_order_id_is_a_purchase() -> None:
    revenue = {"currency": "EUR", "amount": 19.9}
    found = one(n="Buy", revenue=revenue, props={"order_id": "o-1", "coupon": "x"})
    assert (found.event_id, found.name, found.kind, found.value_e4) == (
        "o-1",
        "purchase",
        "purchase",
        199_000,
    )
    assert orjson.loads(found.properties) == {"coupon": "x", "original_event": "Buy"}
    assert one(n="Buy", revenue=revenue).name == "Buy"
    assert one(n="Buy", props={"order_id": "o-1"}).name == "Buy"


def test_a_backend_is_told_by_its_key_or_its_agent_and_its_address_is_nobodys() -> None:
    trusted = post(VIEW, Authorization=f"Bearer {SECRET_KEY}")
    plain = post(VIEW, User_Agent="curl/8")
    assert [row[5 + 1] for _, row in trusted.rows + plain.rows] == ["secret", "public"]
    assert {(row[4], row[10]) for _, row in trusted.rows + plain.rows} == {("server", "")}


def test_the_secret_key_of_another_site_says_nothing_here() -> None:
    request = ask(
        "POST", "/api/event", "", MOZILLA | {"Authorization": f"Bearer {SECRET_KEY}"}, as_json(VIEW)
    )
    sites = type(SITES)({"shop.example": Credential("other", PUBLIC)}, SITES._secret)
    reading = ROUTES[0].read(Ask(**{n: getattr(request, n) for n in request.__slots__} | {"sites": sites}))
    assert [(credential.site, row[6]) for credential, row in reading.rows] == [("other", "public")]


def test_the_debug_header_shows_a_truncated_address_to_the_secret_key_alone() -> None:
    shown = post(VIEW, X_Debug_Request="true", Authorization=f"Bearer {SECRET_KEY}")
    assert (shown.answer.body, shown.rows) == (b"203.0.113.0/24", [])
    for key in ("shop", "wrong"):
        assert post(VIEW, X_Debug_Request="true", Authorization=f"Bearer {key}").answer.body == b"ok"


def test_of_the_properties_thirty_scalars_are_taken() -> None:
    assert orjson.loads(one(props={"a": [1], "b": {}, "c": None, "d": False, "e": ""}).properties) == {
        "d": False
    }
    assert len(orjson.loads(one(props={str(n): n for n in range(40)}).properties)) == 30


@pytest.mark.parametrize(("body", "field"), [
    (b"{", "body"), ([], "body"), (VIEW | {"n": "x" + " " * 1_000_000}, "body"),
    ({"u": "https://shop.example/"}, "event_name"), (VIEW | {"n": "x" * 121}, "event_name"),
    (VIEW | {"u": None}, "url"), (VIEW | {"u": "https://a/" + "é" * 1_000}, "url"), (VIEW | {"u": "data:x"}, "url"),
    (VIEW | {"d": ","}, "domain"), (VIEW | {"d": ",".join("abcdefgh" * 10)}, "domain"), (VIEW | {"d": 7}, "domain"),
    (VIEW | {"p": {"canvas": 1}}, "properties.canvas"), (VIEW | {"n": "engagement"}, "engagement"),
])  # fmt: skip
def test_what_cannot_be_read_is_400_under_the_name_of_the_field(body: Any, field: str) -> None:
    assert list(errors(body)) == [field]


@pytest.mark.parametrize(
    "beside",
    [
        {"p": "["}, {"p": 7}, {"p": []}, {"p": {"a": "x" * 2_001}}, {"p": {"x" * 301: 1}}, {"p": '"text"'}, {"$": 3},
        {"$": "no JSON"}, {"$": {"amount": 1}}, {"$": {"amount": "much", "currency": "EUR"}},
        {"$": {"amount": 1, "currency": "€"}},
    ],
)  # fmt: skip
def test_what_stands_beside_an_event_and_cannot_be_read_is_left_out(beside: dict[str, Any]) -> None:
    found = one(**beside)
    assert (found.name, found.properties, found.value_e4, found.currency) == ("page_view", "", 0, "")


@pytest.mark.parametrize(
    "domains", ["www.shop.example", " WWW.Shop.Example ", "shop.example, www.shop.example", "Shop.example,"]
)
def test_a_domain_is_the_same_site_with_www_and_in_capitals(domains: str) -> None:
    reading = post(VIEW | {"d": domains})
    assert [credential.site for credential, _ in reading.rows] == ["shop"]
    assert (reading.answer.status, reading.refusals) == (202, [])


def test_monitors_hear_that_the_endpoint_is_there() -> None:
    assert read(ROUTES, "GET", "/api/health").answer.status == 200


KEYS = [
    "n",
    "u",
    "d",
    "r",
    "p",
    "m",
    "props",
    "$",
    "revenue",
    "sd",
    "e",
    "i",
    "w",
    "v",
    "h",
    "consent",
    "gpp",
    "name",
    "url",
    "domain",
]
REVENUE = st.fixed_dictionaries({"currency": TEXTS, "amount": VALUES})


@given(st.dictionaries(st.sampled_from(KEYS), st.one_of(VALUES, REVENUE), max_size=6), st.booleans())
def test_every_event_is_a_row_or_a_refusal(fields: dict[str, Any], whole: bool) -> None:
    check_reading(post((VIEW if whole else {}) | fields))


@given(st.lists(st.sampled_from(["shop", "shop.example", "nobody", "1"]), min_size=1, max_size=6), st.dictionaries(
    st.sampled_from(["p", "$", "r", "n"]), VALUES, max_size=2))  # fmt: skip
def test_every_domain_is_a_row_or_a_refusal(domains: list[str], fields: dict[str, Any]) -> None:
    check_reading(post(VIEW | fields | {"d": ",".join(domains)}), len(set(domains)))


@given(BODIES)
def test_every_body_has_an_answer(body: bytes) -> None:
    check_reading(post(body))
