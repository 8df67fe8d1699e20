"""Events of `POST /v1/events`: what is taken, what is refused, and what a key may say."""

import gzip
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.reading.body import BODY_BYTES_MAX, UNREADABLE_ITEM, inflate, split_events, split_list
from ingest.reading.fields import SIGNALS_LENGTH_MAX, Rejection, Unacceptable, parse_address
from ingest.reading.parse import Parsed, parse_event
from schemas.consent import OTHER_SIGNALS, ConsentPolicy, Measurement, Purpose, decide
from schemas.event import Event, Flag
from tests.ingest.builders import BROWSER, NOW_MS, PUBLIC, SECRET, assert_survives_a_pack, event


def accepted(item: dict[str, Any], **more: Any) -> Event:
    one = event({"event": "signup", "id": "1", **item}, **more)
    assert isinstance(one, Event), one
    return one


def refused(item: dict[str, Any], **more: Any) -> Rejection:
    one = event({"event": "signup", "id": "1", **item}, **more)
    assert isinstance(one, Rejection), one
    return one


def test_a_backend_speaks_for_the_person() -> None:
    one = accepted(
        {
            "ts": "2025-01-01T00:00:00Z",
            "user_id": 42,
            "value": 19.9,
            "currency": "EUR",
            "sent_at": 1_763_700_000_000,
            "context": {
                "ip": "198.51.100.7",
                "user_agent": "Safari",
                "language": "de",
                "gpc": True,
                "timezone": "Europe/Berlin",
            },
        },
        credential=SECRET,
    )
    assert (one.source, one.trust, one.ip, one.user_agent, one.language) == (
        "server",
        "secret",
        "198.51.100.7",
        "Safari",
        "de",
    )
    assert (one.occurred_at, one.sent_at, one.user_id) == (1_735_689_600_000, 1_763_700_000_000, "42")
    assert (one.flags, one.timezone, one.value_e4) == (Flag.GPC, "Europe/Berlin", 199_000)


def test_the_address_of_a_customers_server_is_nobodys() -> None:
    one = accepted({}, credential=SECRET)
    assert (one.ip, one.user_agent, one.language) == ("", "", "")


def test_a_public_key_may_not_say_who_somebody_is() -> None:
    parsed = parse_event(
        {"event": "x", "context": {"ip": "198.51.100.7", "user_agent": "other"}},
        PUBLIC,
        BROWSER,
        NOW_MS,
        0,
        "m",
    )
    assert isinstance(parsed, Parsed)
    one = Event(*parsed.row)
    assert (one.ip, one.user_agent, one.source) == ("203.0.113.9", "Firefox", "tag")
    assert "secret key" in parsed.warning


@pytest.mark.parametrize(
    ("item", "code", "field"),
    [
        ({"event": None}, "missing_field", "event"),
        ({"event": ""}, "missing_field", "event"),
        ({"event": 3}, "invalid_field", "event"),
        ({"id": 1.5}, "invalid_field", "id"),
        ({"id": True}, "invalid_field", "id"),
        ({"id": {"a": 1}}, "invalid_field", "id"),
        ({"ts": "soon"}, "invalid_field", "ts"),
        ({"ts": [1]}, "invalid_field", "ts"),
        ({"ts": 1e300}, "invalid_field", "ts"),
        ({"ts": True}, "invalid_field", "ts"),
        ({"value": "NaN"}, "invalid_field", "value"),
        ({"value": 1e30}, "invalid_field", "value"),
        ({"value": {"amount": 3}}, "invalid_field", "value"),
        ({"currency": "EURO"}, "invalid_field", "currency"),
        ({"currency": 3}, "invalid_field", "currency"),
        ({"url": ["x"]}, "invalid_field", "url"),
        ({"properties": [1]}, "invalid_field", "properties"),
        ({"properties": "x"}, "invalid_field", "properties"),
        ({"properties": 0}, "invalid_field", "properties"),
        ({"context": "x"}, "invalid_field", "context"),
        ({"context": []}, "invalid_field", "context"),
        ({"properties": {"a": "x" * 33_000}}, "oversize", "properties"),
        ({"visitor_id": []}, "invalid_field", "visitor_id"),
        ({"properties": {"Canvas": 1}}, "fingerprinting_refused", "properties"),
        ({"fonts": []}, "fingerprinting_refused", "event"),
        ({"context": {"battery": 1}}, "fingerprinting_refused", "context"),
    ],
)
def test_a_bad_field_is_named_with_its_fix(item: dict[str, Any], code: str, field: str) -> None:
    why = refused(item)
    assert why.code == code
    assert why.detail.startswith(field)


@pytest.mark.parametrize(
    "ts", [0.5, 1_000, 1_763_800_000, 4_102_444_800_000, "1970-01-02", "2100-01-01T00:00:00Z"]
)
def test_a_backend_cannot_mean_1970_or_2100(ts: object) -> None:
    assert refused({"ts": ts}, credential=SECRET).code == "time_out_of_range"
    found = accepted({"ts": ts})
    assert found.occurred_at > 0 or found.flags & Flag.TIME_CLAMPED


