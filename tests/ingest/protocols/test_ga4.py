"""GA4's Measurement Protocol: silence whatever is sent, what is kept of it, and a debug endpoint that tells."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.protocols.ga4.endpoint import ROUTES
from ingest.protocols.protocol import Ask, Reading
from ingest.reading.body import TOO_LARGE
from ingest.reading.sites import PUBLIC, Credential
from ingest.serving.answers import SPOOL_FULL
from schemas.consent import Basis, ConsentPolicy, Measurement, decide
from schemas.event import Event, Flag
from tests.ingest.protocols.laws import BODIES, VALUES, as_json, check_reading
from tests.ingest.protocols.recorded import NOW_MS, SECRET_KEY, SITES, ask, read

KEYS = f"measurement_id=G-SHOP&api_secret={SECRET_KEY}"
MICROS = (NOW_MS - 5_000) * 1_000
CODES = {
    "VALUE_INVALID", "VALUE_REQUIRED", "NAME_INVALID", "NAME_RESERVED", "VALUE_OUT_OF_BOUNDS", "EXCEEDED_MAX_ENTITIES",
    "NAME_DUPLICATED",
}  # fmt: skip


def post(body: object, query: str = KEYS, path: str = "/mp/collect") -> Reading:
    return read(ROUTES, "POST", path, query, {}, body if isinstance(body, bytes) else as_json(body))


def collect(*events: object, **more: object) -> Reading:
    reading = post({"client_id": "1.2", "events": events, **more})
    assert (reading.answer.status, reading.answer.body) == (200, b"")
    return reading


def one(event: dict[str, Any], **more: object) -> Event:
    reading = collect(event, **more)
    assert reading.refusals == []
    return Event(*reading.rows[0][1])


def debug(body: object, query: str = KEYS) -> list[tuple[str, str]]:
    reading = post(body, query, "/debug/mp/collect")
    messages = orjson.loads(reading.answer.body)["validationMessages"]
    assert (reading.answer.status, reading.rows, reading.refusals) == (200, [], [])
    assert all(message["description"] and message["validationCode"] in CODES for message in messages)
    return [(message["fieldPath"], message["validationCode"]) for message in messages]


@pytest.mark.parametrize("query", [
    "", "measurement_id=G-SHOP", f"api_secret={SECRET_KEY}", "measurement_id=G-SHOP&api_secret=wrong",
    "measurement_id=G-SHOP&api_secret=shop", f"measurement_id=G-OTHER&api_secret={SECRET_KEY}",
])  # fmt: skip
def test_without_the_secret_and_a_public_key_of_one_site_nothing_is_taken_and_nothing_said(
    query: str,
) -> None:
    reading = post({"client_id": "1.2", "events": [{"name": "a"}]}, query)
    assert (reading.answer.status, reading.answer.body, reading.rows) == (200, b"", [])
    assert [why.code for _, why in reading.refusals] == ["unknown_key"]
    assert debug({"client_id": "1.2", "events": [{"name": "a"}]}, query) == [("api_secret", "VALUE_INVALID")]


def test_the_public_key_must_be_of_the_site_of_the_secret() -> None:
    request = ask("POST", "/mp/collect", KEYS, {}, as_json({"client_id": "1", "events": [{"name": "a"}]}))
    sites = type(SITES)({"G-SHOP": Credential("other", PUBLIC)}, SITES._secret)
    reading = ROUTES[0].read(Ask(**{n: getattr(request, n) for n in request.__slots__} | {"sites": sites}))
    assert (reading.rows, [why.code for _, why in reading.refusals]) == ([], ["unknown_key"])


def test_a_repeated_request_is_the_same_events_where_it_names_a_time() -> None:
    events = [
        {"name": "a", "params": {"x": 1, "y": 2}},
        {"name": "a", "params": {"x": 1, "y": 2}},
        {"name": "b"},
    ]
    ids = [[row[0] for _, row in collect(*events, timestamp_micros=MICROS).rows] for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3
    other = [row[0] for _, row in collect(*events, timestamp_micros=MICROS + 1_000).rows]
    assert not set(other) & set(ids[0])
    reordered = one({"name": "a", "params": {"y": 2, "x": 1}}, timestamp_micros=str(MICROS))
    assert reordered.event_id == ids[0][0]
    assert one({"name": "a"}).flags == Flag.ID_GENERATED
    assert one({"name": "a", "params": {"event_id": "m-1"}}, timestamp_micros=MICROS).event_id == "m-1"


def test_an_order_is_a_purchase_under_its_own_id() -> None:
    params = {"transaction_id": "o-1", "value": 19.9, "currency": "eur", "tax": 3, "event_id": "m-1"}
    found = one({"name": "purchase", "params": params}, timestamp_micros=MICROS)
    assert (found.event_id, found.kind, found.value_e4, found.currency) == ("o-1", "purchase", 199_000, "EUR")
    assert found.properties == '{"tax":3}'
    refund = one({"name": "refund", "params": params})
    assert (refund.event_id, orjson.loads(refund.properties)["transaction_id"]) == ("m-1", "o-1")


def test_the_time_of_an_event_wins_over_that_of_its_request() -> None:
    assert one({"name": "a"}, timestamp_micros=str(MICROS)).occurred_at == MICROS // 1_000
    assert (
        one({"name": "a", "timestamp_micros": MICROS - 1_000_000}, timestamp_micros=MICROS).occurred_at
        == (MICROS - 1_000_000) // 1_000
    )


def test_every_event_is_a_backends_and_says_itself_whose_address_and_agent() -> None:
    found = one({"name": "a"}, ip_override="198.51.100.7", user_agent="Mozilla/5.0")
    assert (found.source, found.trust, found.ip, found.user_agent) == (
        "server",
        "secret",
        "198.51.100.7",
        "Mozilla/5.0",
    )
    assert (one({"name": "a"}).ip, one({"name": "a"}, ip_override="home").ip) == ("", "")


@pytest.mark.parametrize("consent", [
    {"ad_user_data": "GRANTED", "ad_personalization": "GRANTED"}, {"ad_user_data": "DENIED"},
    {"ad_user_data": "yes"}, "all", [], {"ad_storage": "GRANTED"},
])  # fmt: skip
def test_consent_to_advertising_gives_no_measurement_and_takes_the_sites_default_away(
    consent: object,
) -> None:
    signals = one({"name": "a"}, consent=consent).consent
    granting = ConsentPolicy(default=Measurement.GRANTED)
    assert decide(signals, False, granting).basis is Basis.ANONYMOUS
    assert decide(one({"name": "a"}).consent, False, granting).basis is Basis.CONSENTED


def test_signals_in_the_address_travel_along() -> None:
    reading = post({"client_id": "1", "events": [{"name": "a"}]}, KEYS + "&gcs=G100&gcd=13l3l&consent=none")
    assert Event(*reading.rows[0][1]).consent == "consent=none&gcs=G100&gcd=13l3l"


def test_user_properties_stand_by_themselves_so_that_rules_see_their_names() -> None:
    more = {
        "user_properties": {"plan": {"value": "gold"}, "x": 3},
        "device": {"brand": "b"},
    }
    assert orjson.loads(one({"name": "a", "params": {"k": 1}}, **more).properties) == {
        "k": 1, "user_properties.plan": "gold", "user_properties.x": 3, "device.brand": "b",
    }  # fmt: skip


def test_a_bad_event_spares_its_neighbours() -> None:
    bad = [{"name": "9"}, {"name": "session_start"}, {"name": "_x"}, {}, 7, {"name": "a", "params": 3},
           {"name": "a", "timestamp_micros": "soon"}, {"name": "x" * 41}, {"name": "a", "params": {"event_id": []}},
           {"name": "a", "params": {"fonts": 1}}, {"name": "a", "timestamp_micros": 10_000_000}]  # fmt: skip
    reading = collect({"name": "first"}, *bad, {"name": "lást_1"})
    assert [row[2] for _, row in reading.rows] == ["first", "lást_1"]
    assert len(reading.refusals) == len(bad)


def test_what_is_too_much_is_refused_and_the_first_25_events_are_kept() -> None:
    reading = collect(*({"name": "a"} for _ in range(30)))
    assert (len(reading.rows), len(reading.refusals)) == (25, 5)
    too_large = collect({"name": "a", "params": {"x": "y" * 131_000}}, {"name": "b"})
    assert [why.code for _, why in too_large.refusals] == ["body_too_large"]
    assert len(collect({"name": "a"}, {"name": "b"}, client_id=None).refusals) == 2


def test_a_long_value_and_many_parameters_are_shown_and_kept() -> None:
    event = {"name": "a", "params": {"long": "x" * 101, **{f"p{n}": n for n in range(30)}}}
    assert len(orjson.loads(one(event).properties)) == 31
    assert debug({"client_id": "1", "events": [event]}) == [
        ("events[0].params", "EXCEEDED_MAX_ENTITIES"), ("events[0].params", "VALUE_OUT_OF_BOUNDS"),
    ]  # fmt: skip


def test_the_debug_endpoint_knows_each_code() -> None:
    found = debug(
        b'{"timestamp_micros": 10000000, "user_id": [], "a": 1, "a": 2, "events": [{"name": "ga_a"}, {"name": "a b"}'
        + b', {}' + b', {"name": "a"}' * 25 + b"]}"
    )  # fmt: skip
    assert {code for _, code in found} == CODES
    assert ("client_id", "VALUE_REQUIRED") in found


def test_a_refused_request_ends_in_silence_and_a_busy_edge_asks_to_come_again() -> None:
    assert ROUTES[0].refuse is not None
    assert [ROUTES[0].refuse(TOO_LARGE, status).status for status in (400, 401, 413)] == [200, 200, 200]
    assert [ROUTES[0].refuse(SPOOL_FULL, status).status for status in (408, 503)] == [408, 503]


PARAMS = [
    "value",
    "currency",
    "transaction_id",
    "event_id",
    "page_location",
    "session_id",
    "items",
    "fonts",
    "x",
]
LIKELY = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "purchase", "page_view", "_a", ""])},
    optional={
        "params": st.one_of(VALUES, st.dictionaries(st.sampled_from(PARAMS), VALUES)),
        "timestamp_micros": st.one_of(VALUES, st.just(MICROS)),
    },
)
OF_REQUESTS = [
    "user_id",
    "consent",
    "user_properties",
    "user_location",
    "device",
    "ip_override",
    "timestamp_micros",
]
MORE = st.dictionaries(st.sampled_from(OF_REQUESTS), VALUES, max_size=3)


@given(st.lists(st.one_of(VALUES, LIKELY), min_size=1, max_size=4), MORE)
def test_every_event_is_a_row_or_a_refusal(events: list[Any], more: dict[str, Any]) -> None:
    check_reading(collect(*events, **more), len(events))
    debug({"client_id": "1", "events": events, **more})


@given(BODIES)
def test_every_body_has_an_answer(body: bytes) -> None:
    check_reading(post(body))
    debug(body)
