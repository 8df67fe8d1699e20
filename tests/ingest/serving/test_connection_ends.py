"""Requests that are odd, wrong or unfinished: answers stay in order, no body becomes a request, nothing stays open."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from ingest.serving import connection as connection_module
from ingest.serving import connections as connections_module
from ingest.serving.connection import PIPELINED_MAX
from tests.ingest.builders import Sent, packer, row, run
from tests.ingest.edges import Edge, StartEdge, ends
from tests.ingest.serving.secure_edge import SecureEdge, make_certificate
from tests.ingest.stage import PIXEL, Stage, Wire, split_answers, statuses
from tests.processes import await_that, free_port

HIDDEN = PIXEL % b"hidden"  # never a request of its own below
EVENT = b'{"event": "x", "id": "a"}'
KEY = b"Authorization: Bearer demo\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(EVENT)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
IN_CHUNKS = b"19\r\n" + EVENT + b"\r\n0\r\n\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


def get(*lines: bytes, version: bytes = b"1.1", address: bytes = b"/p.gif?k=demo&id=a") -> bytes:
    return b"GET %s HTTP/%s\r\n" % (address, version) + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(head: bytes, body: bytes) -> bytes:
    return b"POST /v1/events HTTP/1.1\r\n" + KEY + head + b"\r\n" + body


GOES_ON = {
    "an absolute address": (get(address=b"http://x/p.gif?k=demo&id=a"), ["200"]),
    "a fragment": (get(address=b"/p.gif?k=demo&id=a#b"), ["200"]),
    "an empty line before it": (b"\r\n" + get(), ["200"]),
    "no body by name": (get(b"Content-Length: 0"), ["200"]),
    "a body": (get(b"Content-Length: %d" % len(HIDDEN)) + HIDDEN, ["200"]),
    "a chunked body": (get(CHUNKED[:-2]) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN), ["200"]),
    "Expect without a body": (get(b"Expect: 100-continue"), ["200"]),
    "a WebSocket": (get(b"Connection: Upgrade", b"Upgrade: websocket"), ["200"]),
    "an upgrade with a body": (post(UPGRADE + LENGTH, EVENT), ["200"]),
    "an upgrade with a chunked body": (post(UPGRADE + CHUNKED, IN_CHUNKS), ["200"]),
    "an upgrade with an empty body": (get(UPGRADE[:-2], b"Content-Length: 0"), ["200"]),
    "an upgrade with a pixel for a body": (
        post(UPGRADE + b"Content-Length: %d\r\n" % len(HIDDEN), HIDDEN),
        ["400"],
    ),
    "a body that the endpoint does not read": (
        b"PUT /v1/events HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(HIDDEN), HIDDEN),
        ["405"],
    ),
    "another method of the pixel": (b"POST /p.gif?k=demo HTTP/1.1\r\nContent-Length: 0\r\n\r\n", ["405"]),
    "a query over its bound": (get(address=b"/p.gif?k=demo&p.x=" + b"y" * 17_000), ["413"]),
}
ENDS = {
    "close": (get(b"Connection: close"), ["200"]),
    "close, and more behind it": (get(b"Connection: close") + HIDDEN, ["200"]),
    "HTTP/1.0": (get(version=b"1.0"), ["200"]),
    "HTTP/1.0 with more behind it": (get(b"Connection: keep-alive", version=b"1.0") + HIDDEN, ["200"]),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN, ["400"]),
    "HTTP/0.9": (b"GET /p.gif?k=demo\r\n" + HIDDEN, ["400"]),
    "bare line ends": (get().replace(b"\r\n", b"\n") + HIDDEN, ["400"]),
    "a folded header": (get(b"A: b", b" c") + HIDDEN, ["400"]),
    "a space before the colon": (get(b"Content-Length : 5") + HIDDEN, ["400"]),
    "a NUL": (get(b"A: b\0c") + HIDDEN, ["400"]),
    "a bare CR": (get(b"A: b\rc") + HIDDEN, ["400"]),
    "CONNECT": (b"CONNECT x:80 HTTP/1.1\r\n\r\n" + HIDDEN, ["400"]),
    "two lengths": (post(LENGTH + b"Content-Length: 3\r\n", HIDDEN), ["400"]),
    "a length with a sign": (post(b"Content-Length: +25\r\n", HIDDEN), ["400"]),
    "a negative length": (post(b"Content-Length: -1\r\n", HIDDEN), ["400"]),
    "a length without end": (post(b"Content-Length: 99999999999999999999\r\n", HIDDEN), ["400"]),
    "a length and chunks": (post(LENGTH + CHUNKED, b"0\r\n\r\n" + HIDDEN), ["400"]),
    "chunks and a length": (post(CHUNKED + LENGTH, b"0\r\n\r\n" + HIDDEN), ["400"]),
    "another coding behind the chunks": (post(b"Transfer-Encoding: chunked, x\r\n", HIDDEN), ["400"]),
    "an unknown coding": (post(b"Transfer-Encoding: xchunked\r\n", HIDDEN), ["400"]),
    "the same behind an upgrade": (post(UPGRADE + b"Transfer-Encoding: xchunked\r\n", HIDDEN), ["400"]),
    "a chunk that is none": (post(CHUNKED, b"xyz\r\n" + HIDDEN), ["400"]),
    "garbage behind a POST": (post(LENGTH, EVENT) + b"\x16\x03\x01" + HIDDEN, ["200", "400"]),
    "garbage behind a pixel": (PIXEL % b"a" + b"\x16\x03\x01" + HIDDEN, ["200", "400"]),
    "a broken chunk behind a POST": (post(LENGTH, EVENT) + post(CHUNKED, b"xyz\r\n") + HIDDEN, ["200", "400"]),
    "an address over its bound": (get(address=b"/p.gif?k=demo&p.x=" + b"y" * 70_000) + HIDDEN, ["431"]),
}  # fmt: skip


def found_on_stage(sent: bytes, cut: int | None, count: int) -> tuple[list[str], list[str], bool]:
    """The statuses, the ids of what was taken, and whether the connection is at its end."""
    found: list[tuple[list[str], list[str], bool]] = []

    async def journey() -> None:
        stage = Stage()
        pieces = [sent[n : n + cut] for n in range(0, len(sent), cut)] if cut else [sent]
        for piece in pieces:
            if stage.wire.is_closing():
                break
            stage.connection.data_received(piece)
            async with asyncio.timeout(5):
                while stage.wire.is_paused and not stage.wire.is_closing():
                    stage.packer.flush()
                    stage.sent.settle_all()
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await stage.answers(count)
        await asyncio.sleep(0.002)
        codes = [code.decode() for code in statuses(split_answers(stage.wire.written))]
        found.append((codes, [row[0] for row in stage.rows], stage.wire.is_closing()))
        assert not stage.wire.is_late

    run(journey)
    return found[0]


@pytest.mark.parametrize("cut", [None, 1, 50])
@pytest.mark.parametrize("case", GOES_ON)
def test_an_odd_request_is_answered_once_and_the_next_one_too(case: str, cut: int | None) -> None:
    sent, expected = GOES_ON[case]
    codes, ids, ended = found_on_stage(sent + PIXEL % b"next", cut, len(expected) + 1)
    assert (codes, ended) == ([*expected, "200"], False)
    assert ids == (["a"] if expected == ["200"] else []) + ["next"]


@pytest.mark.parametrize("cut", [None, 1, 50])
@pytest.mark.parametrize("case", ENDS)
def test_what_ends_a_connection_is_its_last_answer_and_nothing_behind_it_is_a_request(
    case: str, cut: int | None
) -> None:
    sent, expected = ENDS[case]
    codes, ids, ended = found_on_stage(sent, cut, len(expected))
    assert (codes, ended) == (expected, True)
    assert ids == (["a"] if "200" in expected else [])


def test_a_body_that_goes_wrong_after_its_answer_gets_no_second_one() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(b"PUT /v1/events HTTP/1.1\r\n" + CHUNKED + b"\r\n1\r\na\r\n")
        assert statuses(await stage.answers(1)) == [b"405"]
        stage.connection.data_received(b"xyz\r\n")
        assert len(split_answers(stage.wire.written)) == 1
        assert stage.wire.is_closing()

    run(journey)


def test_the_rest_of_a_body_whose_answer_is_out_is_no_pixel() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(
            GOES_ON["a body that the endpoint does not read"][0].removesuffix(HIDDEN)
        )
        await stage.answers(1)
        stage.connection.data_received(HIDDEN)
        stage.connection.data_received(PIXEL % b"next")
        assert statuses(await stage.answers(2)) == [b"405", b"200"]
        assert [row[0] for row in stage.rows] == ["next"]

    run(journey)


def test_a_pixel_behind_a_post_of_the_parser_does_not_overtake_it() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(post(CHUNKED, IN_CHUNKS))
        stage.connection.data_received(PIXEL % b"next")
        for answer, kind in zip(await stage.answers(2), (b"application/json", b"image/gif"), strict=True):
            assert b"content-type: " + kind in answer

    run(journey)


def test_an_address_that_is_not_quoted_says_the_same_as_one_that_is() -> None:
    async def journey() -> None:
        users = []
        for user in ("é€%41", "%C3%A9%E2%82%AC%41"):
            stage = Stage()
            stage.connection.data_received(get(address=f"/p.gif?k=demo&u={user}".encode()))
            await stage.answers(1)
            users += [row[17] for row in stage.rows]
        assert users == ["é€A", "é€A"]

    run(journey)


def test_a_trailer_is_no_header() -> None:
    trailed = b"POST /v1/events HTTP/1.1\r\n" + CHUNKED + b"\r\n19\r\n" + EVENT + b"\r\n0\r\n" + KEY + b"\r\n"
    codes, ids, _ = found_on_stage(trailed + trailed + PIXEL % b"next", None, 3)
    assert (codes, ids) == (["401", "401", "200"], ["next"])


def test_spaces_around_a_header_are_not_part_of_it_on_either_way() -> None:
    async def journey() -> None:
        for cut in (None, 1):
            stage = Stage()
            request = get(b"DNT: \t1 \t", b"User-Agent:  x  ")
            stage.connection.data_received(request[:cut])
            if cut:
                stage.connection.data_received(request[cut:])
            await stage.answers(1)
            (one,) = stage.rows
            assert (one[11], one[20]) == ("x", 2)

    run(journey)


def test_a_pipeline_over_its_bound_is_answered_so_far_and_the_last_answer_says_close() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(b"".join(PIXEL % b"%d" % n for n in range(3 * PIPELINED_MAX)))
        answers = await stage.answers(PIPELINED_MAX + 1)
        assert statuses(answers) == [b"200"] * (PIPELINED_MAX + 1)
        assert [row[0] for row in stage.rows] == [str(n) for n in range(PIPELINED_MAX + 1)]
        assert [b"connection: close" in answer for answer in answers] == [False] * PIPELINED_MAX + [True]
        assert stage.wire.is_closing()

    run(journey)


@pytest.mark.parametrize(
    "last", [get(b"Connection: close"), b"nothing\r\n\r\n"], ids=["the client's wish", "an error"]
)
def test_what_tls_lets_through_after_the_end_is_for_nobody(last: bytes) -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(last)
        await stage.answers(1)
        taken = len(stage.rows)
        for late in (PIXEL % b"late", post(LENGTH, EVENT), b"\x16\x03"):
            stage.connection.data_received(late)
        await asyncio.sleep(0.002)
        assert (len(stage.rows), stage.connection._early) == (taken, b"")
        assert not stage.wire.is_late

    run(journey)


def test_an_idle_connection_remembers_nothing_of_its_last_request() -> None:
    async def journey() -> None:
        for request in (
            b"PUT /v1/events HTTP/1.1\r\nA: %s\r\nContent-Length: 200000\r\n\r\n%s" % (b"a" * 60_000, b"b" * 100_000),
            get(b"A: " + b"a" * 60_000),
        ):  # fmt: skip
            stage = Stage()
            stage.connection.data_received(request)
            await stage.answers(1)
            one = stage.connection
            left = [getattr(one, name) for name in ("cycle", "scope", "headers", "url", "_early")]
            assert left == [None, None, None, b"", b""]

    run(journey)


def test_who_is_gone_before_anything_began_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wire, "get_extra_info", lambda *_: None)

    async def journey() -> None:
        assert Stage().wire.is_closing()

    run(journey)


def test_silent_surplus_connections_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "CONNECTIONS_MAX", 1)
    monkeypatch.setattr(connection_module, "SURPLUS_MAX", 2)

    async def journey() -> None:
        stage = Stage()
        assert [stage.connect()[0].is_closing() for _ in range(3)] == [False, False, True]
        assert not stage.wire.is_closing()

    run(journey)


def test_who_comes_while_the_edge_stops_is_sent_away() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.shutdown()
        assert stage.connect()[0].is_closing()

    run(journey)


def test_who_reads_an_answer_slowly_is_not_idle_and_who_takes_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unsent = [3_000]
    monkeypatch.setattr(Wire, "get_write_buffer_size", lambda _: unsent[0])

    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(PIXEL % b"a")
        await stage.answers(1)
        now = asyncio.get_running_loop().time()
        for passed, left in ((31, 3_000), (62, 2_000), (93, 1_000)):
            unsent[0] = left
            stage.shared.sweep(now + passed)
            assert not stage.wire.is_closing()
        stage.shared.sweep(now + 124)
        assert stage.wire.is_closing()

    run(journey)


def test_trouble_at_one_answer_is_not_that_of_its_neighbours_in_the_pack() -> None:
    def fails(_: bool) -> None:
        raise RuntimeError("of one connection")

    async def journey() -> None:
        sent = Sent()
        heard: list[bool] = []
        one = packer(sent)
        one.put(row("a"), fails)
        one.put(row("b"), heard.append)
        done = one.add(row("c"))
        one.flush()
        sent.settle_all()
        assert heard == [True]
        assert await done is True
        assert one.waiting_events == 0

    run(journey)


# --- a real edge


@pytest.fixture(scope="module")
def edge(start_edge: StartEdge) -> Edge:
    limits = {"FAIRPIXEL_INGEST_HEADER_SECONDS_MAX": "1", "FAIRPIXEL_INGEST_BODY_SECONDS_MAX": "1"}
    return start_edge(limits)


def hear(one: socket.socket, count: int | None = None) -> bytes:
    """What comes until there are so many answers, or until the end of the connection."""
    received = b""
    with suppress(ConnectionError):
        while count is None or len(split_answers(received)) < count:
            data = one.recv(65_536)
            if not data:
                break
            received += data
    return received


def connect(edge: Edge, sent: bytes = b"") -> socket.socket:
    one = socket.create_connection(("127.0.0.1", edge.port), timeout=10)
    one.sendall(sent)
    return one


def test_a_real_edge_says_the_same_to_all_of_this_and_takes_no_body_for_a_request(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    for case, (sent, expected) in GOES_ON.items():
        with closing(connect(edge, sent + PIXEL % b"next")) as one:
            codes = [code.decode() for code in statuses(split_answers(hear(one, len(expected) + 1)))]
            assert codes == [*expected, "200"], case
    for case, (sent, expected) in ENDS.items():
        with closing(connect(edge, sent)) as one:
            codes = [code.decode() for code in statuses(split_answers(hear(one)))]
            # Where its client is still sending, the end of a connection may overtake the last answer.
            assert codes in (expected, expected[:-1], expected[1:]), case
    assert {event.event_id for event in edge.events(start)} == {"a", "next"}


def test_heads_and_expect_by_http(edge: Edge) -> None:
    with closing(connect(edge, b"HEAD /p.gif?k=demo HTTP/1.1\r\n\r\n")) as one:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += one.recv(1)
        assert b"content-length: 43\r\n" in head
        one.sendall(post(LENGTH + b"Expect: 100-continue\r\n", b""))  # no body was in between
        assert one.recv(1_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.sendall(EVENT)
        assert statuses(split_answers(hear(one, 1))) == [b"200"]


def test_silent_connections_are_closed_in_time_and_one_that_goes_on_is_not(edge: Edge) -> None:
    silent = {
        "says nothing": connect(edge),
        "after a pixel": connect(edge, PIXEL % b"a"),
        "after a POST": connect(edge, post(LENGTH, EVENT)),
        "after a POST by the parser": connect(edge, post(CHUNKED, IN_CHUNKS)),
        "after half a head": connect(edge, PIXEL % b"a" + b"GET /p.gif?k=demo HTTP/1.1\r\nA: "),
        "after an early answer": connect(edge, b"PUT /v1/events HTTP/1.1\r\nContent-Length: 100\r\n\r\nx"),
    }
    begun = time.monotonic()
    ended: set[str] = set()
    with closing(connect(edge)) as busy:
        while len(ended) < len(silent):
            assert time.monotonic() - begun < 5, silent.keys() - ended
            busy.sendall(PIXEL % b"busy")
            assert hear(busy, 1).startswith(b"HTTP/1.1 200 ")
            ended = {name for name, one in silent.items() if is_at_its_end(one)}
        assert time.monotonic() - begun >= 0.9
    for one in silent.values():
        one.close()


def is_at_its_end(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        while one.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /p.gif?k=demo&p.x=", b"y" * 60_000),
        (get()[:-2] + b"A: ", b"y" * 60_000),
        (post(CHUNKED, b"0\r\nA: "), b"y" * 60_000),
        (post(CHUNKED, b"1;x="), b"y" * 60_000),
        (b"", b"\r\n" * 30_000),
    ],
    ids=["a line", "a header", "a trailer", "a chunk's extension", "empty lines"],
)
def test_what_never_ends_is_ended_and_takes_no_memory(edge: Edge, start: bytes, more: bytes) -> None:
    (worker,) = edge.workers()
    before = psutil.Process(worker).memory_info().rss
    for _ in range(20):
        with closing(connect(edge, start)) as one:
            sent = 0
            with suppress(ConnectionError):
                while sent < 20_000_000:
                    one.sendall(more)
                    sent += len(more)
            assert sent < 20_000_000
    assert psutil.Process(worker).memory_info().rss - before < 30_000_000
    assert edge.get("/p.gif?k=demo")[0] == 200


def test_a_real_edge_says_why_to_a_head_that_drips(edge: Edge) -> None:
    with closing(connect(edge, get()[:-2])) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(102):
            one.sendall(b"X-%d: y\r\n" % n)
        answer = hear(one)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"head_too_large"' in answer


def test_tls_has_the_same_ends(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    env = {
        "FAIRPIXEL_TLS_CERT": str(cert),
        "FAIRPIXEL_TLS_KEY": str(key),
        "FAIRPIXEL_INGEST_HEADER_SECONDS_MAX": "1",
        "FAIRPIXEL_INGEST_KAFKA_WAIT_MS_MAX": "100",
    }
    trusting = ssl.create_default_context(cafile=str(cert))
    edge = SecureEdge(tmp_path, f"127.0.0.1:{free_port()}", env=env)

    def secure(sent: bytes) -> ssl.SSLSocket:
        one = trusting.wrap_socket(connect(edge), server_hostname="localhost")
        one.sendall(sent)
        return one

    cases: dict[bytes, tuple[list[bytes], Callable[[float], bool]]] = {
        b"": ([], lambda passed: passed > 0.9),
        PIXEL % b"a" + PIXEL % b"b": ([b"200", b"200"], lambda passed: passed > 0.9),
        get(b"Connection: close") + HIDDEN: ([b"200"], lambda passed: passed < 5),
        b"nothing\r\n\r\n": ([b"400"], lambda passed: passed < 5),
    }
    with edge:
        for sent, (expected, in_time) in cases.items():
            begun = time.monotonic()
            with closing(secure(sent)) as talking:
                assert statuses(split_answers(hear(talking))) == expected, sent
            assert in_time(time.monotonic() - begun)
        with closing(connect(edge, PIXEL % b"plain")) as one:
            assert b"HTTP" not in hear(one)
        idle = secure(PIXEL % b"idle")
        assert split_answers(hear(idle, 1))
        begun = time.monotonic()
        edge.stop()  # while one is idle and its client does not listen
        assert time.monotonic() - begun < 20
        idle.close()


def test_both_of_two_workers_answer_and_stop(kafka: str, tmp_path: Path) -> None:
    with Edge(tmp_path, kafka, env={"FAIRPIXEL_INGEST_WORKERS": "2"}) as edge:
        workers = [psutil.Process(pid) for pid in edge.workers()]
        held: list[socket.socket] = []

        def all_hold() -> bool:
            held.append(connect(edge, PIXEL % b"%d" % len(held)))
            assert hear(held[-1], 1).startswith(b"HTTP/1.1 200 ")
            return len(held) >= 40 and all(len(worker.net_connections()) > 3 for worker in workers)

        await_that(all_hold, 20, "both workers have connections")
        begun = time.monotonic()
        edge.stop()
        assert time.monotonic() - begun < 15
        assert all(is_at_its_end(one) for one in held)
        for one in held:
            one.close()