def test_a_clock_that_was_never_set_is_corrected_by_what_it_showed_when_the_event_was_sent() -> None:
    found = accepted({"ts": 0, "sent_at": 5_000})
    assert (found.occurred_at, found.sent_at, found.flags & Flag.TIME_CLAMPED) == (1, 5_000, 0)


def test_unknown_keys_are_named_and_the_event_is_kept() -> None:
    parsed = parse_event(
        {"event": "x", "colour": "secret-value", "flavour": 1}, PUBLIC, BROWSER, NOW_MS, 0, "m"
    )
    assert isinstance(parsed, Parsed)
    assert parsed.warning == "unknown keys ignored: colour, flavour"


@pytest.mark.parametrize(
    ("consent", "expected"),
    [
        ("all", Measurement.GRANTED),
        ({"measurement": True, "marketing": False}, Measurement.GRANTED),
        ({"measurement": "granted"}, Measurement.GRANTED),
        ({"measurement": False, "marketing": True}, Measurement.DENIED),
        ({"marketing": True}, Measurement.DENIED),
        ({"measurement": False}, Measurement.DENIED),
        ("none", Measurement.DENIED),
        ({"measurement": 1}, Measurement.UNKNOWN),
        ({"measurement": True, "analytics": True}, Measurement.UNKNOWN),
        ({"measurement": True, "gdpr_consent": "CPabc"}, Measurement.UNKNOWN),
        ({"m" * 2_000_000: True}, Measurement.UNKNOWN),
        (["all"], Measurement.UNKNOWN),
        (True, Measurement.UNKNOWN),
        ({}, Measurement.GRANTED),  # nothing said: the site's default
        (None, Measurement.GRANTED),
    ],
)
def test_what_a_consent_field_means(consent: object, expected: Measurement) -> None:
    one = accepted({"consent": consent})
    decision = decide(one.consent, False, ConsentPolicy(default=Measurement.GRANTED))
    measured = Purpose.MEASUREMENT in decision.purposes
    assert measured == (expected is Measurement.GRANTED)
    assert (decision.basis is None) == (expected is Measurement.DENIED)


@pytest.mark.parametrize("name", ["gdpr", "gdpr_consent", "gpp", "gpp_sid", "us_privacy", "gcs", "gcd"])
@pytest.mark.parametrize("value", ["x", 12.5, {"odd": 1}, ["x"]])
def test_a_signal_that_nobody_can_read_never_gives_more(name: str, value: object) -> None:
    one = accepted({"consent": "all", name: value})
    assert decide(one.consent, False, ConsentPolicy(default=Measurement.GRANTED)).purposes == ()


@pytest.mark.parametrize(
    "payload",
    [
        {"consent": {"x" * 2_000_000: True}},
        {"consent": {str(n): True for n in range(100_000)}},
        dict.fromkeys(OTHER_SIGNALS, "😀" * 8000),
        {"consent": dict.fromkeys(OTHER_SIGNALS, "😀" * 8000)},
    ],
    ids=["a long purpose", "many purposes", "long signals", "long signals inside"],
)
def test_what_an_event_says_of_consent_is_bounded_and_stays_unclear(payload: dict[str, Any]) -> None:
    one = accepted(payload)
    assert 0 < len(one.consent) <= SIGNALS_LENGTH_MAX
    assert decide(one.consent, False, ConsentPolicy(default=Measurement.GRANTED)).purposes == ()


def test_an_address_has_no_zone() -> None:
    assert parse_address("fe80::1%" + "x" * 1_000_000) == "fe80::1"


def test_the_body_may_be_one_event_a_list_or_lines() -> None:
    assert split_events(b'{"event":"a"}').events == [{"event": "a"}]
    assert split_events(b'[{"event":"a"},{"event":"b"}]').events == [{"event": "a"}, {"event": "b"}]
    taken = split_events(b'{"events":[{"event":"a"}],"sent_at":1763700000000,"k":"demo"}')
    assert (taken.events, taken.sent_at, taken.key) == ([{"event": "a"}], 1_763_700_000_000, "demo")
    assert split_events(b'{"event":"a"}\n\n{"event":"b"}\r\n').events == [{"event": "a"}, {"event": "b"}]
    assert split_events(b'\xef\xbb\xbf{"event":"a"}').events == [{"event": "a"}]


DEEP = b"[" * 3_000 + b"]" * 3_000


@pytest.mark.parametrize(
    "bad",
    [
        b'{"value": NaN}',
        b'{"value": Infinity}',
        b'{"id": "\\ud800"}',
        b'{"value": 1e999}',
        b'{"p": %s}' % DEEP,
        b"{'a': 1}",
    ],
)
@pytest.mark.parametrize("wrap", [b'{"events": [%s]}', b"[%s]"])
def test_an_event_that_is_no_json_spares_its_neighbours(bad: bytes, wrap: bytes) -> None:
    events = split_events(wrap % b",".join([b'{"event": "a{]"}', bad, b'{"event": "b"}'])).events
    assert events == [{"event": "a{]"}, UNREADABLE_ITEM, {"event": "b"}]


