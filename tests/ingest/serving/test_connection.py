"""One connection of the edge: both ways of a pixel say the same, answers come in order, and nothing is endless."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.serving import connections as connections_module
from ingest.serving.connection import State
from ingest.serving.http1 import HEAD_BYTES_MAX, HEADERS_MAX
from tests.ingest.builders import run
from tests.ingest.edges import Edge, ends
from tests.ingest.stage import PIXEL, POST, Stage, split_answers, statuses, without_date

queries = st.one_of(
    st.text("abk=&%+;/?:.,-_~!@$'()*012345{}[]|\\^`\"<>", max_size=60),
    st.lists(
        st.tuples(
            st.sampled_from(
                ["k", "e", "id", "v", "cur", "u", "a", "ts", "url", "ref", "consent", "p.x", "gdpr", ""]
            ),
            st.sampled_from(
                [
                    "demo",
                    "shop",
                    "tight",
                    "nobody",
                    "",
                    "all",
                    "none",
                    "19.9",
                    "EUR",
                    "x" * 300,
                    "%ff%00",
                    "%E2%82%AC",
                    "1796000000000",
                    "NaN",
                ]
            ),
        ),
        max_size=6,
    ).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)),
)
heads = st.dictionaries(
    st.sampled_from(
        ["Origin", "Cookie", "User-Agent", "DNT", "Sec-GPC", "Referer", "Accept-Language", "Connection", "Host",
         "Purpose"]
    ),
    st.sampled_from(
        ["1", "https://shop.example", "https://evil.example", "fp_demo=" + "ab" * 16 + ".69000000.69000000.mn", "",
         "prefetch", "keep-alive", "caf\xe9", "  spaced  ", "x" * 200]
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=150)
@given(queries, heads)
@example("k=demo&consent=none", {"Cookie": "fp_demo=" + "ab" * 16 + ".69000000.69000000.mn"})
@example("k=shop", {"Origin": "https://evil.example"})
@example("k=shop", {"Origin": "https://shop.example"})
def test_both_ways_of_a_pixel_say_and_keep_the_same(query: str, head: dict[str, str]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    request = f"GET /p.gif?{query} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
    seen = []

    async def journey(fast_path: bool) -> None:
        stage = Stage(fast_path=fast_path)
        stage.connection.data_received(request)
        (answer,) = await stage.answers(1)
        rows = [(*row[:9], 0, *row[10:]) for row in stage.rows]  # but the time of receipt
        seen.append((without_date(answer), rows, stage.intake.counts.refused))

    run(lambda: journey(True))
    run(lambda: journey(False))
    assert seen[0] == seen[1]


bodies = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"", b"{", b"[]", b"{}", b'[{"event": "x"}, {"event": NaN}]', gzip.compress(b'{"event": "x"}'), b"\x1f\x8b"]
    ),
    st.fixed_dictionaries(
        {"event": st.sampled_from(["x", "", "purchase"])},
        optional={"id": st.text(max_size=10), "value": st.integers(), "k": st.sampled_from(["demo", "shop", "nobody"])},
    ).map(lambda event: json.dumps(event).encode()),
)  # fmt: skip


@settings(max_examples=100)
@given(st.sampled_from(["", "?k=demo", "?k=nobody", "?k=tight"]), bodies, heads)
def test_both_ways_of_a_post_say_and_keep_the_same(query: str, body: bytes, head: dict[str, str]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    request = (
        f"POST /v1/events{query} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1")
        + body
    )
    seen = []

    async def journey(fast_path: bool) -> None:
        stage = Stage(fast_path=fast_path)
        stage.connection.data_received(request)
        plain = head.get("Connection") in (None, "keep-alive")
        assert (stage.connection._state is State.ANSWERING) is (fast_path and plain)
        (answer,) = await stage.answers(1)
        rows = [(*row[:9], 0, *row[10:]) for row in stage.rows]
        seen.append((without_date(answer), rows, stage.intake.counts.refused))

    run(lambda: journey(True))
    run(lambda: journey(False))
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    "request_bytes",
    [
        POST.replace(b"%d", b"+3") % b"abc",
        POST.replace(b"%d", b"3\r\nContent-Length: 3") % b"abc",
        POST.replace(b"%d", b"3\r\nTransfer-Encoding: chunked") % b"abc",
        POST.replace(b"%d", b"3\r\nExpect: 100-continue") % b"abc",
        POST % (4, b"abc"),
        POST % (2, b"abc"),
        (POST % (3, b"abc")).replace(b"/v1/events", b"/v1/unknown"),
        (POST % (3, b"abc")).replace(b"/v1/events", b"/v1%2fevents"),
    ],
)
def test_what_is_more_than_a_whole_post_does_not_take_the_fast_path(request_bytes: bytes) -> None:
    async def journey() -> None:
        assert not Stage().connection._take_post(request_bytes)

    run(journey)


def test_a_endpoint_that_fails_is_500_and_the_end_of_its_connection_alone() -> None:
    async def fails(*_: Any) -> None:
        raise KeyError("of somebody")

    async def journey() -> None:
        stage = Stage()
        stage.shared.posts = {"/v1/events": fails}
        stage.connection.data_received(POST % (3, b"abc"))
        assert statuses(await stage.answers(1)) == [b"500"]
        assert stage.wire.is_closing()

    run(journey)


def test_a_stop_waits_for_a_post_under_way() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(POST % (25, b'{"event": "x", "id": "a"}'))
        stage.connection.shutdown()
        assert not stage.wire.is_closing()
        assert len(stage.state.tasks) == 1
        assert statuses(await stage.answers(1)) == [b"200"]
        assert stage.wire.is_closing()

    run(journey)


def by_the_fast_path(request: bytes) -> bool:
    taken = []

    async def journey() -> None:
        stage = Stage()
        taken.append(stage.connection._take_hit(request))

    run(journey)
    return taken[0]


def test_a_plain_pixel_takes_the_fast_path() -> None:
    assert by_the_fast_path(PIXEL % b"a")
    assert by_the_fast_path(b"GET /p.gif?k=demo HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /p.gif?k=demo HTTP/1.0\r\n\r\n",
        b"GET /p.gif?k=demo#part HTTP/1.1\r\n\r\n",
        b"GET /p.gif?k=demo HTTP/1.1\nHost: x\n\n",
        b"GET /p.gif?k=demo HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET /p.gif?k=demo HTTP/1.1\r\nHost: x\r\n",
        b"GET /p.gif?k=demo HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /p.gif?k=demo HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"GET /p.gif?k=demo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /p.gif?k=demo HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
        b"GET /p.gif?k=demo HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"GET /p.gif?k=demo HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /p.gif?k=demo HTTP/1.1\r\nContent-Length : 3\r\n\r\n",
        (PIXEL % b"a") * 2,
        b"GET /p.gif?k=demo HTTP/1.1\r\n" + b"a: b\r\n" * (HEADERS_MAX + 1) + b"\r\n",
        b"GET /p.gif?" + b"x" * 17_000 + b" HTTP/1.1\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_more_than_a_plain_pixel_does_not_take_the_fast_path(request_bytes: bytes) -> None:
    assert not by_the_fast_path(request_bytes)


CHUNKED = b"GET /p.gif?k=demo&id=b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
HIDDEN = b"GET /p.gif?k=demo&id=hidden HTTP/1.1\r\n\r\n"
WITH_BODY = b"GET /p.gif?k=demo&id=a HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(HIDDEN), HIDDEN)


@pytest.mark.parametrize(
    ("sent", "ids"),
    [
        ((PIXEL % b"a") + (PIXEL % b"b"), ["a", "b"]),
        (b"".join(PIXEL % b"%d" % n for n in range(50)), [str(n) for n in range(50)]),
        ((PIXEL % b"a") + POST % (25, b'{"event": "x", "id": "b"}') + (PIXEL % b"c"), ["a", "b", "c"]),
        (POST % (25, b'{"event": "x", "id": "b"}') + (PIXEL % b"c"), ["b", "c"]),
        (CHUNKED + (PIXEL % b"c"), ["b", "c"]),
        # A body is never a request, whatever it holds.
        (WITH_BODY + PIXEL % b"b", ["a", "b"]),
        (
            b"POST /v1/events HTTP/1.1\r\nAuthorization: Bearer demo\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: x\r\n"
            b'Content-Length: 25\r\n\r\n{"event": "x", "id": "a"}' + (PIXEL % b"b"),
            ["a", "b"],
        ),
    ],
    ids=["two", "fifty", "pixel post pixel", "post pixel", "chunked pixel", "a pixel in a body", "an upgrade of http"],
)  # fmt: skip
@pytest.mark.parametrize("cut", [None, 1, 7, 60])
def test_answers_come_in_order_one_each_however_the_bytes_are_cut(
    sent: bytes, ids: list[str], cut: int | None
) -> None:
    async def journey() -> None:
        stage = Stage()
        pieces = [sent[n : n + cut] for n in range(0, len(sent), cut)] if cut else [sent]
        for piece in pieces:
            async with asyncio.timeout(5):
                while stage.wire.is_paused:
                    stage.packer.flush()
                    stage.sent.settle_all()
                    await asyncio.sleep(0.001)
            stage.connection.data_received(piece)
        answers = await stage.answers(len(ids))
        assert statuses(answers) == [b"200"] * len(ids)
        assert [row[0] for row in stage.rows] == ids
        assert not stage.wire.is_closing()

    run(journey)


def test_a_pixel_in_two_reads_is_one_wherever_it_is_cut() -> None:
    request = PIXEL % b"a"

    async def journey() -> None:
        for cut in range(1, len(request)):
            stage = Stage()
            stage.connection.data_received(request[:cut])
            stage.connection.data_received(request[cut:])
            assert statuses(await stage.answers(1)) == [b"200"]
            assert [row[0] for row in stage.rows] == ["a"]
            assert not stage.wire.is_closing()

    run(journey)


def test_a_pixel_waits_for_the_one_before_it_and_nobody_is_read_meanwhile() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(PIXEL % b"a")
        stage.connection.data_received(PIXEL % b"b")
        assert stage.wire.is_paused
        assert [row[0] for row in stage.rows] == ["a"]
        assert stage.wire.written == b""  # nothing is kept yet
        assert statuses(await stage.answers(2)) == [b"200", b"200"]
        assert [row[0] for row in stage.rows] == ["a", "b"]
        assert not stage.wire.is_paused

    run(journey)


def test_who_leaves_before_the_answer_harms_nobody_in_the_same_pack() -> None:
    async def journey() -> None:
        stage = Stage()
        leaving, one = stage.connect()
        one.data_received(PIXEL % b"gone")
        stage.connection.data_received(PIXEL % b"here")
        leaving.close()
        one.connection_lost(None)
        assert statuses(await stage.answers(1)) == [b"200"]
        assert not leaving.is_late

    run(journey)


def test_a_pack_that_nobody_kept_is_503_with_the_gif_and_when_to_come_again() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(PIXEL % b"a")
        stage.packer.flush()
        stage.sent.settle_all(kept=False)
        (answer,) = split_answers(stage.wire.written)
        assert statuses([answer]) == [b"503"]
        assert b"\r\nretry-after: 5\r\n" in answer
        assert len(answer.partition(b"\r\n\r\n")[2]) == 43

    run(journey)


def test_a_stop_waits_for_the_answer_under_way_and_ends_idle_connections_at_once() -> None:
    async def journey() -> None:
        stage = Stage()
        idle, other = stage.connect()
        stage.connection.data_received(PIXEL % b"a")
        stage.connection.shutdown()
        other.shutdown()
        assert idle.is_closing()
        assert not stage.wire.is_closing()
        assert statuses(await stage.answers(1)) == [b"200"]
        assert stage.wire.is_closing()

    run(journey)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET /p.gif?k=demo&p.x=", *[b"y" * 10_000] * 14],
        [b"GET /p.gif?k=demo HTTP/1.1\r\n" + b"a: b\r\n" * (HEADERS_MAX + 2)],
        [b"GET /p.gif?k=demo HTTP/1.1\r\na: ", *[b"y" * 10_000] * 14],
        [b"GET /p.gif?k=demo HTTP/1.1\r\na: " + b"y" * (HEAD_BYTES_MAX + 1) + b"\r\n\r\n"],
    ],
    ids=["a line", "many headers", "a header that never ends", "a header in one piece"],
)
def test_a_head_without_end_is_431_and_the_end_of_the_connection(pieces: list[bytes]) -> None:
    async def journey() -> None:
        stage = Stage()
        for piece in pieces:
            stage.connection.data_received(piece)
        (answer,) = split_answers(stage.wire.written)
        assert statuses([answer]) == [b"431"]
        assert b'"code":"head_too_large"' in answer
        assert stage.wire.is_closing()

    run(journey)


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"],
    ids=["a TLS hello", "a word", "another version"],
)
def test_what_is_no_http_is_told_so_and_ended(garbage: bytes) -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(garbage)
        (answer,) = split_answers(stage.wire.written)
        assert statuses([answer]) == [b"400"]
        assert b'"code":"not_http"' in answer
        assert stage.wire.is_closing()

    run(journey)


ENDLESS = b"POST /v1/events HTTP/1.1\r\nAuthorization: Bearer demo\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (ENDLESS + b"0\r\n", b"a: b\r\n" * 2_000),
        (ENDLESS + b"0\r\na: ", b"y" * 10_000),
        (ENDLESS + b"3;x=", b"y" * 10_000),
    ],
    ids=["trailers", "one trailer", "a chunk's extension"],
)
def test_a_body_that_never_ends_without_being_one_ends_the_connection(start: bytes, more: bytes) -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(start)
        for _ in range(20):
            await asyncio.sleep(0)
            if not stage.wire.is_closing():
                stage.connection.data_received(more)
        async with asyncio.timeout(5):
            while not stage.wire.is_closing():
                await asyncio.sleep(0.001)
        assert statuses(split_answers(stage.wire.written)) in ([b"431"], [b"400"], [])
        assert stage.rows == []

    run(journey)


def swept(what: Callable[[Stage], None], settles: bool = True) -> bool:
    """Whether a connection is ended 31 s later by the sweep."""
    ended = []

    async def journey() -> None:
        stage = Stage()
        what(stage)
        if settles:
            for _ in range(20):
                stage.packer.flush()
                stage.sent.settle_all()
                await asyncio.sleep(0.001)
        now = asyncio.get_running_loop().time()
        stage.shared.sweep(now + 29)
        assert not stage.wire.is_closing(), stage.wire.written
        stage.shared.sweep(now + 31)
        ended.append(stage.wire.is_closing())

    run(journey)
    return ended[0]


def test_connections_that_ask_nothing_for_long_are_ended_and_those_that_wait_for_us_are_not() -> None:
    def says(*pieces: bytes) -> Callable[[Stage], None]:
        def read_payload(stage: Stage) -> None:
            for piece in pieces:
                stage.connection.data_received(piece)

        return read_payload

    assert swept(says(b""))
    assert swept(says(b"GET /p.gif?k=demo HTTP/1.1\r\n", b"a: b\r\n"))
    assert swept(says(PIXEL % b"a"))
    assert swept(says(POST % (25, b'{"event": "x", "id": "b"}')))
    assert swept(says(b"PUT /v1/events HTTP/1.1\r\nContent-Length: 100\r\n\r\nx"))  # answered before its body
    assert not swept(says(PIXEL % b"a"), settles=False)


def test_requests_on_surplus_connections_are_503_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections_module, "CONNECTIONS_MAX", 1)

    async def journey() -> None:
        stage = Stage()
        surplus, one = stage.connect()
        one.data_received(PIXEL % b"b")
        async with asyncio.timeout(5):
            while not surplus.is_closing():
                await asyncio.sleep(0.001)
        assert statuses(split_answers(surplus.written)) == [b"503"]
        stage.connection.data_received(PIXEL % b"a")
        assert statuses(await stage.answers(1)) == [b"200"]
        assert [row[0] for row in stage.rows] == ["a"]

    run(journey)


def talk(port: int, sent: bytes, count: int) -> list[bytes]:
    """So many answers to what is sent."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as one:
        one.sendall(sent)
        received = b""
        while len(split_answers(received)) < count:
            data = one.recv(65_536)
            assert data, "the connection ended early"
            received += data
        return split_answers(received)


