"""The pixel's parameters, good and bad."""

from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.reading.client import Client, client_ip, read_client
from ingest.reading.fields import Rejection
from ingest.reading.pixel import GIF, parse_pixel, parse_query
from schemas.event import EVENT_FIELDS, Event, EventBatch, Flag
from schemas.pack import Refusal, decode_raw_pack, encode_raw_pack
from tests.ingest.builders import BROWSER, NOW_MS, PUBLIC, SECRET, assert_survives_a_pack, pixel


def accepted(query: str, **more: object) -> Event:
    one = pixel(query, **more)  # type: ignore[arg-type]
    assert isinstance(one, Event), one
    return one


def test_every_parameter_of_the_pixel_has_its_place() -> None:
    one = accepted(
        "k=demo&e=purchase&id=o-1&v=19.90&cur=eur&u=user&a=visitor&ts=1763700000000&url=https%3A%2F%2Fa.example%2F"
        "&ref=https%3A%2F%2Fb.example%2F&consent=measurement&gdpr=1&gdpr_consent=C&gpp=G&gpp_sid=7&us_privacy=1YNN"
        "&gcs=G111&gcd=13&p.plan=gold&p.size=XL"
    )
    assert one == Event(
        event_id="o-1",
        site="demo",
        name="purchase",
        kind="purchase",
        source="pixel",
        protocol="native",
        trust="public",
        occurred_at=1_763_700_000_000,
        received_at=NOW_MS,
        ip="203.0.113.9",
        user_agent="Firefox",
        language="en-GB",
        url="https://a.example/",
        referrer="https://b.example/",
        visitor_id="visitor",
        user_id="user",
        consent="consent=measurement&gdpr=1&gdpr_consent=C&gpp=G&gpp_sid=7&us_privacy=1YNN&gcs=G111&gcd=13",
        value_e4=199_000,
        currency="EUR",
        properties='{"plan":"gold","size":"XL"}',
    )


def test_a_bare_pixel_is_a_page_view_with_an_id_of_ours() -> None:
    one = accepted("k=demo")
    assert (one.name, one.kind, one.event_id, one.flags) == ("page_view", "page", "made", Flag.ID_GENERATED)
    assert one.url == "https://shop.example/page"  # the page that shows it


@pytest.mark.parametrize(
    ("value", "value_e4"), [("19.99", 199_900), ("-5", -50_000), ("0.00005", 0), ("1e3", 10_000_000)]
)
def test_money_is_exact(value: str, value_e4: int) -> None:
    assert accepted(f"k=demo&v={value}").value_e4 == value_e4


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("v=NaN", "v"),
        ("v=Infinity", "v"),
        ("v=1e99", "v"),
        ("v=ten", "v"),
        ("v=1e999999999", "v"),
        ("cur=EURO", "cur"),
        ("cur=E1R", "cur"),
        ("ts=yesterday", "ts"),
        ("ts=-1", "ts"),
        ("ts=99999999999999999999", "ts"),
        ("ts=2026-13-01", "ts"),
        (f"e={'x' * 201}", "e"),
    ],
)
def test_a_bad_value_is_refused_and_not_repeated(query: str, field: str) -> None:
    refused = pixel(f"k=demo&{query}")
    assert isinstance(refused, Rejection)
    assert refused.detail.startswith(f"{field}: ")
    assert query.partition("=")[2] not in refused.detail + refused.message


@pytest.mark.parametrize("name", ["canvas", "Fonts", "plugins", "battery"])
def test_fingerprinting_fields_are_refused(name: str) -> None:
    refused = pixel(f"k=demo&p.{name}=x")
    assert isinstance(refused, Rejection)
    assert refused.code == "fingerprinting_refused"


@pytest.mark.parametrize(
    ("ts", "claim", "flag"),
    [
        ("0", 0, Flag.TIME_CLAMPED),
        ("86400000", 0, Flag.TIME_CLAMPED),
        ("4102444800000", 4_102_444_800_000, 0),  # streams clamps and flags it
        ("1763799000", 1_763_799_000_000, Flag.TIME_UNIT),
        ("1763799000000000", 1_763_799_000_000, Flag.TIME_UNIT),
        ("1763799000000000000", 1_763_799_000_000, Flag.TIME_UNIT),
    ],
)
def test_an_impossible_time_is_a_claim_from_a_page_and_an_error_from_a_backend(
    ts: str, claim: int, flag: int
) -> None:
    found = accepted(f"k=demo&id=1&ts={ts}")
    assert (found.occurred_at, found.flags) == (claim, flag)
    trusted = pixel(f"k=demo&ts={ts}", credential=SECRET)
    assert isinstance(trusted, Rejection)
    assert (trusted.code, trusted.detail[:3]) == ("time_out_of_range", "ts:")


