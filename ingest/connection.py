"""Seam: one HTTP connection of the edge: uvicorn's protocol, the bounds it lacks, and a short way for the pixel.

Nearly every hit is one whole `GET /p.gif?...` in one read, on a connection with nothing else under way. It is read here
and answered with one write: no parser's callbacks, no task, no ASGI messages. Whatever looks different in any way is
left to uvicorn, which calls the same door by ASGI, so the short way may be picky and never has to be clever.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from ingest.answers import GIF_HEADERS, KEPT, GifAnswer, HeaderList
from ingest.client import Asker
from ingest.doors import PixelDoor
from ingest.fields import Rejection
from ingest.pixel import GIF

CONNECTIONS_MAX = 16_384  # of a worker; requests on further ones get 503
HEAD_BYTES_MAX = 131_072  # of a request's line and headers; beyond it 431
HEADERS_MAX = 100  # the same
KEPT_HEAD_BYTES_MAX = 4_000  # a head is remembered up to this: 16,384 x 4 kB = 64 MB
SWEEP_S = 0.5  # between two looks for connections that are silent for too long

PEER_UNKNOWN = ""
_LINE = re.compile(rb"GET /p\.gif\?([!-~]*) HTTP/1\.1\r\n")
# Header lines and the empty one (RFC 9112, section 5; obsolete folding does not match): all of a request without body.
_HEAD = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*\r\n")
# What makes a request more than a line and facts about its sender.
_NOT_PLAIN = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer"})

HEAD_TOO_LARGE = Rejection(
    "head_too_large",
    "The line and the headers of the request are too large.",
    f"request: expected at most {HEAD_BYTES_MAX:,} bytes and {HEADERS_MAX} headers",
)
NOT_HTTP = Rejection("not_http", "This is no HTTP/1.1 request.", "request: expected HTTP/1.1 as in RFC 9112")

ReadAsker = Callable[[str, HeaderList], Asker]


class Connections:
    """What the connections of a worker share: the pixel's door, and the clock that ends the silent ones."""

    def __init__(self, head_seconds_max: float) -> None:
        """head_seconds_max: for a request's head to come, counted from the end of the answer before."""
        self._head_seconds_max = head_seconds_max
        self.open: set[Connection] = set()
        self.door: PixelDoor | None = None  # before the edge has started, and after: no short way
        self.read_asker: ReadAsker | None = None
        self._defaults: HeaderList | None = None
        self._kept = b""

    def sweep(self, now: float) -> None:
        """End connections whose next request has not come in time; now: by the loop's clock. 0.1 µs a connection."""
        earliest = now - self._head_seconds_max
        for one in [one for one in self.open if 0.0 < one.waits_since < earliest]:
            one.transport.abort()

    def kept(self, defaults: HeaderList) -> bytes:
        """The answer to a hit that is kept, whole. defaults: headers of every answer, a new list each second."""
        if defaults is not self._defaults:
            self._defaults, self._kept = defaults, write_gif(KEPT, defaults)
        return self._kept