def test_a_real_edge_answers_pixels_and_posts_on_one_connection_with_the_date(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    first = talk(edge.port, PIXEL % b"real-1", 1)
    answers = talk(
        edge.port, (PIXEL % b"real-2") + POST % (30, b'{"event": "x", "id": "real-3"}') + PIXEL % b"real-4", 3
    )
    assert statuses(first + answers) == [b"200"] * 4
    assert all(b"\r\ndate: " in answer for answer in first + answers)
    assert {"real-1", "real-2", "real-3", "real-4"} <= {event.event_id for event in edge.events(start)}


def test_a_stop_answers_hits_under_way_or_ends_their_connections(kafka: str, tmp_path: Path) -> None:
    edge = Edge(tmp_path, kafka)
    with edge:
        start = ends(kafka)
        open_ones = [socket.create_connection(("127.0.0.1", edge.port), timeout=10) for _ in range(50)]
        for number, one in enumerate(open_ones[:40]):  # ten stay idle
            one.sendall(PIXEL % b"stop-%d" % number)
        begun = time.monotonic()
        edge.stop()
        assert time.monotonic() - begun < 15
        answered = set()
        for number, one in enumerate(open_ones):
            with suppress(ConnectionError), one:
                if one.recv(1_000).startswith(b"HTTP/1.1 200 "):
                    answered.add(f"stop-{number}")
        kept = {event.event_id for event in edge.events(start)} | {event.event_id for event in edge.spooled()}
    assert answered <= kept
