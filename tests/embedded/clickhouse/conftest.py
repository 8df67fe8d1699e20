"""A real server on a free port with a folder of its own, and the same as a thing to kill and start again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from tests.processes import REPO, await_that, free_port

PASSWORD = "correct horse"


class Answer:
    """Status, headers and body of one answer, whatever the status."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()


class Server:
    """One `python -m deploy.embedded.clickhouse`, its port and its data folder."""

    module = "deploy.embedded.clickhouse"

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "FAIRPIXEL_DATA": str(self.data),
            "FAIRPIXEL_CLICKHOUSE_PORT": str(self.port),
            "FAIRPIXEL_CLICKHOUSE_PASSWORD": PASSWORD,
        }
        return subprocess.Popen(
            [sys.executable, "-m", self.module],
            cwd=REPO,
            env=environment,
            stderr=subprocess.PIPE,
        )

    def start(self) -> None:
        process = self.process = self.spawn()

        def is_ready() -> bool:
            assert process.poll() is None, "the server ended at start"
            return self.is_ready()

        await_that(is_ready, 30, "the server is ready")

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz").status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def end(self, number: int) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.process = None
        return code

    def client(self, **options: object) -> Client:
        """clickhouse-connect's own client as the writer."""
        given = {"username": "fairpixel", "password": PASSWORD, **options}
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, **given)  # type: ignore[arg-type]

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self._send(urllib.request.Request(self.url + path, headers=headers or {}))

    def ask(
        self, query: str, *, writer: bool = True, headers: dict[str, str] | None = None, **fields: str
    ) -> Answer:
        """POST a query as the writer, or as the reader without a login."""
        if writer:
            fields |= {"user": "fairpixel", "password": PASSWORD}
        address = f"{self.url}/?{urlencode(fields)}"
        return self._send(urllib.request.Request(address, data=query.encode(), headers=headers or {}))

    def _send(self, request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server most tests share; each makes tables of its own."""
    server = Server(tmp_path_factory.mktemp("clickhouse"))
    server.start()
    yield server
    server.end(signal.SIGTERM)


@pytest.fixture
def own_clickhouse(tmp_path: Path) -> Iterator[Server]:
    """A server that a test may kill."""
    server = Server(tmp_path)
    server.start()
    yield server
    if server.process is not None:
        server.end(signal.SIGKILL)


@pytest.fixture(scope="session")
def client(clickhouse: Server) -> Client:
    return clickhouse.client()