class Connection(HttpToolsProtocol):
    """One connection; granted that the application is an Edge."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._shared: Connections = config.loaded_app.connections
        self.waits_since = (
            self.loop.time()
        )  # since when it waits for a whole head; 0.0 while a request is answered
        self._in_message = False  # uvicorn's parser is inside a request
        self._unfinished = 0  # bytes without a whole head or a piece of a body
        self._moved = False  # there was one of them in this read
        self._head_bytes = 0
        self._head_count = 0
        self._trouble: Rejection = NOT_HTTP  # what to say when the parser stops
        self._asks = False  # a hit of the short way waits for its answer
        self._early = b""  # what came meanwhile
        self._ends = False  # the server stops: close after the answer
        self._is_lost = False
        self._head, self._asker = b"", Asker()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._shared.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._shared.open.discard(self)
        self._is_lost, self._early = True, b""
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops: end when nothing is under way, else after the answer."""
        if self._asks:
            self._ends = True
        else:
            super().shutdown()

    # --- the short way

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._asks:  # one at a time; what a pause of reading lets through is one read, 256 kB
            self._early += data
            self.flow.pause_reading()
            return
        if self._take_hit(data):
            return
        self._moved = False
        super().data_received(data)
        self._unfinished = 0 if self._moved else self._unfinished + len(data)
        if self._unfinished > HEAD_BYTES_MAX and not self.transport.is_closing():
            self._trouble = HEAD_TOO_LARGE
            self.send_400_response("")

    def _take_hit(self, data: bytes) -> bool:
        """Whether this read was a hit for the short way, which has been taken then."""
        line = _LINE.match(data)
        door = self._shared.door
        if line is None or door is None or not self._is_idle:
            return False
        head = data[line.end() :]
        if head != self._head and not self._read_head(head):  # a browser repeats its own: 0.1 µs instead of 6
            return False
        self._unset_keepalive_if_required()
        self.waits_since = 0.0
        self._asks = True
        door.take(line[1], self._asker, self._answer)
        return True

    @property
    def _is_idle(self) -> bool:
        return (
            not self._in_message
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and len(self._shared.open) <= CONNECTIONS_MAX
        )

    def _read_head(self, head: bytes) -> bool:
        """Take who is asking from a head; False for one that is more than header lines and an empty one."""
        read_asker = self._shared.read_asker
        if len(head) > KEPT_HEAD_BYTES_MAX or read_asker is None or _HEAD.fullmatch(head) is None:
            return False
        headers = []
        for text in head[:-4].split(b"\r\n") if len(head) > 2 else ():
            name, _, value = text.partition(b":")
            headers.append((name.lower(), value.strip(b" \t")))
        for name, value in headers:
            if name in _NOT_PLAIN or (name == b"connection" and value.lower() != b"keep-alive"):
                return False
        if len(headers) > HEADERS_MAX or self.client is None:
            return False
        self._head, self._asker = head, read_asker(self.client[0], headers)
        return True

    def _answer(self, answer: GifAnswer) -> None:
        """What the door has to say, once."""
        self._asks = False
        self.server_state.total_requests += 1
        if self._is_lost:
            return
        defaults = self.server_state.default_headers
        self.transport.write(self._shared.kept(defaults) if answer is KEPT else write_gif(answer, defaults))
        if self._ends:
            self.transport.close()
            return
        self.waits_since = self.loop.time()
        if self._early:
            early, self._early = self._early, b""
            self.flow.resume_reading()
            self.data_received(early)

    # --- bounds of all other requests

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_message = True
        self._head_bytes = self._head_count = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of its address."""
        self._count(len(url), 0)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body: one bound for all."""
        self._count(len(name) + len(value) + 4, 1)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.waits_since, self._moved = 0.0, True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_message, self._moved = False, True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is whole: the next head has its time from now on, whatever is left of this request's body."""
        super().on_response_complete()
        if self.cycle is None or self.cycle.response_complete:
            self.waits_since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when its parser stops: an answer as all errors are, and the end of the connection."""
        why, body = self._trouble, orjson.dumps(self._trouble._asdict())
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        status = 431 if why is HEAD_TOO_LARGE else 400
        self.transport.write(_write(status, [*self.server_state.default_headers, *headers], body))
        self.transport.close()

    def _count(self, size: int, headers: int) -> None:
        self._head_bytes += size
        self._head_count += headers
        if self._head_bytes > HEAD_BYTES_MAX or self._head_count > HEADERS_MAX:
            self._trouble = HEAD_TOO_LARGE
            raise ValueError(HEAD_TOO_LARGE.code)  # ends the parser, which tells uvicorn


def write_gif(answer: GifAnswer, defaults: HeaderList) -> bytes:
    """A GIF answer as bytes of HTTP/1.1."""
    return _write(answer.status, [*defaults, *GIF_HEADERS, *answer.more], GIF)


def _write(status: int, headers: HeaderList, body: bytes) -> bytes:
    lines = [b"%s: %s\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", body])
