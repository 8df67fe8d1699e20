"""The load generator keeps an open load's rate, and says what it could not send or was not answered."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.speed.http_load import pixel, run


@contextmanager
def server(wait_s: float, status: str = "200 OK") -> Iterator[int]:
    """A server that answers each request after so long; its port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                if line == b"\r\n":
                    time.sleep(wait_s)
                    self.wfile.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield one.server_address[1]
        finally:
            one.shutdown()
            thread.join()


def test_a_rate_is_kept_while_answers_are_slow_and_connections_enough() -> None:
    with server(wait_s=0.05) as port:
        told = run(port, 16, 0.5, 100, pixel("demo"))
    assert 40 <= told["due"] <= 50
    assert told["requests"] == told["due"]
    assert told["p50_ms"] >= 50


def test_what_was_due_and_had_no_free_connection_is_told() -> None:
    with server(wait_s=0.2) as port:
        told = run(port, 1, 0.5, 100, pixel("demo"))
    assert 40 <= told["due"] <= 50
    assert told["requests"] <= 4
    assert told["late_p99_ms"] >= 100


def test_an_answer_that_is_not_200_is_failed() -> None:
    with server(wait_s=0, status="429 Too Many Requests") as port:
        told = run(port, 4, 0.2, 50, pixel("demo"))
    assert told["requests"] == 0
    assert told["failed"] == told["due"]