def test_a_backend_may_speak_of_the_past() -> None:
    assert (
        accepted("k=demo&ts=2020-05-01T12:00:00%2B02:00", credential=SECRET).occurred_at == 1_588_327_200_000
    )


def test_a_long_id_is_replaced_by_its_hash_and_stays_the_same_event() -> None:
    one, other = accepted(f"k=demo&id={'a' * 10_000}"), accepted(f"k=demo&id={'a' * 9_999}b")
    assert len(one.event_id) == 64
    assert one.event_id != other.event_id
    assert one == accepted(f"k=demo&id={'a' * 10_000}")


def test_gpc_dnt_and_prefetch_are_seen_in_the_headers() -> None:
    client = read_client({b"sec-gpc": b"1", b"dnt": b"1", b"sec-purpose": b"prefetch;prerender"}, "")
    assert Flag(client.flags) == Flag.GPC | Flag.DNT | Flag.PREFETCH
    assert accepted("k=demo&id=1", client=client).flags == client.flags


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, [b"1.1.1.1"], "9.9.9.9"),
        (1, [b"1.1.1.1, 2.2.2.2"], "2.2.2.2"),
        (2, [b"1.1.1.1, 2.2.2.2"], "1.1.1.1"),
        (2, [b"1.1.1.1", b"2.2.2.2", b"3.3.3.3"], "2.2.2.2"),
        (3, [b"1.1.1.1, 2.2.2.2"], "9.9.9.9"),
        (1, [b"4.4.4.4:5123"], "4.4.4.4"),
        (1, [b"[2001:db8::1]:443"], "2001:db8::1"),
        (1, [], "9.9.9.9"),
    ],
)
def test_only_configured_proxies_are_believed(proxies: int, forwarded: list[bytes], expected: str) -> None:
    assert client_ip("9.9.9.9", [(b"x-forwarded-for", one) for one in forwarded], proxies) == expected


def test_the_gif_has_43_bytes() -> None:
    assert len(GIF) == 43
    assert GIF.startswith(b"GIF89a")
    assert GIF.endswith(b";")


@given(
    st.binary(max_size=400),
    st.dictionaries(st.sampled_from([b"user-agent", b"referer", b"dnt"]), st.binary(max_size=60)),
)
def test_no_bytes_break_the_pixel(query: bytes, headers: dict[bytes, bytes]) -> None:
    for credential in (PUBLIC, SECRET):
        row = parse_pixel(parse_query(query), credential, read_client(headers, "1.2.3.4"), NOW_MS, "made")
        if not isinstance(row, Rejection):
            assert_survives_a_pack(row)


@given(
    st.dictionaries(
        st.sampled_from(
            ["e", "id", "v", "cur", "u", "a", "ts", "url", "ref", "consent", "gdpr", "gpp", "p.x", "p.y"]
        ),
        st.text(max_size=300),
        max_size=8,
    )
)
def test_no_text_breaks_the_pixel(params: dict[str, str]) -> None:
    query = urlencode(params, errors="replace").encode()
    row = parse_pixel(parse_query(query), PUBLIC, BROWSER, NOW_MS, "made")
    if not isinstance(row, Rejection):
        assert_survives_a_pack(row)


@given(st.lists(st.tuples(st.text("abc%+&=é", min_size=1, max_size=5), st.text(max_size=400)), max_size=6))
def test_the_fast_query_parser_equals_the_plain_one(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(
        f"{quote(name, errors='replace')}={quote(value, safe='/ ', errors='replace')}"
        for name, value in pairs
    )
    plain = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=None))
    fast = parse_query(query.encode())
    assert {name: value for name, value in fast.items() if name} == plain


@given(
    st.lists(
        st.builds(
            Event, event_id=st.text(max_size=5), received_at=st.integers(0, 10**13), flags=st.integers(0, 511)
        )
    )
)
def test_rows_and_batches_are_the_same_columns(events: list[Event]) -> None:
    rows = [tuple(getattr(one, name) for name in EVENT_FIELDS) for one in events]
    columns = dict(zip(EVENT_FIELDS, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
    built = EventBatch(**columns)  # type: ignore[arg-type]
    assert built == EventBatch.from_events(events)
    assert (
        decode_raw_pack(encode_raw_pack("e", columns, len(rows), [Refusal(1, "s", "r", 2)])).batch.to_events()
        == events
    )


def test_a_client_of_whom_nothing_is_known_says_nothing() -> None:
    assert Client() == Client("", "", "", "", 0)
