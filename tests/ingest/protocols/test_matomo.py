"""Matomo: single and bulk, what `token_auth` changes, and ids for events that have none."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.protocols.matomo.endpoint import ROUTES
from ingest.protocols.protocol import Ask, Reading
from ingest.reading.pixel import GIF
from ingest.reading.sites import PUBLIC, SECRET, Credential
from schemas.event import Event, Flag
from tests.ingest.protocols.laws import BODIES, TEXTS, VALUES, as_json, check_reading
from tests.ingest.protocols.recorded import NOW_MS, SECRET_KEY, SITES, ask, read

MOZILLA = {"User-Agent": "Mozilla/5.0"}
PAGE = {"idsite": "1", "rec": "1", "url": "https://shop.example/"}
PERSON = {"_id": "0123456789abcdef"}


def get(params: dict[str, str], **headers: str) -> Reading:
    return read(ROUTES, "GET", "/matomo.php", urlencode(params), MOZILLA | headers)


def one(params: dict[str, str]) -> Event:
    reading = get(params)
    assert (reading.answer.status, reading.refusals) == (200, [])
    return Event(*reading.rows[0][1])


def bulk(*requests: object, **more: object) -> tuple[Reading, dict[str, Any]]:
    reading = read(ROUTES, "POST", "/matomo.php", "", {}, as_json({"requests": requests, **more}))
    return reading, orjson.loads(reading.answer.body)


def test_a_page_view_is_answered_with_the_pixel_or_with_nothing_where_no_picture_is_wanted() -> None:
    assert get(PAGE).answer.body == GIF
    found = get({**PAGE, "send_image": "0"})
    assert (found.answer.status, found.answer.body, len(found.rows)) == (204, b"", 1)


@pytest.mark.parametrize(
    ("params", "code"),
    [({}, "missing_field"), ({"idsite": "1"}, "missing_field"), ({"idsite": "1", "rec": "0"}, "missing_field"),
     ({"rec": "1"}, "unknown_key"), ({**PAGE, "idsite": "99"}, "unknown_key"),
     ({**PAGE, "e_a": "x" * 201}, "invalid_field")],
)  # fmt: skip
def test_what_holds_no_event_is_400_and_says_why(params: dict[str, str], code: str) -> None:
    reading = get(params)
    assert (reading.answer.status, reading.answer.body, reading.rows) == (400, GIF, [])
    assert dict(reading.answer.headers)[b"x-fairpixel-code"] == code.encode()
    posted = read(ROUTES, "POST", "/piwik.php", "", {}, urlencode(params).encode())
    assert (posted.answer.status, orjson.loads(posted.answer.body)["code"]) == (400, code)


@pytest.mark.parametrize("more", [
    {"rand": "1"}, {"r": "1"}, {"pv_id": "aB3dE6"}, {"cdt": "1763799000"}, {"h": "9", "m": "1", "s": "2"},
])  # fmt: skip
def test_the_same_bytes_are_the_same_event_at_any_time_and_other_bytes_another(more: dict[str, str]) -> None:
    def at(ms: int, params: dict[str, str]) -> str:
        request = ask("GET", "/matomo.php", urlencode(params), MOZILLA)
        later = Ask(**{name: getattr(request, name) for name in request.__slots__} | {"now_ms": ms})
        return Event(*ROUTES[0].read(later).rows[0][1]).event_id

    params = {**PAGE, **PERSON, **more}
    assert at(NOW_MS, params) == at(NOW_MS + 90_000, params)
    assert at(NOW_MS, params) == at(NOW_MS, {**params, "send_image": "1", "token_auth": "x"})
    others = [{**params, name: "7"} for name in ("_id", "url", "e_a", *more) if name != "cdt"]
    others += [{**params, "idsite": "shop"}, {**params, "cdt": "1763799001"}]
    assert len({at(NOW_MS, params), *(at(NOW_MS, other) for other in others)}) == len(others) + 1
    alone = {**PAGE, **PERSON}  # a visitor who looks at a page twice is no duplicate
    assert at(NOW_MS, alone) == at(NOW_MS + 1, alone) != at(NOW_MS + 1_000, alone)


def test_an_id_tells_nothing_to_those_without_the_sites_secret_key() -> None:
    request = ask("GET", "/matomo.php", urlencode({**PAGE, "rand": "1", "uid": "somebody"}), MOZILLA)
    other_sites = type(SITES)(SITES.public, {b"": ("another key", Credential("shop", SECRET))})
    other = Ask(**{name: getattr(request, name) for name in request.__slots__} | {"sites": other_sites})
    assert ROUTES[0].read(request).rows[0][1][0] != ROUTES[0].read(other).rows[0][1][0]


def test_two_hits_that_nothing_tells_apart_are_two_events() -> None:
    reading, answer = bulk(
        "?" + urlencode(PAGE), "?" + urlencode(PAGE), "?" + urlencode(PAGE | PERSON), PAGE | PERSON
    )
    assert len({row[0] for _, row in reading.rows}) == answer["tracked"] == 4
    assert [Event(*row).flags for _, row in reading.rows] == [Flag.ID_GENERATED, Flag.ID_GENERATED, 0, 0]


def test_an_order_is_a_purchase_under_its_own_id() -> None:
    items = json.dumps([["s-1", "Shoe", ["shoes"], 19.9, 1]])
    found = one(
        {**PAGE, **PERSON, "rand": "1", "idgoal": "0", "ec_id": "o-1", "revenue": "19.90", "ec_items": items}
    )
    assert (found.event_id, found.name, found.kind, found.value_e4, found.currency) == (
        "o-1", "purchase", "purchase", 199_000, "",
    )  # fmt: skip
    assert orjson.loads(found.properties) == {
        "items": [{"sku": "s-1", "product": "Shoe", "category": ["shoes"], "price": 19.9, "quantity": 1}]
    }
    assert one({**PAGE, "ec_id": "o-1", "ec_items": "["}).event_id == "o-1"


@pytest.mark.parametrize("where", ["request", "body", "query"])
def test_the_secret_key_of_the_site_is_believed_and_no_other_token(where: str) -> None:
    claims = {**PAGE, "rand": "1", "cip": "198.51.100.7", "cdt": "2024-01-31 12:00:00", "country": "at"}
    request = {**claims, "token_auth": SECRET_KEY} if where == "request" else claims
    body = {"requests": [request]} | ({"token_auth": SECRET_KEY} if where == "body" else {})
    query = f"token_auth={SECRET_KEY}" if where == "query" else ""
    found = Event(*read(ROUTES, "POST", "/matomo.php", query, MOZILLA, as_json(body)).rows[0][1])
    assert (found.trust, found.source, found.ip, found.occurred_at, found.properties) == (
        "secret", "server", "198.51.100.7", 1_706_702_400_000, '{"country":"at"}',
    )  # fmt: skip
    for token, told in (
        ("wrong", "; the one that was given is not"),
        ("shop", "; the one"),
        ("", "secret key"),
    ):
        for claim, name in ((claims, "cip"), ({**claims, "cip": ""}, "cdt")):
            reading = read(ROUTES, "GET", "/matomo.php", urlencode({**claim, "token_auth": token}), MOZILLA)
            ((site, why),) = reading.refusals
            assert (reading.answer.status, reading.rows, site, why.code) == (
                400,
                [],
                "shop",
                "secret_key_needed",
            )
            assert why.detail.startswith(f"{name}: expected with token_auth")
            assert told in why.detail
        found = one({**PAGE, "rand": "1", "country": "at", "token_auth": token})
        assert (found.trust, found.source, found.ip, found.properties) == (
            "public",
            "pixel",
            "203.0.113.77",
            "",
        )


def test_a_wrong_token_is_told_where_nothing_hangs_on_it() -> None:
    reading = read(ROUTES, "GET", "/matomo.php", urlencode({**PAGE, "token_auth": "wrong"}), MOZILLA)
    assert len(reading.rows) == 1
    assert dict(reading.answer.headers)[b"x-fairpixel-detail"].startswith(b"token_auth ignored")
    reading, answer = bulk(PAGE, {**PAGE, "cip": "198.51.100.7"}, token_auth="wrong")
    assert (answer["tracked"], answer["invalid"], answer["code"]) == (1, 1, "secret_key_needed")
    _, answer = bulk(PAGE, token_auth="wrong")
    assert answer["detail"].startswith("token_auth ignored")


def test_the_secret_key_of_another_site_says_nothing_here() -> None:
    sites = type(SITES)(SITES.public | {"2": Credential("other", PUBLIC)}, SITES._secret)
    request = ask("GET", "/matomo.php", urlencode({**PAGE, "idsite": "2", "token_auth": SECRET_KEY}), MOZILLA)
    other = Ask(**{name: getattr(request, name) for name in request.__slots__} | {"sites": sites})
    assert [(credential.site, row[6]) for credential, row in ROUTES[0].read(other).rows] == [
        ("other", "public")
    ]


def test_a_time_is_believed_for_a_day_without_the_secret_key() -> None:
    def codes(**claims: str) -> list[str]:
        reading = read(ROUTES, "GET", "/matomo.php", urlencode({**PAGE, "rand": "1", **claims}), MOZILLA)
        return [why.code for _, why in reading.refusals]

    second = NOW_MS // 1_000
    for cdt, ms in [
        (second - 80_000, (second - 80_000) * 1_000),
        (second + 60, (second + 60) * 1_000),  # streams puts it at the time of receipt, and flags it
        (NOW_MS - 5_000, NOW_MS - 5_000),
        (f"{second - 60}.5", NOW_MS - 59_500),
    ]:
        assert one({**PAGE, "rand": "1", "cdt": str(cdt)}).occurred_at == ms
    assert codes(cdt=str(second - 90_000)) == codes(cdt="0") == codes(cdo="90000") == ["secret_key_needed"]
    assert codes(cdt="yesterday") == codes(cdo="x") == ["invalid_field"]


def test_a_hit_that_waited_in_a_queue_happened_earlier() -> None:
    waited = [{"cdo": "60"}, {"cdo": "-60"}, {"cdt": str(NOW_MS // 1_000 - 40), "cdo": "20"}]
    assert {one({**PAGE, "rand": "1", **claims}).occurred_at for claims in waited} == {NOW_MS - 60_000}


def test_a_backend_is_told_from_a_browser_by_its_agent() -> None:
    found = [
        Event(
            *read(ROUTES, "GET", "/matomo.php", urlencode({**PAGE, "ua": "Mozilla/5.0"}), headers).rows[0][1]
        )
        for headers in ({}, {"User-Agent": "node"}, MOZILLA)
    ]
    assert [one.source for one in found] == ["server", "server", "pixel"]
    assert [one.ip for one in found] == ["", "", "203.0.113.77"]
    assert {one.user_agent for one in found} == {"Mozilla/5.0"}


def test_a_bulk_answer_counts_what_was_taken_and_names_the_rest_to_backends_only() -> None:
    requests = [
        "?" + urlencode(PAGE),
        "idsite=1&rec=1&ping=1",
        {**PAGE, "idsite": 1, "rec": 1},
        "?idsite=99&rec=1",
        7,
        {},
    ]
    reading, answer = bulk(*requests)
    assert answer == {"status": "success", "tracked": 3, "invalid": 3}
    assert [row[2] for _, row in reading.rows] == ["page_view", "ping", "page_view"]
    _, answer = bulk(*requests, token_auth=SECRET_KEY)
    assert answer["invalid_indices"] == [3, 4, 5]


@pytest.mark.parametrize(
    "body", [b"{", b'{"requests": []}', b'{"requests": {}}', b"[]", b'{"requests": ["x"']
)
def test_a_bulk_body_nobody_can_read_is_an_error_in_matomos_form(body: bytes) -> None:
    reading = read(ROUTES, "POST", "/piwik.php", "", {}, body)
    answer = orjson.loads(reading.answer.body)
    assert (reading.answer.status, answer["status"], len(reading.refusals)) == (400, "error", 1)
    assert {"code", "message", "detail"} <= answer.keys()


def test_the_address_of_a_page_in_a_bulk_request_may_hold_a_question_mark() -> None:
    page = "https://shop.example/?page=2"
    for start in ("?", "", "/matomo.php?", "https://stats.example/matomo.php?"):
        reading, _ = bulk(f"{start}idsite=1&rec=1&url={page}")
        assert [row[13] for _, row in reading.rows] == [page]


def test_an_event_of_too_many_parameters_is_counted_as_oversize() -> None:
    many = "&".join(f"p{n}=1" for n in range(501))
    for reading in (
        read(ROUTES, "GET", "/matomo.php", f"idsite=1&rec=1&{many}"),
        read(ROUTES, "POST", "/matomo.php", "idsite=1&rec=1", {}, many.encode()),
        read(ROUTES, "GET", "/matomo.php", f"idsite=1&rec=1&url={'x' * 16_000}"),
        bulk(f"idsite=1&rec=1&{many}")[0],
    ):
        assert (reading.rows, [why.code for _, why in reading.refusals]) == ([], ["oversize"])


def test_more_than_the_limit_of_a_bulk_body_is_refused_as_a_whole() -> None:
    reading, answer = bulk(*["?idsite=1&rec=1"] * 5_001)
    assert (reading.answer.status, answer["code"], reading.rows) == (413, "body_too_large", [])


NAMES = [
    *(
        "idsite",
        "rec",
        "e_c",
        "e_a",
        "e_v",
        "ec_id",
        "idgoal",
        "revenue",
        "ec_items",
        "cdt",
        "cip",
        "token_auth",
    ),
    *(
        "search",
        "link",
        "download",
        "c_n",
        "ping",
        "dimension1",
        "cvar",
        "_cvar",
        "uid",
        "_id",
        "rand",
        "h",
        "ua",
    ),
    *("consent", "gcs", "url"),
]


@given(st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=8), st.booleans())
def test_every_query_is_one_row_or_one_refusal(params: dict[str, str], whole: bool) -> None:
    query = urlencode((PAGE if whole else {}) | params, errors="replace")
    check_reading(read(ROUTES, "GET", "/matomo.php", query, MOZILLA), 1)
    check_reading(read(ROUTES, "POST", "/piwik.php", "", {}, query.encode()), 1)


OBJECTS = st.dictionaries(st.sampled_from([*PAGE, "cvar", "ec_items", "cdt"]), VALUES)


@given(st.lists(st.one_of(VALUES, OBJECTS), min_size=1, max_size=4), TEXTS)
def test_every_request_of_a_bulk_body_is_a_row_or_a_refusal(requests: list[Any], token: str) -> None:
    requests = [PAGE | item if isinstance(item, dict) else item for item in requests]
    reading, answer = bulk(*requests, token_auth=token)
    check_reading(reading, len(requests))
    assert (answer["tracked"], answer["invalid"]) == (len(reading.rows), len(reading.refusals))


@given(BODIES)
def test_every_body_has_an_answer(body: bytes) -> None:
    check_reading(read(ROUTES, "POST", "/matomo.php", "", {}, body))
