"""Port 8123 under attack: slots, connections, heads and bodies, at a server with small limits."""

from __future__ import annotations

import base64
import http.client
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from deploy.embedded.clickhouse.connections import Connections
from tests.attacks.small_engine import LIMITS
from tests.embedded.clickhouse.conftest import PASSWORD, Server
from tests.processes import await_that


class SmallServer(Server):
    """The server with small limits."""

    module = "tests.attacks.small_engine"

    def metric(self, name: str) -> float:
        lines = self.get("/metrics").text.splitlines()
        return float(
            next(line.split()[-1] for line in lines if line.startswith(f"fairpixel_clickhouse_{name} "))
        )

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, raw: bytes) -> bytes:
        """All that comes back for these bytes until the server closes."""
        with self.connect() as connection:
            connection.sendall(raw)
            return receive(connection)


def receive(connection: socket.socket) -> bytes:
    parts = []
    while piece := connection.recv(1 << 16):
        parts.append(piece)
    return b"".join(parts)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallServer]:
    server = SmallServer(tmp_path_factory.mktemp("small"))
    server.start()
    yield server
    server.end(signal.SIGTERM)


@pytest.fixture
def own_small(tmp_path: Path) -> Iterator[SmallServer]:
    server = SmallServer(tmp_path)
    server.start()
    yield server
    if server.process is not None:
        server.end(signal.SIGKILL)


# Slots


@pytest.mark.parametrize(
    "query",
    [
        "SELECT sleepEachRow(0.1) FROM numbers(20)",
        "SELECT sleep(2)",
        "SELECT count() FROM numbers(1000000000000) WHERE cityHash64(number) = 1",
    ],
)
def test_a_crowd_of_readers_leaves_the_writer_its_slots(small: SmallServer, query: str) -> None:
    answers = []
    crowd = [
        threading.Thread(target=lambda: answers.append(small.ask(query, writer=False)))
        for _ in range(LIMITS.reader_count_max + 5)
    ]
    for one in crowd:
        one.start()
    await_that(
        lambda: small.metric("queries_running") >= LIMITS.reader_count_max, 20, "readers have all they may"
    )
    assert small.ask("SELECT 1").text == "1\n"
    for one in crowd:
        one.join()
    refused = [answer for answer in answers if answer.headers.get("X-ClickHouse-Exception-Code") == "202"]
    assert refused
    assert "simultaneous queries of readers. Maximum: 3" in refused[0].text
    await_that(lambda: small.metric("queries_running") == 0, 20, "all slots are free")


def test_a_statement_the_engine_keeps_is_over_for_its_client_and_restarts_the_process(
    own_small: SmallServer,
) -> None:
    own_small.ask("CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n")
    own_small.ask("INSERT INTO kept VALUES (1)")
    answer = own_small.ask("SELECT 1 AS wedged", writer=False)
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (408, "159")
    assert own_small.metric("queries_lost") == 1
    process = own_small.process
    assert process is not None
    assert process.wait(20) == 75
    assert process.stderr is not None
    assert b"the engine keeps queries it was told to end" in process.stderr.read()
    own_small.start()
    assert own_small.metric("restarts") == 1
    assert own_small.ask("SELECT count() FROM kept").text == "1\n"


