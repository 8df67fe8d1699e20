"""Clients that send or read too slowly are cut off, and their neighbours notice nothing."""

from __future__ import annotations

import json
import socket
import time
from statistics import median

import pytest

from tests.ingest.edges import Edge, StartEdge
from tests.processes import await_that

POST = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer demo\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def edge(start_edge: StartEdge) -> Edge:
    limits = {
        "FAIRPIXEL_INGEST_HEADER_SECONDS_MAX": "1",
        "FAIRPIXEL_INGEST_BODY_SECONDS_MAX": "1",
        "FAIRPIXEL_INGEST_ANSWER_SECONDS_MAX": "1",
    }
    return start_edge(limits)


def connect(edge: Edge, first: bytes) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", edge.port))
    one.setblocking(False)
    one.sendall(first)
    return one


def drip(one: socket.socket, data: bytes) -> bytes | None:
    """What came back so far; None while the connection is open and silent: then a little more is sent."""
    try:
        return one.recv(65_536)
    except BlockingIOError:
        pass
    except OSError:
        return b""
    try:
        one.sendall(data)
    except OSError:
        return b""
    return None


@pytest.mark.parametrize(
    ("first", "more", "answer"),
    [
        (b"", b"", b""),
        (b"GET /p.gif?k=demo HTTP/1.1\r\n", b"X-A: b\r\n", b""),
        (POST % 100_000, b"", b"HTTP/1.1 408 "),
        (
            POST % 100_000,
            b" ",
            b"",
        ),  # one that still sends may see the end of the connection before the answer
        (b"POST /b?k=demo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b" ", b""),
    ],
    ids=["says nothing", "drips headers", "sends no body", "drips its body", "drips it at another endpoint"],
)
def test_many_slow_clients_are_cut_off_while_neighbours_are_answered(
    edge: Edge, first: bytes, more: bytes, answer: bytes
) -> None:
    slow = [connect(edge, first) for _ in range(200)]
    ended: dict[socket.socket, bytes] = {}
    deadline, waits = time.monotonic() + 15, []
    while len(ended) < len(slow):
        assert time.monotonic() < deadline, f"{len(slow) - len(ended)} are not cut off"
        for one in slow:
            if one not in ended and (came := drip(one, more)) is not None:
                ended[one] = came
        begun = time.monotonic()
        assert edge.get("/p.gif?k=demo")[0] == 200
        waits.append(time.monotonic() - begun)
    for one in slow:
        one.close()
    assert median(waits) < 0.5
    assert all(came.startswith(answer) for came in ended.values())


def is_cut_off_when_it_reads_nothing(edge: Edge) -> bool:
    """Whether the edge ends a connection that keeps asking; each answer has 1 MB, and they fill every buffer."""
    body = json.dumps({"events": [{"event": "x", "id": f"{n:0190d}"} for n in range(5_000)]}).encode()
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        one.connect(("127.0.0.1", edge.port))
        one.settimeout(6)
        try:
            for _ in range(100):
                one.sendall(POST % len(body) + body)
        except TimeoutError:
            return False
        except ConnectionError:
            return True
    return False


def test_who_reads_no_answer_is_cut_off(edge: Edge) -> None:
    # Again, as a connection of the first moments after the start may be older than the limit.
    await_that(lambda: is_cut_off_when_it_reads_nothing(edge), 10, "the connection is ended")
    assert edge.get("/p.gif?k=demo")[0] == 200


@pytest.mark.parametrize(
    ("request_head", "statuses"),
    [
        # 414 where all of the line had come when it was first looked at
        (b"GET /p.gif?k=demo&p.x=" + b"y" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {b"431", b"414"}),
        (b"GET /p.gif?k=demo HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 200 + b"\r\n", {b"431"}),
    ],
    ids=["a long line", "many headers"],
)
def test_headers_without_end_are_refused(edge: Edge, request_head: bytes, statuses: set[bytes]) -> None:
    one = socket.create_connection(("127.0.0.1", edge.port))
    one.settimeout(10)
    try:
        one.sendall(request_head)
        answer = one.recv(65_536)
    except ConnectionError:  # the answer was sent, and the end of the connection overtook it
        answer = b"HTTP/1.1 431 "
    assert answer.startswith(b"HTTP/1.1 ")
    assert answer[9:12] in statuses
    one.close()