def test_a_line_that_is_no_json_spares_its_neighbours() -> None:
    # Lines that are JSON one by one, none of them an event.
    assert split_events(b"[null]\n{}", "application/x-ndjson").events == [[None], {}]
    events = split_events(b'{"event":"a"}\n{"value":NaN}\n{"event":').events
    assert events == [{"event": "a"}, UNREADABLE_ITEM, UNREADABLE_ITEM]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b'"x"', b"3", b"\xff\xfe", b'{"events": 3}', b"[[[", b'{"events":[{"a":1}']
)
def test_a_body_nobody_can_read_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(Unacceptable):
        split_events(body)


def test_an_unreadable_sent_at_costs_no_event() -> None:
    taken = split_events(b'{"events":[{"event":"a"}],"sent_at":"soon"}')
    assert len(taken.events) == 1
    assert "sent_at ignored" in taken.warnings[0]


def test_compressed_bodies_are_known_by_header_and_by_magic_bytes() -> None:
    import zlib

    body = b'{"event":"a"}' * 50
    raw = zlib.compressobj(wbits=-15)
    for sent, encoding in (
        (gzip.compress(body), "gzip"),
        (gzip.compress(body), ""),
        (gzip.compress(body[:99]) + gzip.compress(body[99:]), "gzip"),
        (zlib.compress(body), "deflate"),
        (raw.compress(body) + raw.flush(), "deflate"),
        (body, "gzip"),
        (body, "identity"),
    ):
        assert inflate(sent, encoding) == body


def test_a_bomb_costs_no_more_than_the_bound() -> None:
    import resource
    import zlib

    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(bomb.compress(bytes(1_000_000)) for _ in range(1_000)) + bomb.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Unacceptable) as refusal:
        inflate(packed, "gzip")
    assert refusal.value.rejection.code == "body_too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kB


@pytest.mark.parametrize("body", [b"\x1f\x8b broken", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03abc"])
def test_broken_compression_is_refused(body: bytes) -> None:
    with pytest.raises(Unacceptable):
        inflate(body, "gzip")


def test_an_unknown_compression_is_named() -> None:
    with pytest.raises(Unacceptable) as refusal:
        inflate(b"x", "br")
    assert "Content-Encoding" in refusal.value.rejection.detail


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    "event",
    "id",
    "ts",
    "sent_at",
    "visitor_id",
    "user_id",
    "url",
    "referrer",
    "value",
    "currency",
    "consent",
    "context",
    "properties",
    "gdpr",
    "odd",
]


@given(st.dictionaries(st.sampled_from(KEYS), json_values))
def test_no_json_breaks_an_event(item: dict[str, Any]) -> None:
    for credential in (PUBLIC, SECRET):
        parsed = parse_event({"event": "x", **item}, credential, BROWSER, NOW_MS, 0, "made")
        if isinstance(parsed, Parsed):
            assert_survives_a_pack(parsed.row)


@given(st.binary(max_size=300))
def test_no_bytes_break_a_body(body: bytes) -> None:
    try:
        split_events(inflate(body, "deflate" if body[:1] == b"x" else ""))
    except Unacceptable:
        return  # refused as a whole, with a reason


@given(
    st.lists(st.dictionaries(st.sampled_from(KEYS), json_values, max_size=3), max_size=5),
    st.sampled_from([b"NaN", b"1e999"]),
)
def test_each_neighbour_of_a_broken_event_is_read_as_it_is(items: list[dict[str, Any]], bad: bytes) -> None:
    parts = [orjson.dumps(item) for item in items]
    taken = split_events(b'{"events":[' + b",".join([*parts, b'{"value":' + bad + b"}"]) + b"]}")
    assert taken.events == [*map(orjson.loads, parts), UNREADABLE_ITEM]


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b"") * 200_000, "gzip"),
        (bytes.fromhex("28b52ffd2000010000") * 500_000, "zstd"),
        (b'["' + b'\\"' * 2_400_000, ""),
        (b'{"a":["' + b'\\"' * 2_400_000, ""),
        (b'{"' + b'\\"' * 2_400_000, ""),
        (b'["' + b"\\" * 4_900_000, ""),
        (b"[" * 4_900_000, ""),
        (b'[{"a":NaN}' + b" " * 4_900_000, ""),
        (b"1\n" * 2_400_000, ""),
        (gzip.compress(b"\n" * 9_900_000), "gzip"),
    ],
)
def test_no_body_costs_more_than_its_length_explains(body: bytes, encoding: str) -> None:
    """Each of these took minutes or hours, or hundreds of MB, while no other request was answered."""
    assert len(body) <= BODY_BYTES_MAX
    for take_apart in (split_events, lambda whole: split_list(whole, "batch")):
        began = time.process_time()
        with pytest.raises(Unacceptable):
            take_apart(inflate(body, encoding))
        assert time.process_time() - began < 2
