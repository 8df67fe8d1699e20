"""Odd, wrong, unfinished and silent connections at a real edge, in clear text and by TLS."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from tests.ingest.edges import Edge, StartEdge, ends
from tests.ingest.serving.odd_requests import (
    CHUNKED,
    ENDS,
    EVENT,
    GOES_ON,
    HIDDEN,
    IN_CHUNKS,
    LENGTH,
    get,
    post,
)
from tests.ingest.serving.secure_edge import SecureEdge, make_certificate
from tests.ingest.stage import PIXEL, split_answers, statuses
from tests.processes import await_that, free_port


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
