"""Seam: one HTTP connection of the edge: uvicorn's protocol, the bounds it lacks, and a fast path for hits.

Nearly every hit is one whole `GET /p.gif?...` in one read, on a connection with nothing else under way. It is read here
and answered with one write: no parser's callbacks, no task, no ASGI messages. A whole POST to one of the hot endpoints
(the tag's beacon) takes the same fast path and calls its endpoint by ASGI, with less around it. Whatever looks
different is left to uvicorn, which calls the same endpoints, so the fast path may be picky
and never has to be clever.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ingest.reading.client import RequestContext
from ingest.reading.fields import Rejection
from ingest.reading.network import network_of
from ingest.reading.pixel import QUERY_LENGTH_MAX
from ingest.serving.answers import (
    BODY,
    KEPT,
    PATIENT,
    RETRY,
    SPOOL_FULL,
    GifAnswer,
    HeaderList,
    Receive,
    Scope,
    Send,
    send_error,
)
from ingest.serving.http1 import (
    ADDRESS_BYTES_MAX,
    HEAD_BYTES_MAX,
    HEAD_TOO_LARGE,
    HEADERS_MAX,
    NOT_HTTP,
    TWO_HOSTS,
    UNKNOWN_CODING,
    Asked,
    explain,
    quote_line,
    read_headers,
    write_error,
    write_failure,
    write_gif,
)

CONNECTIONS_MAX = 16_384  # of a worker; requests on further ones get 503
# The same of one network (/24, /48), so that none keeps all others out; not behind proxies, which speak for all.
NETWORK_CONNECTIONS_MAX = CONNECTIONS_MAX // 2
HELD_BYTES_MAX = 100_000_000  # of heads that are not whole and of hits that wait for one before, together
SURPLUS_MAX = 1_024  # further ones that may wait for their 503; beyond it they are closed at once
PIPELINED_MAX = 100  # requests that wait for the one before; then the connection ends. 100 x 4 kB = 400 kB
SWEEP_S = 0.5  # between two looks for connections that are silent for too long
# Whoever sends its next request within so many seconds of an answer waited for it. Not less, as a busy loop reads late.
GOES_ON_S = 0.01

# `#` would end the query (RFC 3986, section 3.4); a longer query is no hit.
_LINE = re.compile(rb'GET /p\.gif\?([!"$-~]{0,%d}) HTTP/1\.1\r\n' % QUERY_LENGTH_MAX)
_POST = re.compile(rb'POST (/[A-Za-z0-9/._-]{0,100})(?:\?([!"$-~]{0,%d}))? HTTP/1\.1\r\n' % QUERY_LENGTH_MAX)
_LENGTH = re.compile(rb"[0-9]{1,7}")

ReadRequestContext = Callable[[str, HeaderList], RequestContext]


class PixelFastPath(Protocol):
    """What takes a hit."""

    def take(
        self,
        query: bytes,
        request_context: RequestContext,
        answer: Callable[[GifAnswer], None],
        *,
        patient: bool = False,
    ) -> None:
        """`answer` is called once, at once or later. patient: nobody is known to wait for it."""


Endpoint = Callable[[Scope, Receive, Send], Awaitable[None]]


class Connections:
    """What the connections of a worker share: the hot endpoints, and the clock that ends the silent ones."""

    def __init__(self, head_seconds_max: float, network_max: int = 0) -> None:
        """head_seconds_max: for a request's head to come, counted from the end of the answer before; network_max: of
        one network, 0 for no limit."""
        self._head_seconds_max = head_seconds_max
        self._network_max = network_max
        self._of_networks: dict[str, int] = {}
        self.open: set[Connection] = set()
        self.held_bytes = 0
        self.endpoint: PixelFastPath | None = None  # before the edge has started: no fast path
        self.read_request_context: ReadRequestContext | None = None
        self.posts: Mapping[str, Endpoint] = {}  # hot endpoints by path; each answers with one piece of body
        self.is_stopping = False
        self._defaults: HeaderList | None = None
        self._kept = b""

    def enter(self, one: Connection, network: str) -> int:
        """Count a connection; by how many there are too many now, 0 for none."""
        self.open.add(one)
        count = self._of_networks[network] = self._of_networks.get(network, 0) + 1
        surplus = len(self.open) - CONNECTIONS_MAX
        return max(0, surplus, count - self._network_max if self._network_max else 0)

    def leave(self, one: Connection, network: str) -> None:
        """It is gone."""
        if one in self.open:
            self.open.remove(one)
            left = self._of_networks[network] - 1
            if left:
                self._of_networks[network] = left
            else:
                del self._of_networks[network]

    def sweep(self, now: float) -> None:
        """End connections whose next request has not come in time; now: by the loop's clock. 0.1 µs a connection."""
        earliest = now - self._head_seconds_max
        for one in [one for one in self.open if 0.0 < one.waits_since < earliest]:
            unsent = one.transport.get_write_buffer_size()
            if unsent and unsent != one.unsent:  # its peer is still busy with the answer
                one.waits_since, one.unsent = now, unsent
            else:
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
        # Since when it waits for a whole head; 0.0 while a request is answered.
        self.waits_since = self.loop.time()
        self._answered_at = 0.0  # 0.0: never
        self.unsent = 0  # bytes of the answer that its peer had not taken when it was last looked at
        self._is_surplus = False
        self._network = ""
        self._held = 0  # bytes of it that count in what all hold
        # Of uvicorn's parser:
        self._in_message = False  # it is inside a request
        self._in_head = False  # and that one's head is not whole
        self._under_way = 0  # requests that it has read and that are not answered
        self._unfinished = 0  # bytes without a whole head or a piece of a body
        self._moved = False  # there was one of them in this read
        self._head_bytes = 0
        self._head_count = 0
        self._problem: Rejection | None = NOT_HTTP  # what to say when it stops
        self._last_word: Rejection | None = None  # the same, to be said once all before it is answered
        self._framing = b""  # headers that tell where the body ends that it took for another protocol
        self._is_muted = False  # it reads such a head again
        # Of the fast path:
        self._holds = False  # what comes is for nobody yet
        self._is_deaf = False  # nor ever: the connection ends, perhaps after answers under way
        self._early = b""  # what came while a hit waited for its answer
        self._ends = False  # the server stops: close after that answer
        self._is_lost = False
        self._head: bytes | None = None  # the last one read; none is b"": a read may end behind the line
        self._request_context = RequestContext()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        shared = self._shared
        self._network = network_of(self.client[0]) if self.client is not None else ""
        surplus = shared.enter(self, self._network)
        if surplus:
            self._is_surplus, self.app = True, _refuse_surplus
        # Nobody is there any more; or nobody waits for more; or too many do.
        if self.client is None or shared.is_stopping or surplus > SURPLUS_MAX:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._shared.leave(self, self._network)
        self._is_lost, self._early = True, b""
        self._hold(0)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops: end when nothing is under way, else after the answer."""
        self._shared.is_stopping = True
        if self._holds and not self._is_deaf:
            self._ends = True
        else:
            super().shutdown()

    # --- the fast path

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._holds:
            if not self._is_deaf:  # one at a time; what a pause of reading lets through is one read, 256 kB
                self._early += data
                self.flow.pause_reading()
                if not self._hold(len(self._early)):
                    self._early, self._ends = b"", True  # the answer it waits for is the last
                    self._hold(0)
        elif not self._take_hit(data) and not self._take_post(data):
            self._parse(data)

    def _hold(self, size: int) -> bool:
        """Count the bytes it keeps; False where all keep too many together."""
        shared, more = self._shared, size - self._held
        self._held = size
        shared.held_bytes += more
        return more <= 0 or shared.held_bytes <= HELD_BYTES_MAX

    def _take_hit(self, data: bytes) -> bool:
        """Whether this read was a hit for the fast path, which has been taken then."""
        line = _LINE.match(data)
        endpoint = self._shared.endpoint
        if line is None or endpoint is None or not self._is_idle:
            return False
        head = data[line.end() :]
        if head != self._head and not self._read_head(head):  # a browser repeats its own: 0.1 µs instead of 6
            return False
        self._unset_keepalive_if_required()
        self.waits_since = 0.0
        self._holds = True
        endpoint.take(line[1], self._request_context, self._answer, patient=self._is_patient)
        return True

    @property
    def _is_patient(self) -> bool:
        """Whether its sender took its time after the last answer: a page's hits come when something happens there."""
        return self.loop.time() - self._answered_at > GOES_ON_S

    @property
    def _is_idle(self) -> bool:
        return (
            not self._in_message
            and not self._under_way
            and not self._is_surplus
            and not self.flow.write_paused
        )

    def _read_head(self, head: bytes) -> bool:
        """Take who is asking from a head; False for one that is more than header lines and an empty one."""
        read_request_context = self._shared.read_request_context
        headers = read_headers(head)
        if headers is None or read_request_context is None or self.client is None:
            return False
        if any(name == b"content-length" for name, _ in headers):
            return False
        self._head, self._request_context = head, read_request_context(self.client[0], headers)
        return True

    def _take_post(self, data: bytes) -> bool:
        """Whether this read was a whole POST for a hot endpoint, which has been taken then."""
        line = _POST.match(data)
        if line is None or not self._is_idle:
            return False
        path = line[1].decode()
        endpoint, end = self._shared.posts.get(path), data.find(b"\r\n\r\n", line.end() - 2) + 4
        headers = read_headers(data[line.end() : end]) if endpoint is not None and end >= 4 else None
        if endpoint is None or headers is None:
            return False
        lengths = [value for name, value in headers if name == b"content-length"]
        if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]) or len(data) != end + int(lengths[0]):
            return False
        self._unset_keepalive_if_required()
        self.waits_since = 0.0
        self._holds = True
        scope: Scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
            "scheme": self.scheme, "path": path, "raw_path": line[1], "query_string": line[2] or b"", "root_path": "",
            "headers": headers, "client": self.client, "server": self.server, PATIENT: self._is_patient,
            BODY: data[end:],
        }  # fmt: skip
        task = self.loop.create_task(self._serve(endpoint, scope))
        self.tasks.add(task)  # uvicorn waits for them when it stops
        task.add_done_callback(self.tasks.discard)
        return True

    async def _serve(self, endpoint: Endpoint, scope: Scope) -> None:
        asked = Asked(scope[BODY])
        try:
            await endpoint(scope, asked.receive, asked.send)
            answer = asked.answer(self.server_state.default_headers)
        except Exception as error:
            self.logger.error("an endpoint failed", exc_info=error)
            self._ends, answer = True, write_failure(self.server_state.default_headers)
        except BaseException:  # uvicorn ends the task, as the stop takes too long
            self.transport.abort()
            raise
        self._write(answer)

    def _answer(self, answer: GifAnswer) -> None:
        """What the pixel's endpoint has to say, once."""
        defaults = self.server_state.default_headers
        self._write(self._shared.kept(defaults) if answer is KEPT else write_gif(answer, defaults))

    def _write(self, answer: bytes) -> None:
        """An answer of the fast path, whole."""
        self.server_state.total_requests += 1
        if self._is_lost:
            return
        self._holds = False
        self.transport.write(answer)
        if self._ends:
            self._close()
            return
        self.waits_since = self._answered_at = self.loop.time()
        if self._early:
            self._take_early()

    def _take_early(self) -> None:
        early, self._early = self._early, b""
        self._hold(0)
        self.flow.resume_reading()
        try:
            self.data_received(early)
        except Exception:
            self.transport.abort()  # as the loop does with one that fails where data comes in
            raise

    # --- all other requests: uvicorn's parser, and its bounds

    def _parse(self, data: bytes) -> None:
        """Let the parser read on. It takes what follows an `Upgrade` for another protocol, of which we speak none: the
        request is one like any other (RFC 9110, section 7.8), with its body and all that follows."""
        self._unset_keepalive_if_required()
        self._moved = False
        rest = data if self._in_message or data.isascii() else quote_line(data)
        while rest and not self._is_deaf:
            try:
                self.parser.feed_data(rest)
                break
            except HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                self._read_body_again()
            except HttpParserError as error:
                self._stop_reading(explain(error) if self._problem is NOT_HTTP else self._problem)
        self._unfinished = 0 if self._moved else self._unfinished + len(data)
        has_room = self._hold(self._unfinished)
        if self._unfinished > HEAD_BYTES_MAX and not self._is_deaf:
            self._stop_reading(HEAD_TOO_LARGE)
        elif not has_room and not self._is_deaf:
            self._stop_reading(SPOOL_FULL)

    def _read_body_again(self) -> None:
        framing, self._framing = self._framing, b""
        if framing:
            self._is_muted = True
            try:
                self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % framing)
            except HttpParserError:
                self._stop_reading(NOT_HTTP)
            self._is_muted = False

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._is_muted:
            return
        if len(self.pipeline) >= PIPELINED_MAX:
            self.cycle.keep_alive = False
            # Nothing is wrong: all so far are answered, and the last answer says `close`.
            self._problem = None
            raise ValueError("pipelined")  # ends the parser
        self._in_message = self._in_head = True
        self._head_bytes = self._head_count = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of its address."""
        if self._is_muted:
            return
        self._count(len(url), 0)
        super().on_url(url)
        if len(self.url) > ADDRESS_BYTES_MAX:
            self._refuse_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body: one bound for both. A trailer is no header: what a proxy let
        through there must not stand for what it wrote into the head (RFC 9110, section 6.5.1)."""
        if self._is_muted:
            return
        self._count(len(name) + len(value) + 4, 1)
        if self._in_head:
            value = value.rstrip(b" \t")  # the parser leaves it at the end
            super().on_header(name, value)
            self._check_once(self.headers[-1][0], value)

    def _check_once(self, name: bytes, value: bytes) -> None:
        """Of what says whom a request is for and where it ends, one word: a proxy may have gone by the other."""
        if name == b"host" and sum(one == b"host" for one, _ in self.headers) > 1:
            self._problem = TWO_HOSTS
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            self._problem = UNKNOWN_CODING
        else:
            return
        raise ValueError(NOT_HTTP.code)  # ends the parser

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._is_muted:
            return
        self.waits_since, self._moved = 0.0, True
        scope: Scope = cast(Scope, self.scope)
        scope[PATIENT] = not self._under_way and self._is_patient
        super().on_headers_complete()
        self._in_head = False
        self._under_way += 1
        if self.parser.should_upgrade():
            framing = [one for one in self.headers if one[0] in (b"content-length", b"transfer-encoding")]
            self._framing = b"".join([b"%s: %s\r\n" % one for one in framing])

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._moved = True
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._framing:
            return
        self._in_message, self._moved = False, True
        if self.cycle is not None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is whole: the next head has its time from now on, whatever is left of this request's body."""
        self._under_way -= 1
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()
        elif self._under_way:
            return
        elif self._is_deaf:
            self._say_last()
        else:
            self.waits_since = self._answered_at = self.loop.time()
        self.cycle = None  # type: ignore[assignment]  # an idle connection keeps neither head nor body
        if not self._in_head:
            self.scope = self.headers = None  # type: ignore[assignment]
            self.url = b""

    def _stop_reading(self, why: Rejection | None) -> None:
        """Nothing more is read. All requests before this point are answered, in order; then `why` is said, if
        anything, and the connection ends."""
        self._holds = self._is_deaf = True
        self._last_word = why
        if self._in_message and not self._in_head:  # its body is wrong: `why` is the answer to this request
            if self.cycle is None or self.cycle.response_started:
                self._last_word = None  # it has one
            if self.pipeline:
                self.pipeline.popleft()
                self._under_way -= 1
            elif self.cycle is not None:
                self._under_way = 0
                self.cycle.disconnected = True  # ends its endpoint's waiting for the body
                self.cycle.message_event.set()
        if not self._under_way:
            self._say_last()

    def _say_last(self) -> None:
        if self._last_word is not None:
            self.transport.write(write_error(self._last_word, self.server_state.default_headers))
        self._close()

    def _close(self) -> None:
        """End the connection in order; with TLS data may still come in meanwhile."""
        self._holds = self._is_deaf = True
        self.waits_since = self.loop.time()
        self.transport.close()

    def _count(self, size: int, headers: int) -> None:
        self._head_bytes += size
        self._head_count += headers
        if self._head_bytes > HEAD_BYTES_MAX or self._head_count > HEADERS_MAX:
            self._refuse_head()

    def _refuse_head(self) -> None:
        self._problem = HEAD_TOO_LARGE
        raise ValueError(HEAD_TOO_LARGE.code)  # ends the parser


async def _refuse_surplus(_: Scope, __: Receive, send: Send) -> None:
    """The application of a connection beyond CONNECTIONS_MAX."""
    await send_error(send, 503, SPOOL_FULL, [*RETRY, (b"connection", b"close")])
