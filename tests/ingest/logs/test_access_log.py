"""Access logs: each line is one event, found again by its content, or counted as unreadable."""

import json
import random
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.logs.access_log import CombinedFormat, LineIds, is_page, parse_log_time, split_request
from ingest.logs.importer import ImportFailed, LogImport, partition_start
from schemas.event import Event
from schemas.identity import content_id, partition_of
from schemas.pack import Refusal
from tests.ingest.builders import KEY, NOW_MS, assert_survives_a_pack, open_pack
from tests.ingest.logs.access_logs import LINE, SECRET, FakeOutbox


def read(line: bytes, host: str = "") -> Event | None:
    row = CombinedFormat("demo", host, NOW_MS)(line, "id")
    return None if row is None else Event(*row)


def imported(lines: list[bytes], outbox: FakeOutbox) -> list[Event]:
    """The events of one file of these lines."""
    importing = LogImport(outbox, 2, "demo", KEY, NOW_MS, random.Random(1).randbytes)
    importing.feed(
        [line + b"\n" for line in lines], CombinedFormat("demo", "", NOW_MS), LineIds(SECRET), lambda: None
    )
    result = importing.finish()
    assert result.lines == result.accepted + result.invalid == len(lines)
    return [event for message in outbox.messages for event in open_pack(message).batch.to_events()]


def test_a_line_says_everything_it_knows() -> None:
    assert read(LINE, host="shop.example") == Event(
        event_id="id",
        site="demo",
        name="request",
        kind="page",
        source="log",
        protocol="combined",
        trust="secret",
        occurred_at=1_431_849_903_000,
        received_at=NOW_MS,
        ip="203.0.113.7",
        user_agent='Mozilla/5.0 (X11) "odd" Agent',
        url="https://shop.example/shop/item.html?id=3",
        referrer='https://search.example/?q="x"',
        user_id="anna",
        properties='{"status":200,"bytes":203023,"method":"GET"}',
    )


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"-",
        LINE[:-1],
        LINE[:80],
        LINE.replace(b"May", b"Mai"),
        LINE.replace(b"17/May", b"32/May"),
        LINE.replace(b"2015", b"1970"),
        LINE.replace(b"2015", b"2100"),
        LINE.replace(b":03 ", b":99 "),
        LINE.replace(b" 200 ", b" two "),
        LINE + b"x" * 40_000,
    ],
)
def test_a_line_that_is_cut_or_impossible_is_not_guessed_at(line: bytes) -> None:
    assert read(line) is None


def test_a_request_nobody_can_read_is_still_a_request() -> None:
    odd = read(
        LINE.replace(b"GET /shop/item.html?id=3 HTTP/1.1", b"\\x16\\x03\\x01").replace(b" 203023 ", b" - ")
    )
    assert odd is not None
    assert (odd.kind, odd.url, odd.properties) == ("custom", "", '{"status":200,"bytes":0}')


@pytest.mark.parametrize(
    ("method", "path", "status", "page"),
    [
        ("GET", "/", "200", True),
        ("GET", "/a/b?x=y.png", "200", True),
        ("GET", "/a.html", "304", True),
        ("GET", "/a.PHP?x", "206", True),
        ("GET", "/a.png", "200", False),
        ("GET", "/robots.txt", "200", False),
        ("GET", "/", "404", False),
        ("GET", "/", "301", False),
        ("POST", "/", "200", False),
        ("HEAD", "/", "200", False),
        ("", "", "200", False),
    ],
)
def test_page_views_are_pages_that_were_delivered(method: str, path: str, status: str, page: bool) -> None:
    assert is_page(method, path, status) is page


def test_times_have_their_offset() -> None:
    assert parse_log_time("01/Jan/2020:00:00:00 +0000") == 1_577_836_800_000
    assert parse_log_time("31/Dec/2019:19:00:00 -0500") == 1_577_836_800_000
    assert parse_log_time("29/Feb/2019:00:00:00 +0000") == 0


def test_the_request_line_is_taken_apart() -> None:
    assert split_request("GET /a b HTTP/1.1") == ("GET", "/a b")
    assert split_request("GET /") == ("GET", "/")
    assert split_request("-") == ("", "")


