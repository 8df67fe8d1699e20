"""The pages that tell how a program is: paths, statuses, types, and on loopback alone."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage

import pytest

from runtime.health_server import serve_health
from tests.processes import free_port


@pytest.fixture
def address() -> Iterator[str]:
    server = serve_health(
        free_port(), lambda: (503, {"status": "stuck"}), lambda: (200, {"ready": True}), lambda: b"up 1\n"
    )
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def ask(url: str) -> tuple[int, bytes, HTTPMessage]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read(), refused.headers


def test_each_page_says_what_the_program_says(address: str) -> None:
    status, body, headers = ask(f"{address}/healthz")
    assert (status, json.loads(body), headers["Content-Type"]) == (
        503,
        {"status": "stuck"},
        "application/json",
    )
    status, body, _ = ask(f"{address}/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True})
    status, body, headers = ask(f"{address}/metrics")
    assert (status, body) == (200, b"up 1\n")
    assert headers["Content-Type"].startswith("text/plain; version=")


@pytest.mark.parametrize("path", ["/", "/healthz/", "/metrics?x=1", "/../etc/passwd"])
def test_there_is_no_other_page(address: str, path: str) -> None:
    status, body, _ = ask(address + path)
    assert status == 404
    assert json.loads(body)["detail"] == "/healthz, /readyz, /metrics"


def test_a_question_that_hangs_holds_up_no_other() -> None:
    go_on = threading.Event()

    def hang() -> tuple[int, dict[str, object]]:
        go_on.wait(30)
        return 200, {}

    server = serve_health(free_port(), hang, lambda: (200, {}), lambda: b"")
    hanging = threading.Thread(target=ask, args=(f"http://127.0.0.1:{server.server_port}/healthz",))
    hanging.start()
    assert ask(f"http://127.0.0.1:{server.server_port}/readyz")[0] == 200
    go_on.set()
    hanging.join(10)
    server.shutdown()
    server.server_close()


def test_only_the_machine_itself_may_ask_and_a_taken_port_is_an_error(address: str) -> None:
    port = int(address.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        serve_health(port, lambda: (200, {}), lambda: (200, {}), lambda: b"")
    server = serve_health(free_port(), lambda: (200, {}), lambda: (200, {}), lambda: b"")
    assert server.server_address[0] == "127.0.0.1"
    server.shutdown()
    server.server_close()
