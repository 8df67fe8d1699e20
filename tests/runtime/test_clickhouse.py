"""The client of ClickHouse: each request is sent once, ends within its time, and its errors are told apart by code."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runtime.clickhouse import ClickHouseClient, ClickHouseError

SECRET = "visitor-1@shop.example"


class Server:
    """Answers the client's first questions as ClickHouse does; `then` answers the others, whose bodies it keeps."""

    def __init__(self, then: Callable[[BaseHTTPRequestHandler], None], port: int = 0) -> None:
        self.asked: list[bytes] = []
        self.heads: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.then = then
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if b"version()" in body:
                    return answer(self, b"26.9.1.1\tUTC\n")
                if b"FROM system.settings" in body:
                    return answer(self, b"")
                server.asked.append(body)
                server.heads.append(dict(self.headers))
                server.paths.append(self.path)
                return server.then(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, code: str = "") -> None:
    request.send_response(status)
    if code:
        request.send_header("X-ClickHouse-Exception-Code", code)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def break_off(request: BaseHTTPRequestHandler) -> None:
    """The connection ends with a reset before anything is answered."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    request.close_connection = True
    request.connection.close()


def close(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def end_within_the_head(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b'HTTP/1.1 200 OK\r\nX-ClickHouse-Progress: {"read_rows":"1"}\r\n')
    close(request)


def refuse(status: int, code: str = "") -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda request: answer(request, SECRET.encode(), status, code)


def hang(request: BaseHTTPRequestHandler) -> None:
    time.sleep(3)
    close(request)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(lambda request: answer(request, b'{"a": 1}\n'))
    yield running
    running.close()


@pytest.fixture
def client(server: Server) -> ClickHouseClient:
    return ClickHouseClient(server.url, "writer", "secret")


def insert(client: ClickHouseClient, seconds_max: float = 5.0) -> None:
    client.insert("packs", b"block", "Avro", seconds_max=seconds_max, database="fairpixel", settings={})


def rows(client: ClickHouseClient, seconds_max: float = 5.0) -> list[dict[str, object]]:
    return client.rows("SELECT 1", seconds_max=seconds_max, database="fairpixel")


def stream(client: ClickHouseClient) -> bytes:
    return b"".join(client.stream("SELECT 1", seconds_max=5, database="fairpixel", default_format="TSV"))


@pytest.mark.parametrize("ask", [insert, rows, stream])
@pytest.mark.parametrize(
    "then",
    [break_off, close, end_within_the_head, refuse(503), refuse(429, "202"), refuse(504), refuse(307)],
)
def test_nothing_is_sent_a_second_time(
    server: Server,
    client: ClickHouseClient,
    ask: Callable[[ClickHouseClient], object],
    then: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    rows(client)  # over a connection that is kept, as most are
    server.asked.clear()
    server.then = then
    with pytest.raises(ClickHouseError):
        ask(client)
    assert len(server.asked) == 1


@pytest.mark.parametrize("ask", [insert, rows])
def test_a_server_that_hangs_costs_no_more_than_the_time_limit(
    server: Server, client: ClickHouseClient, ask: Callable[[ClickHouseClient, float], object]
) -> None:
    server.then = hang
    for _ in range(2):  # the second finds the client made
        began = time.monotonic()
        with pytest.raises(ClickHouseError, match="does not answer: ReadTimeoutError"):
            ask(client, 0.5)
        assert time.monotonic() - began < 2


def test_a_server_that_hangs_from_the_first_question_on_costs_no_more_either() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = ClickHouseClient(f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(ClickHouseError, match="does not answer"):
            rows(client, 0.5)
        assert time.monotonic() - began < 2


def test_a_server_that_is_away_at_first_is_found_when_it_comes(server: Server) -> None:
    server.close()
    port = int(server.url.rpartition(":")[2])
    client = ClickHouseClient(server.url)
    for _ in range(2):
        with pytest.raises(ClickHouseError, match="does not answer") as away:
            rows(client)
        assert (away.value.status, away.value.code) == (0, 0)
    back = Server(server.then, port)
    assert rows(client) == [{"a": 1}]
    back.then = close
    back.close()
    with pytest.raises(ClickHouseError, match="does not answer"):
        rows(client)
    back = Server(server.then, port)
    assert rows(client) == [{"a": 1}], "and found again after it was away in between"
    back.close()


def test_an_error_has_the_code_of_its_header_and_no_content_in_its_text(
    server: Server, client: ClickHouseClient
) -> None:
    server.then = lambda request: answer(request, b"Code: 27. " + SECRET.encode(), 500, "60")
    with pytest.raises(ClickHouseError) as refused:
        rows(client)
    error = refused.value
    assert (error.status, error.code, error.while_connecting) == (500, 60, False)
    assert str(error) == "ClickHouse refused: status 500, code 60"
    assert SECRET.encode() in error.detail, "for whoever asked"


@pytest.mark.parametrize("code", ["", "no number"])
def test_a_refusal_without_a_code_has_none(server: Server, client: ClickHouseClient, code: str) -> None:
    server.then = lambda request: answer(request, b"Code: 27. gone", 502, code)
    with pytest.raises(ClickHouseError) as refused:
        insert(client)
    assert (refused.value.status, refused.value.code) == (502, 0)


def test_a_success_with_a_code_is_none(server: Server, client: ClickHouseClient) -> None:
    server.then = refuse(200, "159")
    with pytest.raises(ClickHouseError) as refused:
        rows(client)
    assert refused.value.code == 159


def test_somebody_else_at_the_address_is_no_clickhouse(caplog: pytest.LogCaptureFixture) -> None:
    class Stranger(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer(self, f"<html>{SECRET}</html>".encode())

        def log_message(self, *_: object) -> None:
            pass

    stranger = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    threading.Thread(target=stranger.serve_forever, args=(0.02,), daemon=True).start()
    with caplog.at_level(logging.DEBUG), pytest.raises(ClickHouseError) as refused:
        rows(ClickHouseClient(f"http://127.0.0.1:{stranger.server_port}"))
    stranger.shutdown()
    stranger.server_close()
    assert SECRET not in str(refused.value)
    assert SECRET not in caplog.text


def test_a_request_carries_what_was_asked_and_nothing_of_the_clients_own(
    server: Server, client: ClickHouseClient
) -> None:
    insert(client)
    client.query(
        "SELECT {a:String}, {b:Array(String)}", {"a": "it's", "b": ["x\ty"]}, seconds_max=5, database="d"
    )
    assert server.asked == [b"block", b"SELECT {a:String}, {b:Array(String)}"]
    assert server.paths[0] == ("/?query=INSERT+INTO+packs+FORMAT+Avro&database=fairpixel&wait_end_of_query=1")
    assert server.paths[1] == (
        "/?wait_end_of_query=1&database=d&param_a=it%5C%27s&param_b=%5B%27x%5C%09y%27%5D"
    )
    for head in server.heads:
        assert (head["X-ClickHouse-User"], head["X-ClickHouse-Key"]) == ("writer", "secret")
        assert not {"Authorization", "Content-Encoding", "Transfer-Encoding"} & head.keys()
        assert head.get("Accept-Encoding", "identity") == "identity"


def test_without_a_user_no_login_is_sent(server: Server) -> None:
    rows(ClickHouseClient(server.url))
    assert not {"X-ClickHouse-User", "X-ClickHouse-Key", "Authorization"} & server.heads[0].keys()
    assert server.heads[0]["X-ClickHouse-Format"] == "JSONEachRow"


def test_threads_share_the_connections_and_meet_no_session(server: Server, client: ClickHouseClient) -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(rows(client))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [[{"a": 1}]] * 12
    assert not any("session_id" in path or "query_id" in path for path in server.paths)


def test_a_stream_comes_piece_by_piece_and_says_when_it_broke_off(
    server: Server, client: ClickHouseClient
) -> None:
    def half(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"3\r\none\r\n")
        close(request)

    server.then = half
    parts = client.stream("SELECT 1", seconds_max=5, database="fairpixel", default_format="TSV")
    assert next(parts) == b"one"
    with pytest.raises(ClickHouseError, match="broke off"):
        next(parts)