@pytest.mark.parametrize(
    "request_line",
    [
        "GET / HTTP/1.1", "GET /a b HTTP/1.1", "GET /a HTTP/1.1 HTTP/1.1", "get /a HTTP/2.0", "GET /", "GET", "-", "",
        "G3T / HTTP/1.1", "GET  HTTP/1.1", "PRI * HTTP/2.0", "CONNECT a:443 HTTP/1.1", "GET /a HTTP/",
        "GET / a HTTP/1.1 b",
        "X" * 21 + " / HTTP/1.1", '\\"GET / HTTP/1.1', "GET /\\x22 HTTP/1.1",
    ],
)  # fmt: skip
def test_requests_are_taken_apart_the_same_way_inside_a_line(request_line: str) -> None:
    event = read(LINE.replace(b"GET /shop/item.html?id=3 HTTP/1.1", request_line.encode()))
    method, path = split_request(request_line)
    assert event is not None
    assert (event.url, f'"method":"{method}"' in event.properties) == (path, bool(method))


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("0", 0),
        ("-", 0),
        ("48213", 48_213),
        ("007", 7),
        ("9" * 15, 10**15 - 1),
        ("9" * 25, 10**15),
        ("٣٤", 34),
    ],
)
def test_whatever_digits_a_server_writes_the_size_is_a_number_of_json(written: str, size: int) -> None:
    event = read(
        f'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 {written} "-" "-"'.encode()
    )
    assert event is not None
    assert json.loads(event.properties) == {"status": 200, "bytes": size, "method": "GET"}


@given(st.lists(st.sampled_from([b"a", b"b", b"", b"\xff\x00"]), max_size=12))
def test_ids_are_those_of_line_and_ordinal(lines: list[bytes]) -> None:
    ids, seen = LineIds(SECRET), list[bytes]()
    for line in lines:
        ordinal = seen.count(line)
        seen.append(line)
        assert ids.next(line) == content_id(SECRET, (line, b"%d" % ordinal))


def test_identical_lines_are_told_apart_also_across_a_generation() -> None:
    ids = LineIds(SECRET, generation_lines_max=3)
    lines = [b"a", b"b", b"c", b"a", b"d", b"a"]
    assert len({ids.next(line) for line in lines}) == len(lines)


@given(st.text(max_size=9), st.text(max_size=9), st.text(max_size=40), st.integers(1, 64))
def test_a_line_goes_where_copies_of_its_event_go(
    site: str, name: str, event_id: str, partitions: int
) -> None:
    start = partition_start(site, name)
    assert crc32(event_id.encode(), start) % partitions == partition_of(site, name, event_id, partitions)


def test_the_same_lines_have_the_same_ids_in_every_import() -> None:
    lines = [LINE, LINE, LINE.replace(b"anna", b"-")]
    first, second = imported(lines, FakeOutbox()), imported(lines, FakeOutbox())
    assert len({event.event_id for event in first}) == 3
    assert {event.event_id for event in first} == {event.event_id for event in second}


def test_unreadable_lines_are_counted_beside_the_accepted_ones() -> None:
    outbox = FakeOutbox()
    assert len(imported([LINE, b"cut off", LINE, b""], outbox)) == 2
    refusals = [one for message in outbox.messages for one in open_pack(message).refusals]
    assert refusals == [Refusal(NOW_MS // 60_000 * 60, "demo", "invalid", 2)]


def test_a_log_of_unreadable_lines_alone_still_leaves_its_count() -> None:
    outbox = FakeOutbox()
    assert imported([b"cut off"], outbox) == []
    assert [open_pack(message).refusals for message in outbox.messages] == [
        (Refusal(NOW_MS // 60_000 * 60, "demo", "invalid", 1),)
    ]


def test_an_import_kafka_did_not_take_whole_fails() -> None:
    with pytest.raises(ImportFailed, match="did not take"):
        imported(
            [LINE.replace(b"id=3", b"id=%d" % n) for n in range(3_000)],
            FakeOutbox(refuses=lambda number: number == 2),
        )
    with pytest.raises(ImportFailed, match="not answered"):
        imported([LINE], FakeOutbox(silent=True))


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda at, what: LINE[:at] + what + LINE[at:], st.integers(0, len(LINE)), st.binary(max_size=20)
    )
)
def test_no_bytes_break_the_reader(line: bytes) -> None:
    row = CombinedFormat("demo", "", NOW_MS)(line, "id")
    if row is not None:
        assert_survives_a_pack(row)
