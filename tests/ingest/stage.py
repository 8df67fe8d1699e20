"""The edge's endpoints behind one connection, without a network: what comes in and goes out is bytes in memory."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from uvicorn.server import ServerState

from ingest.counts import Counts
from ingest.endpoints.events import EventsEndpoint
from ingest.endpoints.intake import Intake
from ingest.endpoints.pixel import PixelEndpoint
from ingest.reading.row import Row
from ingest.reading.sites import Sites
from ingest.serving.connection import Connection
from ingest.serving.connections import Connections
from ingest.settings import EdgeSettings
from ingest.visitors.rules import visitor_rules
from runtime.config import parse_config
from tests.ingest.builders import Sent, packer

CONFIG = parse_config(
    '[sites.demo]\n[sites.shop]\norigins = ["https://shop.example"]\n[sites.tight]\nevents_per_second_max = 1\n'
)
PIXEL = b"GET /p.gif?k=demo&id=%s HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer demo\r\nContent-Length: %d\r\n\r\n%s"


class Wire(asyncio.Transport):
    """Stands for the transport: keeps what was written."""

    def __init__(self, peer: str = "203.0.113.9") -> None:
        super().__init__({"peername": (peer, 4711), "sockname": ("127.0.0.1", 80)})
        self.written = b""
        self.is_paused = False
        self.is_late = False  # something was written after the end
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.is_late = self.is_late or self._closing
        self.written += data

    def close(self) -> None:
        self._closing = True

    abort = close

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Stage:
    """An edge's endpoints behind one connection, without a network; packs are settled when the test says so."""

    def __init__(self, *, fast_path: bool = True) -> None:
        self.sent = Sent()
        self.rows: list[Row] = []
        self.packs: list[Any] = []  # of each row, the pack it is in
        reloadable = SimpleNamespace(sites=Sites.of(CONFIG, {}), visitors=visitor_rules(CONFIG, b"x" * 32))
        self.packer = packer(self.sent)
        self._add, self.packer._add = self.packer._add, self._remember  # type: ignore[method-assign]
        self.intake = Intake(reloadable, self.packer, Counts(), EdgeSettings(), lambda: "made")  # type: ignore[arg-type]
        self.pixel, events = PixelEndpoint(self.intake), EventsEndpoint(self.intake)
        self.shared = Connections(head_seconds_max=30)
        if fast_path:
            self.shared.endpoint, self.shared.read_request_context = self.pixel, self.intake.request_context
            self.shared.posts = {"/v1/events": events}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await (self.pixel if scope["path"] == "/p.gif" else events)(scope, receive, send)

        app.connections = self.shared  # type: ignore[attr-defined]
        self._config: Any = SimpleNamespace(
            loaded=True, loaded_app=app, ws_protocol_class=None, root_path="", asgi_version="3.0",
            limit_concurrency=None, timeout_keep_alive=30, reset_contextvars=False,
        )  # fmt: skip
        self.state = ServerState()
        self.wire, self.connection = self.connect()

    def connect(self, peer: str = "203.0.113.9") -> tuple[Wire, Connection]:
        wire = Wire(peer)
        one = Connection(self._config, self.state, {}, asyncio.get_running_loop())
        one.connection_made(wire)
        return wire, one

    def _remember(self, row: Row, patient: bool, on_kept: Any = None) -> Any:
        self.rows.append(row)
        self.packs.append(self._add(row, patient, on_kept))
        return self.packs[-1]

    async def answers(self, count: int) -> list[bytes]:
        """The answers, each whole, once there are so many."""
        async with asyncio.timeout(5):
            while len(split_answers(self.wire.written)) < count:
                self.packer.flush()
                self.sent.settle_all()
                await asyncio.sleep(0.001)
        return split_answers(self.wire.written)


def split_answers(written: bytes) -> list[bytes]:
    found = []
    while b"\r\n\r\n" in written:
        head, _, rest = written.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        found.append(head + b"\r\n\r\n" + rest[:length])
        written = rest[length:]
    return found


def statuses(answers: list[bytes]) -> list[bytes]:
    return [answer[9:12] for answer in answers]


def without_date(answer: bytes) -> set[bytes]:
    return {line for line in answer.split(b"\r\n") if not line.lower().startswith(b"date:")}
