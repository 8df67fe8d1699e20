"""CloudEvents become events of ours: three modes, one set of rules, errors in the sender's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.reading.body import Body
from ingest.reading.cloudevents import split_body
from ingest.reading.fields import Rejection, Unacceptable
from ingest.reading.parse import Parsed, parse_event
from ingest.reading.sites import Credential
from schemas.event import Event
from tests.ingest.builders import BROWSER, NOW_MS, PUBLIC, SECRET

STRUCTURED = "application/cloudevents+json; charset=utf-8"
BATCH = "application/cloudevents-batch+json"


def cloud_event(**more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "4711",
        "source": "https://shop.example/orders",
        "type": "signup",
        **more,
    }


def split(content: object, content_type: str = STRUCTURED) -> Body:
    return split_body({b"content-type": content_type.encode()}, json.dumps(content).encode())


def parse(body: Body, credential: Credential = SECRET) -> list[Parsed | Rejection]:
    return [parse_event(item, credential, BROWSER, NOW_MS, 0, "made") for item in body.events]


def accepted(credential: Credential = SECRET, **more: Any) -> Event:
    (parsed,) = parse(split(cloud_event(**more)), credential)
    assert isinstance(parsed, Parsed), parsed
    return Event(*parsed.row)


def refused(**more: Any) -> Rejection:
    (why,) = parse(split(cloud_event(**more)))
    assert isinstance(why, Rejection)
    return why


def test_each_attribute_has_its_place() -> None:
    one = accepted(
        time="2025-11-01T12:00:00Z", subject="basket/7", data={"plan": "gold"}, consent="all", visitorid="v-1",
        userid="u-1", sessionid="s-1", url="https://shop.example/a", value="19.90", currency="EUR",
        clientip="198.51.100.4", useragent="Firefox", gdprconsent="CPabc", datacontenttype="application/json",
        dataschema="https://shop.example/schema",
    )  # fmt: skip
    assert (one.event_id, one.name, one.occurred_at) == (
        "https://shop.example/orders|4711",
        "signup",
        1_761_998_400_000,
    )
    assert json.loads(one.properties) == {"plan": "gold", "subject": "basket/7"}
    assert (one.visitor_id, one.user_id, one.session_id) == ("v-1", "u-1", "s-1")
    assert (one.url, one.value_e4, one.currency) == ("https://shop.example/a", 199_000, "EUR")
    assert (one.ip, one.user_agent) == ("198.51.100.4", "Firefox")
    assert one.consent == "consent=all&gdpr_consent=CPabc"


def test_one_event_is_the_same_in_each_mode() -> None:
    item = cloud_event(time="2025-11-01T12:00:00Z", subject="a b", data={"plan": "gold"}, consent="all")
    headers = {f"ce-{name}".encode(): str(value).replace(" ", "%20").encode() for name, value in item.items()}
    del headers[b"ce-data"]
    binary = split_body({**headers, b"content-type": b"application/json"}, b'{"plan":"gold"}')
    (expected,) = parse(split(item))
    assert parse(binary) == [expected]
    assert parse(split([item, item], BATCH)) == [expected, expected]


@pytest.mark.parametrize(
    ("media_type", "body", "properties"),
    [
        ("text/plain", b"hello", {"data": "hello"}),
        ("application/octet-stream", b"\x00\xff", {"data_base64": "AP8="}),
        ("application/vnd.shop+json", b"[1,2]", {"data": [1, 2]}),
        ("", b"", None),
    ],
)
def test_data_that_is_no_object_is_kept_as_one_property(
    media_type: str, body: bytes, properties: object
) -> None:
    headers = {f"ce-{name}".encode(): str(value).encode() for name, value in cloud_event().items()}
    (parsed,) = parse(split_body({**headers, b"content-type": media_type.encode()}, body))
    assert isinstance(parsed, Parsed)
    found = Event(*parsed.row).properties
    assert (json.loads(found) if found else None) == properties


def test_a_purchase_is_named_by_its_order_and_has_its_money() -> None:
    one = accepted(type="purchase", data={"order_id": 42, "value": 19.9, "currency": "eur"})
    assert (one.event_id, one.kind, one.value_e4, one.currency) == ("42", "purchase", 199_000, "EUR")
    assert accepted(type="purchase", data={"plan": 1}).event_id == "https://shop.example/orders|4711"
    assert accepted(type="signup", data={"order_id": 42}).event_id == "https://shop.example/orders|4711"


@pytest.mark.parametrize(
    ("more", "code", "detail"),
    [
        ({"specversion": "0.3"}, "invalid_field", "specversion:"),
        ({"specversion": None}, "invalid_field", "specversion:"),
        ({"id": ""}, "missing_field", "id:"),
        ({"id": 4711}, "invalid_field", "id:"),
        ({"source": None}, "missing_field", "source:"),
        ({"source": "a b"}, "invalid_field", "source:"),
        ({"source": "a|b"}, "invalid_field", "source:"),
        ({"type": None}, "missing_field", "type:"),
        ({"type": "x" * 201}, "invalid_field", "type:"),
        ({"time": "soon"}, "invalid_field", "time:"),
        ({"time": 3}, "invalid_field", "time:"),
        ({"time": "1970-01-02T00:00:00Z"}, "time_out_of_range", "time:"),
        ({"subject": 3}, "invalid_field", "subject:"),
        ({"data": 1, "data_base64": "AA=="}, "invalid_field", "data_base64:"),
        ({"data": {"canvas": 1}}, "fingerprinting_refused", "data.canvas:"),
        ({"data": {"a": "x" * 33_000}}, "oversize", "data:"),
        ({"canvas": "1"}, "fingerprinting_refused", "event.canvas:"),
        ({"visitorid": ["x"]}, "invalid_field", "visitorid:"),
        ({"visitorid": 1.5}, "invalid_field", "visitorid:"),
        ({"clientip": 7}, "invalid_field", "clientip:"),
        ({"url": 7}, "invalid_field", "url:"),
        ({"value": "much"}, "invalid_field", "value:"),
        ({"currency": "EURO"}, "invalid_field", "currency:"),
    ],
)
def test_an_error_names_the_attribute_as_its_sender_does(
    more: dict[str, Any], code: str, detail: str
) -> None:
    why = refused(**more)
    assert why.code == code
    assert why.detail.startswith(detail)
    assert "properties" not in why.message + why.detail
    assert " ts " not in why.message


def test_an_attribute_nobody_knows_is_named_and_cannot_pose_as_a_field_of_ours() -> None:
    (parsed,) = parse(split(cloud_event(event="forged", ts="1", k="x", properties="y", traceparent="00")))
    assert isinstance(parsed, Parsed)
    assert parsed.warning == "unknown keys ignored: event, k, properties, traceparent, ts"
    one = Event(*parsed.row)
    assert (one.name, one.occurred_at, one.properties) == ("signup", 0, "")


def test_the_address_is_believed_from_a_secret_key_only() -> None:
    assert accepted(PUBLIC, clientip="198.51.100.4").ip == BROWSER.ip


def test_a_bad_event_of_a_batch_spares_its_neighbours() -> None:
    results = parse(split([cloud_event(), {"specversion": "1.0"}, 7, cloud_event(id="2")], BATCH))
    assert [isinstance(one, Parsed) for one in results] == [True, False, False, True]


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        (STRUCTURED, b"{", "unreadable_body"),
        (BATCH, b"{}", "invalid_field"),
        (BATCH, b"[" + b"1," * 5_000 + b"1]", "body_too_large"),
        ("application/cloudevents+avro", b"{}", "unknown_format"),
        ("application/cloudevents", b"{}", "unknown_format"),
    ],
)
def test_a_body_that_is_no_cloudevent_is_refused_as_a_whole(
    content_type: str, body: bytes, code: str
) -> None:
    with pytest.raises(Unacceptable) as refusal:
        split_body({b"content-type": content_type.encode()}, body)
    assert refusal.value.rejection.code == code


def test_any_other_content_type_is_the_native_form() -> None:
    assert split({"event": "a"}, "application/json").events == [{"event": "a"}]
    assert split_body({}, b'{"event":"a"}').events == [{"event": "a"}]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = ["specversion", "id", "source", "type", "time", "subject", "data", "data_base64", "consent", "visitorid",
              "clientip", "value", "odd", "ts", "context"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(ATTRIBUTES), json_values))
def test_no_json_breaks_a_cloudevent(more: dict[str, Any]) -> None:
    for credential in (PUBLIC, SECRET):
        (parsed,) = parse(split(cloud_event(**more)), credential)
        assert isinstance(parsed, (Parsed, Rejection))


@given(
    st.binary(max_size=60),
    st.sampled_from([STRUCTURED, BATCH, "text/plain", "application/json"]),
    st.booleans(),
)
def test_no_bytes_break_a_cloudevent(body: bytes, content_type: str, binary: bool) -> None:
    headers = {b"content-type": content_type.encode()}
    if binary:
        headers |= {
            b"ce-specversion": b"1.0",
            b"ce-id": body.hex().encode(),
            b"ce-source": b"/a",
            b"ce-type": b"x",
        }
    try:
        parse(split_body(headers, body))
    except Unacceptable:
        return  # refused as a whole, with a reason


def test_a_signature_cannot_speak_for_headers_it_does_not_cover() -> None:
    headers = {f"ce-{name}".encode(): str(value).encode() for name, value in cloud_event().items()}
    with pytest.raises(Unacceptable) as refusal:
        split_body({**headers, b"x-fairpixel-signature": b"t=1,v1=00"}, b"{}")
    assert refusal.value.rejection.code == "signature_wrong"
    structured = {b"content-type": STRUCTURED.encode(), b"x-fairpixel-signature": b"t=1,v1=00"}
    assert len(split_body(structured, json.dumps(cloud_event()).encode()).events) == 1
