"""A bad network between a client and the edge: lost answers, resets, 503 and 429, by a seed."""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from types import TracebackType

import aiohttp
import yarl
from aiohttp import web

FAULTS_MAX = 2  # of one batch, known by its first id: the shortest budget of tries here is three
FIRST_ID = re.compile(rb'"(?:messageId|eid|uuid)": ?"([^"]+)"')
GZIP = b"\x1f\x8b"
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})
ANSWER_SECONDS_MAX = 30


@dataclass(frozen=True)
class Faults:
    """How likely each fault is, of every request that carries events."""

    lost: float = 0  # the edge has answered, and the client never hears it
    reset: float = 0  # the edge never hears the request
    unavailable: float = 0  # 503 with Retry-After
    limited: float = 0  # 429 with Retry-After

    def draw(self, rng: Random) -> str:
        """The name of a fault, or "" for none."""
        point = rng.random()
        for name, share in vars(self).items():
            if point < share:
                return str(name)
            point -= share
        return ""


@dataclass
class BadNetwork:
    """One proxy for each client, all in one thread; `with` starts and ends them. Not thread-safe beyond that."""

    edge: str  # such as http://127.0.0.1:8000
    seed: int = 1
    happened: dict[str, Counter[str]] = field(default_factory=dict)  # client -> what became of its requests
    # client -> for each request that came again, the seconds between the two, at the edge at most
    repeats: dict[str, list[float]] = field(default_factory=dict)

    def __enter__(self) -> BadNetwork:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runners: list[web.ServerRunner] = []
        self._session = self._call(self._open_session())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def way(self, client: str, faults: Faults) -> str:
        """A base address for this client, at which the edge is reached."""
        return self._call(self._listen(client, faults))

    def _call(self, coroutine):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(ANSWER_SECONDS_MAX)

    async def _open_session(self) -> aiohttp.ClientSession:
        # A connection for each request: one the edge closes in between would be a fault nobody ordered.
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(ANSWER_SECONDS_MAX),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def _close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        await self._session.close()

    async def _listen(self, client: str, faults: Faults) -> str:
        happened = self.happened.setdefault(client, Counter())
        repeats = self.repeats.setdefault(client, [])
        sent_at: dict[bytes, float] = {}
        rng, faults_of = Random(f"{self.seed}/{client}"), Counter[bytes]()

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            body = await request.read()
            carries_events = request.method == "POST" or request.path.endswith(("/i", "/matomo.php"))
            batch = _first_id(request, body)
            fault = faults.draw(rng) if carries_events and faults_of[batch] < FAULTS_MAX else ""
            faults_of[batch] += bool(fault)
            happened[fault or "passed"] += carries_events
            if fault in ("unavailable", "limited"):
                return _busy(request, 503 if fault == "unavailable" else 429)
            if fault == "reset":
                return _hang_up(request)
            before, sent_at[batch] = sent_at.get(batch), time.monotonic()
            answer = await self._forward(request, body)
            if before is not None:
                repeats.append(time.monotonic() - before)
            return _hang_up(request) if fault == "lost" else answer

        runner = web.ServerRunner(web.Server(handle, auto_decompress=False, access_log=None))
        await runner.setup()
        self._runners.append(runner)
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        await web.SockSite(runner, listener).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def _forward(self, request: web.BaseRequest, body: bytes) -> web.Response:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        url = yarl.URL(self.edge + request.raw_path, encoded=True)
        async with self._session.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
            response = web.Response(status=answer.status, body=await answer.read())
        response.headers.extend(kept)
        return response


def _first_id(request: web.BaseRequest, body: bytes) -> bytes:
    """What a batch still has when it is sent again: its first event's id, or all of it where it has none."""
    if request.method == "GET":
        return request.query.get("eid", request.query_string).encode()
    found = FIRST_ID.search(gzip.decompress(body) if body.startswith(GZIP) else body)
    return found[1] if found else body


def _hang_up(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()  # a reset on the wire
    return web.Response()


def _busy(request: web.BaseRequest, status: int) -> web.Response:
    """As the edge says it, with what a page's own origin needs to hear it."""
    origin = request.headers.get("Origin")
    cors = (
        {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"} if origin else {}
    )
    text = {"code": "busy", "message": "Try again.", "detail": "a fault of the test"}
    return web.json_response(text, status=status, headers={"Retry-After": "1", **cors})