def test_a_client_that_does_not_read_its_answer_gives_the_slot_back(small: SmallServer) -> None:
    with small.connect() as connection:
        query = quote("SELECT number FROM numbers(1000000000)")
        connection.sendall(f"GET /?query={query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await_that(lambda: small.metric("queries_running") == 1, 10, "it runs")
        await_that(lambda: small.metric("queries_running") == 0, 20, "its slot is free")


@pytest.mark.parametrize(
    "login", ["", f"Authorization: Basic {base64.b64encode(b'fairpixel:correct horse').decode()}\r\n"]
)
@pytest.mark.parametrize("start", ["SELECT", "INSERT INTO t FORMAT TSV\n1"])
def test_a_body_that_never_comes_whole_holds_no_slot_and_is_answered(
    small: SmallServer, login: str, start: str
) -> None:
    with small.connect() as connection:
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\n{login}Content-Length: 100000\r\n\r\n{start}"
        connection.sendall(head.encode())
        for _ in range(3):
            assert small.metric("queries_running") == 0
            time.sleep(0.05)
            connection.sendall(b" ")
        assert receive(connection).startswith(b"HTTP/1.1 408 ")


def test_readers_bodies_together_are_bounded() -> None:
    from deploy.embedded.clickhouse.errors import ClickHouseError
    from deploy.embedded.clickhouse.slots import Budget

    budget = Budget(10)
    budget.take(8)
    with pytest.raises(ClickHouseError, match="together longer than 10 bytes"):
        budget.take(3)
    budget.give_back(8)
    budget.take(10)


def ask_slowly(small: SmallServer, opened: ExitStack, byte_count: int) -> bytes:
    """Ask for an answer that is held back whole, and take no more than its status."""
    one = opened.enter_context(small.connect())
    query = quote(f"SELECT repeat(repeat('a', 1000), {byte_count // 1000})")
    one.sendall(f"GET /?wait_end_of_query=1&query={query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return one.recv(13)


def test_answers_that_nobody_takes_keep_no_memory_and_no_connection(own_small: SmallServer) -> None:
    with ExitStack() as opened:
        statuses = [ask_slowly(own_small, opened, 60_000_000) for _ in range(4)]
        assert statuses == [b"HTTP/1.1 200 "] * 2 + [b"HTTP/1.1 503 "] * 2
        assert own_small.ask("SELECT 1", writer=False).text == "1\n"
    await_that(lambda: own_small.metric("connections") == 1, 10, "they have gone")
    with ExitStack() as opened:
        for _ in range(LIMITS.connection_count_max):
            assert ask_slowly(own_small, opened, 5_000_000) == b"HTTP/1.1 200 "
        assert own_small.ask("SELECT 2").text == "2\n"
        assert own_small.ask("SELECT 3", writer=False).text == "3\n"


# Connections


def test_half_requests_keep_neither_threads_nor_the_writer_out(small: SmallServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", small.port, timeout=20)
    login = {"X-ClickHouse-User": "fairpixel", "X-ClickHouse-Key": PASSWORD}
    connection.request("GET", "/?query=SELECT+1", headers=login)
    assert connection.getresponse().read() == b"1\n"
    own = connection.sock
    with ExitStack() as opened:
        for at in range(200):
            one = opened.enter_context(small.connect())
            one.sendall(b"GET / HTTP/1.1\r\n" if at % 2 else b"")
        assert small.metric("connections") <= LIMITS.connection_count_max
        assert small.ask("SELECT 2").text == "2\n"
        connection.request("GET", "/?query=SELECT+3", headers=login)
        assert connection.getresponse().read() == b"3\n"
        assert connection.sock is own  # the writer's silent connection was not the one to go
    connection.close()


def test_a_head_that_trickles_is_ended(small: SmallServer) -> None:
    with small.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        began = time.monotonic()
        connection.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - began < 15:
            try:
                connection.sendall(b"X")
                answer = connection.recv(1000)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


class _Silent:
    """A socket that remembers that it was shut down."""

    def __init__(self) -> None:
        self.is_down = False

    def shutdown(self, how: int) -> None:
        self.is_down = True


def test_the_one_silent_longest_goes_first_and_writers_and_those_at_work_stay() -> None:
    now = [0.0]
    table = Connections(4, lambda: now[0])
    sockets = [_Silent() for _ in range(6)]
    for at, one in enumerate(sockets[:4]):
        now[0] = float(at)
        assert table.admit(one)  # type: ignore[arg-type]
    table.mark(sockets[0], is_working=True)  # type: ignore[arg-type]
    table.mark(sockets[1], is_working=False, is_writer=True)  # type: ignore[arg-type]
    assert table.admit(sockets[4])  # type: ignore[arg-type]
    assert [one.is_down for one in sockets[:4]] == [False, False, True, False]
    table.mark(sockets[1], is_working=True)  # type: ignore[arg-type]
    table.mark(sockets[3], is_working=True)  # type: ignore[arg-type]
    table.mark(sockets[4], is_working=True)  # type: ignore[arg-type]
    assert not table.admit(sockets[5])  # type: ignore[arg-type]


# Heads and bodies: what could be read in two ways is refused, and every refusal has an answer

BODY = "\r\n\r\nSELECT 1"


@pytest.mark.parametrize(
    ("lines", "status", "named"),
    [
        ("Host: localhost\r\nContent-Length: 8\r\nContent-Length: 8", 400, "content-length"),
        ("Host: localhost\r\nContent-Length: 8\r\nContent-Length: 9", 400, "content-length"),
        ("Host: localhost\r\nContent-Length: 8, 8", 400, "content-length"),
        ("Host: localhost\r\nContent-Length: +8", 400, "content-length"),
        ("Host: localhost\r\nContent-Length: 0x8", 400, "content-length"),
        ("Host: localhost\r\nContent-Length: 8_0", 400, "content-length"),
        ("Host: localhost\r\nContent-Length: -8", 400, "content-length"),
        ("Host: localhost\r\nContent-Length: " + "9" * 5000, 400, "content-length"),
        ("Host: localhost\r\nContent-Length:", 400, "content-length"),
        ("Host: localhost\r\nContent-Length: 8\r\nTransfer-Encoding: chunked", 400, "exclude each other"),
        (
            "Host: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
            "transfer-encoding",
        ),
        ("Host: localhost\r\nTransfer-Encoding: gzip, chunked", 501, "transfer-encoding"),
        ("Host: localhost\r\nTransfer-Encoding: identity", 501, "transfer-encoding"),
        ("Host: localhost\r\nHost: 127.0.0.1", 400, "host"),
        ("Host: localhost\r\nhost: localhost", 400, "host"),
        ("Accept: */*", 400, "host"),
        ("Host: localhost\r\nAuthorization: Basic eA==\r\nAuthorization: Basic eQ==", 400, "authorization"),
        ("Host: localhost\r\nX-ClickHouse-User: a\r\nX-ClickHouse-User: b", 400, "x-clickhouse-user"),
        ("Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil", 400, "origin"),
        ("Host: localhost\r\nContent-Length : 8", 400, "header line"),
        ("Host: localhost\r\nX: a\r\n b", 400, "header line"),
        ("Host: localhost\r\nX: a\nContent-Length: 8", 400, "header line"),
        ("Host: localhost\nContent-Length: 8", 400, "header line"),
        ("Host: localhost\r\nX: a\0b", 400, "header line"),
        ("Host: localhost\r\nX: a\rb", 400, "header line"),
        ("Host: localhost\r\n: b", 400, "header line"),
        ("Host: localhost\r\nX", 400, "header line"),
        ("Host: localhost\r\nExpect: a-lot", 417, "expect"),
        ("Host: localhost\r\n" + "\r\n".join(f"X-{n}: 1" for n in range(200)), 431, "headers"),
        ("Host: localhost\r\nX: " + "a" * 200_000, 431, "headers"),
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused_by_name(
    small: SmallServer, lines: str, status: int, named: str
) -> None:
    answer = small.send(f"POST / HTTP/1.1\r\n{lines}{BODY}".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert named.encode() in answer
    assert answer.count(b"HTTP/1.1 ") == 1  # what followed was not taken for a request


@pytest.mark.parametrize(
    "line",
    [
        "GET / HTTP/2.0",
        "GET /",
        "GET  / HTTP/1.1",
        "GET http://localhost/ HTTP/1.1",
        "GET * HTTP/1.1",
        "get / HTTP/1.1",
        "GET /\x00 HTTP/1.1",
        "GET /\x01 HTTP/1.1",
        " GET / HTTP/1.1",
        "\r\n\r\nGET / HTTP/1.1",
        "\x16\x03\x01",
    ],
)
def test_a_line_that_is_no_request_is_answered(small: SmallServer, line: str) -> None:
    assert small.send(f"{line}\r\nHost: localhost\r\n\r\n".encode()).startswith(b"HTTP/1.1 400 ")


def test_an_address_without_end_is_answered(small: SmallServer) -> None:
    assert small.send(b"GET /?query=" + b"a" * 300_000).startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    "body",
    [
        b"+8\r\nSELECT 1\r\n0\r\n\r\n",
        b"0x8\r\nSELECT 1\r\n0\r\n\r\n",
        b"0_8\r\nSELECT 1\r\n0\r\n\r\n",
        b" 8\r\nSELECT 1\r\n0\r\n\r\n",
        b"-8\r\nSELECT 1\r\n0\r\n\r\n",
        b"8\nSELECT 1\r\n0\r\n\r\n",
        b"8\r\nSELECT 1\n0\r\n\r\n",
        b"8\r\nSELECT 1 \r\n0\r\n\r\n",
        b"\r\nSELECT 1\r\n0\r\n\r\n",
        b"8;\x00\r\nSELECT 1\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"8\r\nSELECT 1\r\n0\r\n" + b"A: b\r\n" * 1000,
        b"8;" + b"x" * 5000 + b"\r\nSELECT 1\r\n0\r\n\r\n",
    ],
)
def test_a_chunk_that_could_be_read_in_two_ways_is_refused(small: SmallServer, body: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = small.send(head + body)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_right_chunked_body_is_read(small: SmallServer) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert small.send(head + b"7;a=b\r\nSELECT \r\n1\r\n1\r\n0\r\nX: y\r\n\r\n").endswith(b"\r\n\r\n1\n")


@pytest.mark.parametrize(
    "head",
    [
        "GET /?query=SELECT+1&user=fairpixel&password=%ff%fe HTTP/1.1\r\nHost: localhost",
        "GET /?query=SELECT+1&user=%ff%0d%0a&password=x HTTP/1.1\r\nHost: localhost",
        "GET /?query=SELECT+1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic \xff\xfe",
        "GET /?query=SELECT+1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic /////w==",
        "GET /?query=SELECT+1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer",
        "GET /?query=SELECT+1 HTTP/1.1\r\nHost: localhost\r\nX-ClickHouse-User: fairpixel\r\nX-ClickHouse-Key: \xff",
        "GET /?query=SELECT+1 HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[",
        "GET /?query=SELECT+1 HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:x",
        "GET /?query=SELECT+1 HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:99999999",
        "GET /?query=SELECT+1 HTTP/1.1\r\nHost: [",
        "GET /?query=SELECT+1 HTTP/1.1\r\nHost: localhost:x@evil",
    ],
)
def test_a_login_or_origin_that_cannot_be_read_is_refused_with_an_answer(
    small: SmallServer, head: str
) -> None:
    answer = small.send(f"{head}\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 403 "), answer


@pytest.mark.parametrize(
    "target", ["//[", "/?query=%", "/?" + "&" * 5000, "/?query=SELECT+1#x", "/?%ff=1", "/\xff"]
)
def test_an_odd_address_is_answered(small: SmallServer, target: str) -> None:
    answer = small.send(
        f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1")
    )
    assert answer.startswith(b"HTTP/1.1 ")
    assert not answer.startswith(b"HTTP/1.1 500")


def test_an_error_of_the_servers_own_is_answered_without_anybodys_words(small: SmallServer) -> None:
    answer = small.ask("SELECT 'somebody@example.org' AS broken", writer=False)
    assert answer.status == 500
    assert "somebody" not in answer.text
    assert "RuntimeError" in answer.text
    assert small.ask("SELECT 1", writer=False).text == "1\n"
