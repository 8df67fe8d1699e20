"""Each log format: what a line says, what is no line of it, and that the first lines tell which one it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.logs.access_log import SKIPPED, LineReader
from ingest.logs.formats import FORMATS, detect
from ingest.logs.formats.pixel_queue import PixelQueueFormat
from ingest.logs.lines.times import time_of
from ingest.reading.sites import PUBLIC, SECRET, Credential
from schemas.event import Event, Flag
from tests.ingest.builders import NOW_MS, assert_survives_a_pack
from tests.ingest.logs.access_logs import AGENT, ALB, CADDY, LINES, NGINX

AT = 1_431_849_903_000  # 2015-05-17T08:05:03Z
CLOUDFRONT_HEADER = (
    "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) "
    "cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes"
)
QUEUE = {
    "t": 1_431_849_903.123, "c": "7-1", "s": 200, "m": "GET", "n": "203.0.113", "p": "", "g": "1", "d": "",
    "a": AGENT,
    "q": "k=demo&e=purchase&id=order-1&v=19.90&cur=eur&ts=&url=https%3A%2F%2Fshop.example%2Fa"
         "&ref=https%3A%2F%2Ffrom.example&consent=all&gdpr=1&gdpr_consent=x",
}  # fmt: skip
CREDENTIALS = {"demo": Credential("demo", PUBLIC), "sk": Credential("demo", SECRET)}


def queue_reader() -> LineReader:
    return PixelQueueFormat(CREDENTIALS.get, NOW_MS)


def read(name: str, line: str | bytes, host: str = "shop.example") -> Event | None:
    """The event of one line; None where it cannot be read."""
    reader = queue_reader() if name == "queue" else FORMATS[name]("demo", host, NOW_MS)
    row = reader(line if isinstance(line, bytes) else line.encode(), "id")
    assert row != SKIPPED
    return Event(*row) if row else None


@pytest.mark.parametrize("name", LINES)
def test_a_line_says_when_what_from_where_and_with_what_outcome(name: str) -> None:
    event = read(name, LINES[name])
    assert event is not None
    assert (event.protocol, event.source, event.trust, event.name, event.kind) == (
        name, "log", "secret", "request", "page",
    )  # fmt: skip
    assert (event.occurred_at, event.ip, event.url) == (AT, "203.0.113.7", "https://shop.example/a.html?x=1")
    assert event.properties == '{"status":200,"bytes":512,"method":"GET"}'
    assert event.received_at == NOW_MS
    says_agent, says_referrer = name != "common", name not in ("common", "alb")
    assert event.user_agent == (AGENT if says_agent else "")
    assert event.referrer == ("https://from.example/" if says_referrer else "")
    assert event.user_id == ("anna" if name not in ("cloudfront", "alb") else "")


@pytest.mark.parametrize("name", LINES)
def test_the_first_line_that_can_be_read_tells_the_format(name: str) -> None:
    assert detect([b"", b"what nobody reads\n", LINES[name].encode() + b"\r\n"], NOW_MS) == name


def test_no_format_is_found_where_no_line_can_be_read() -> None:
    assert detect([b"once upon a time\n", b"{}", b"[1]"], NOW_MS) is None
    assert detect([b"#Version: 1.0\n", CLOUDFRONT_HEADER.encode()], NOW_MS) == "cloudfront"


@pytest.mark.parametrize("name", LINES)
def test_a_line_cut_off_is_not_guessed_at(name: str) -> None:
    line = LINES[name]
    assert read(name, line[: len(line) // 2]) is None
    assert read(name, line.replace("2015", "1970").replace("1431849903", "1")) is None
    assert read(name, line + "x" * 40_000) is None


@pytest.mark.parametrize(
    ("changes", "url", "occurred_at"),
    [
        ({"host": "", "msec": "1431849903.5"}, "https://usual.example/a.html?x=1", AT + 500),
        ({"scheme": "http"}, "http://shop.example/a.html?x=1", AT),
        ({"time_iso8601": "2015-05-17T08:05:03Z"}, "https://shop.example/a.html?x=1", AT),
        ({"time_iso8601": "17/May/2015:10:05:03 +0200"}, "https://shop.example/a.html?x=1", AT),
    ],
)
def test_nginx_names_and_times_are_those_of_the_operator(
    changes: dict[str, str], url: str, occurred_at: int
) -> None:
    event = read("nginx-json", json.dumps(NGINX | changes), host="usual.example")
    assert event is not None
    assert (event.url, event.occurred_at) == (url, occurred_at)


def test_nginx_may_log_the_parts_of_a_request_and_bytes_that_are_no_utf_8() -> None:
    parts = {name: value for name, value in NGINX.items() if name != "request"}
    event = read("nginx-json", json.dumps(parts | {"request_method": "POST", "uri": "/b", "args": "y=2"}))
    assert event is not None
    assert (event.url, event.kind) == ("https://shop.example/b?y=2", "custom")
    odd = json.dumps(NGINX).encode().replace(b"Mozilla", b"\\x22Moz\xffilla")
    event = read("nginx-json", odd)
    assert event is not None
    assert event.user_agent == '"Moz�illa/5.0 (X11; Linux x86_64)'


def test_caddy_names_the_client_behind_its_proxies_and_what_the_browser_asked() -> None:
    event = read("caddy", json.dumps(CADDY))
    assert event is not None
    assert (event.language, event.flags) == ("de", Flag.GPC)
    old = {**CADDY["request"], "remote_addr": "[2001:db8::7]:4711"}  # type: ignore[dict-item]
    old.pop("client_ip"), old.pop("remote_ip")
    event = read("caddy", json.dumps(CADDY | {"request": old}))
    assert event is not None
    assert event.ip == "2001:db8::7"


def test_what_a_server_says_of_itself_is_skipped() -> None:
    caddy = FORMATS["caddy"]("demo", "", NOW_MS)
    assert caddy(b'{"level":"info","ts":1,"logger":"tls","msg":"cleaned up"}', "id") == SKIPPED
    assert caddy(b'{"some":"thing"}', "id") is None
    cloudfront = FORMATS["cloudfront"]("demo", "", NOW_MS)
    assert cloudfront(b"#Version: 1.0", "id") == SKIPPED
    assert cloudfront(CLOUDFRONT_HEADER.encode(), "id") == SKIPPED
    assert cloudfront(b"# a comment", "id") is None


def test_cloudfronts_header_says_the_order_of_its_fields() -> None:
    reader = FORMATS["cloudfront"]("demo", "", NOW_MS)
    reader(b"#Fields: sc-status timestamp(ms) c-ip cs-method cs-uri-stem", "id")
    row = reader(b"404\t1431849903000\t2001:db8::7\tGET\t/gone", "id")
    assert row
    event = Event(*row)
    assert (event.occurred_at, event.ip, event.url, event.kind) == (AT, "2001:db8::7", "/gone", "custom")


def test_the_load_balancer_also_logs_what_was_no_request() -> None:
    event = read("alb", ALB.replace("GET https://shop.example:443/a.html?x=1 HTTP/2.0", "- http://lb:80- "))
    assert event is not None
    assert (event.url, event.kind) == ("", "custom")
    event = read("alb", ALB.replace("203.0.113.7:2817", "2001:db8::7:2817").replace(" 200 200 ", " - - "))
    assert event is not None
    assert (event.ip, event.properties) == ("2001:db8::7", '{"status":0,"bytes":512,"method":"GET"}')


def test_a_pixel_nginx_answered_is_the_event_of_the_pixels_own_endpoint() -> None:
    event = read("queue", json.dumps(QUEUE))
    assert event == Event(
        event_id="order-1", site="demo", name="purchase", kind="purchase", source="pixel", protocol="native",
        trust="public", received_at=AT + 123, ip="203.0.113.0", user_agent=AGENT, url="https://shop.example/a",
        referrer="https://from.example", consent="consent=all&gdpr=1&gdpr_consent=x", flags=Flag.GPC,
        value_e4=199_000, currency="EUR",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "flags"), [("1, 0", Flag.GPC), ("0, 1", Flag.GPC), ("0", 0), ("", 0), (None, 0)]
)
def test_one_of_several_lines_that_nginx_joined_is_enough(said: str | None, flags: int) -> None:
    event = read("queue", json.dumps(QUEUE | {"g": said, "d": "0"}))
    assert event is not None
    assert event.flags == flags


def test_a_pixel_without_an_id_has_that_of_its_line_and_without_a_page_that_of_its_header() -> None:
    event = read("queue", json.dumps(QUEUE | {"q": "k=demo&e=&id=&url=&", "p": "https://shop.example/b"}))
    assert event is not None
    assert (event.event_id, event.flags, event.name) == ("id", Flag.ID_GENERATED | Flag.GPC, "page_view")
    assert event.url == "https://shop.example/b"


@pytest.mark.parametrize(
    "changes",
    [
        {"q": "k=unknown&"}, {"q": "k=sk&"}, {"q": "k=demo&v=much"}, {"q": 1}, {"t": "now"}, {"t": 0},
        {"t": 99_999_999_999.0}, {"s": "200"}, {"t": True},
    ],
)  # fmt: skip
def test_a_pixel_that_says_the_impossible_is_unreadable(changes: dict[str, object]) -> None:
    assert read("queue", json.dumps(QUEUE | changes)) is None


def test_only_answered_gets_of_the_pixel_are_hits() -> None:
    assert queue_reader()(json.dumps(QUEUE | {"m": "HEAD"}).encode(), "id") == SKIPPED
    assert queue_reader()(json.dumps(QUEUE | {"s": 499}).encode(), "id") == SKIPPED


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (1_431_849_903, AT), (1_431_849_903.25, AT + 250), ("1431849903.25", AT + 250), (AT, AT), ("", 0), (None, 0),
        ("2015/05/17 08:05:03.5", AT + 500), ("2015-05-17T08:05:03", AT), (True, 0), ("nan", 0), ("inf", 0),
        ("yesterday", 0), (float("1e300"), 10**300), ([], 0),
    ],
)  # fmt: skip
def test_times_are_read_in_any_form_servers_write(value: object, ms: int) -> None:
    assert time_of(value) == ms or (ms > 10**15 and time_of(value) > 10**15)


@given(st.sampled_from([*LINES, "queue"]), st.integers(0, 900), st.binary(max_size=12), st.integers(0, 40))
def test_no_bytes_break_a_reader(name: str, at: int, what: bytes, cut: int) -> None:
    line = (json.dumps(QUEUE) if name == "queue" else LINES[name]).encode()
    reader = queue_reader() if name == "queue" else FORMATS[name]("demo", "", NOW_MS)
    row = reader((line[:at] + what + line[at + cut :]).replace(b"\n", b""), "id")
    if row:
        assert_survives_a_pack(row)


@given(
    st.sampled_from(["nginx-json", "caddy", "queue"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["ts", "status", "request", "method", "uri", "headers", "User-Agent", "q", "t", "s", "m"]
                ),
                inner,
                max_size=6,
            )
        ),
    ),
)
def test_no_json_breaks_a_reader(name: str, value: object) -> None:
    reader = queue_reader() if name == "queue" else FORMATS[name]("demo", "", NOW_MS)
    base = {"nginx-json": NGINX, "caddy": CADDY, "queue": QUEUE}[name]
    for line in (value, base | value if isinstance(value, dict) else value):
        row = reader(json.dumps(line).encode(), "id")
        if row:
            assert_survives_a_pack(row)
