"""Seam: one HTTP connection of the edge: uvicorn's protocol, the bounds it lacks, and a fast path for hits.

Nearly every hit is one whole `GET /p.gif?...` in one read, on a connection with nothing else under way. It is read here
and answered with one write: no parser's callbacks, no task, no ASGI messages. A whole POST to one of the hot endpoints
(the tag's beacon) takes the same fast path and calls its endpoint by ASGI, with less around it. Whatever looks
different is left to uvicorn, which calls the same endpoints, so the fast path may be picky
and never has to be clever.

For a hit a connection goes from IDLE to ANSWERING and back. TRANSITIONS has all other ways.
"""

from __future__ import annotations

import asyncio
import re
from enum import Enum, auto
from typing import Any, NoReturn, cast

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
    Receive,
    Scope,
    Send,
    send_error,
)
from ingest.serving.connections import Connections, Endpoint
from ingest.serving.http1 import (
    ADDRESS_BYTES_MAX,
    HEAD_BYTES_MAX,
    HEAD_TOO_LARGE,
    NOT_HTTP,
    Asked,
    explain,
    quote_line,
    read_headers,
    write_error,
    write_failure,
    write_gif,
)
from ingest.serving.parsed import (
    BETWEEN,
    HEAD_AGAIN,
    IN_BODY,
    IN_HEAD,
    UPGRADE,
    ParsedRequest,
    find_contradiction,
)

SURPLUS_MAX = 1_024  # further ones that may wait for their 503; beyond it they are closed at once
PIPELINED_MAX = 100  # requests that wait for the one before; then the connection ends. 100 x 4 kB = 400 kB
# Whoever sends its next request within so many seconds of an answer waited for it. Not less, as a busy loop reads late.
GOES_ON_S = 0.01

# `#` would end the query (RFC 3986, section 3.4); a longer query is no hit.
_LINE = re.compile(rb'GET /p\.gif\?([!"$-~]{0,%d}) HTTP/1\.1\r\n' % QUERY_LENGTH_MAX)
_POST = re.compile(rb'POST (/[A-Za-z0-9/._-]{0,100})(?:\?([!"$-~]{0,%d}))? HTTP/1\.1\r\n' % QUERY_LENGTH_MAX)
_LENGTH = re.compile(rb"[0-9]{1,7}")


class State(Enum):
    """Where a connection stands: who gets what it reads, and what it will do next."""

    IDLE = auto()  # nothing is under way: the next read may take the fast path
    ANSWERING = auto()  # a request of the fast path waits for its answer, and what comes meanwhile behind it
    LAST_ANSWER = auto()  # the same, but what comes is for nobody: the connection ends behind this answer
    PARSING = auto()  # uvicorn's parser is inside a request, or one that it read is not answered
    SURPLUS = auto()  # there are too many: the parser reads, and all it reads gets 503 and the end
    ENDING = auto()  # nothing more is read; what was read is answered, in order, then the last word is said
    CLOSED = auto()  # we ended it; with TLS data may still come in, for nobody
    LOST = auto()  # its peer is gone; an answer may still be under way to it

    __hash__ = object.__hash__  # Enum's own is a call of Python at each transition


# A look at a member through its class costs 0.1 µs, and a hit would take five.
IDLE, ANSWERING, LAST_ANSWER, PARSING, SURPLUS, ENDING, CLOSED, LOST = State

# What may follow a state. Any of them may be lost.
TRANSITIONS: dict[State, frozenset[State]] = {
    # A hit or a hot POST; anything else; it is one too many; the server stops.
    IDLE: frozenset({ANSWERING, PARSING, SURPLUS, CLOSED, LOST}),
    # It is answered; the server stops, the endpoint failed, or too much waits behind it.
    ANSWERING: frozenset({IDLE, LAST_ANSWER, LOST}),
    LAST_ANSWER: frozenset({CLOSED, LOST}),
    # All is read and answered; the parser stops; an answer ends the connection.
    PARSING: frozenset({IDLE, ENDING, CLOSED, LOST}),
    SURPLUS: frozenset({ENDING, CLOSED, LOST}),
    ENDING: frozenset({CLOSED, LOST}),
    CLOSED: frozenset({LOST}),
    LOST: frozenset(),
}


class Connection(HttpToolsProtocol):
    """One connection; granted that the application is an Edge."""

    # Python shares the keys of at most 30 attributes among objects, and uvicorn's are nearly as many: with ours in
    # slots a connection takes 3.6 kB instead of 4.8.
    __slots__ = (
        "_early",
        "_held",
        "_known",
        "_last_word",
        "_request",
        "_shared",
        "_state",
        "_under_way",
        "unsent",
        "waits_since",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._shared: Connections = config.loaded_app.connections
        self._state = IDLE
        # Since its last answer; a new one counts as if it had been silent long enough to be patient.
        self.waits_since = self.loop.time() - 2 * GOES_ON_S
        self.unsent = 0  # bytes of the answer that its peer had not taken when it was last looked at
        self._held = 0  # bytes that came for nobody yet, as counted in what all hold
        # Of the fast path:
        self._early = b""  # in ANSWERING: what came behind the request under way
        # The last head read and who it speaks of. None is b"": a read may end behind the line.
        self._known: tuple[bytes | None, RequestContext] = (None, RequestContext())
        # Of uvicorn's parser:
        self._request = ParsedRequest()
        self._under_way = 0  # requests that it has read and that are not answered
        # What is said once all is answered, None for nothing.
        self._last_word: Rejection | None = NOT_HTTP

    def _enter(self, state: State) -> None:
        if state is not self._state and state not in TRANSITIONS[self._state]:
            raise RuntimeError(f"a connection cannot go from {self._state.name} to {state.name}")
        self._state = state

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        shared = self._shared
        surplus = shared.enter(self, network_of(self.client[0]) if self.client is not None else "")
        if surplus:
            self._enter(SURPLUS)
            self.app = _refuse_surplus
        # Nobody is there any more; or nobody waits for more; or too many do.
        if self.client is None or shared.is_stopping or surplus > SURPLUS_MAX:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._shared.leave(self)
        self._enter(LOST)
        self._early = b""
        self._hold(0)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops: end when nothing is under way, else after the answer."""
        self._shared.is_stopping = True
        if self._state is ANSWERING:
            self._end_behind_answer()
        elif self._state is not LAST_ANSWER:
            super().shutdown()
            if self.transport.is_closing():
                self._close()

    def timeout_keep_alive_handler(self) -> None:
        """It has asked nothing for long since the parser's last request was answered."""
        if not self.transport.is_closing():
            self._close()

    @property
    def is_waiting(self) -> bool:
        """Whether the next thing that happens must come from its peer: a whole head, or the end."""
        state = self._state
        if state is PARSING or state is SURPLUS:
            return not self._under_way
        return state is IDLE or state is CLOSED

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        state = self._state
        if state is IDLE:
            if not self._take_hit(data) and not self._take_post(data):
                self._parse(data)
        elif state is PARSING or state is SURPLUS:
            self._parse(data)
        elif state is ANSWERING:
            self._keep_early(data)
        elif state is LAST_ANSWER:
            self.flow.pause_reading()

    # --- the fast path

    def _take_hit(self, data: bytes) -> bool:
        """In IDLE: whether this read was a hit for the fast path, which has been taken then."""
        line = _LINE.match(data)
        endpoint = self._shared.endpoint
        if line is None or endpoint is None or self.flow.write_paused:
            return False
        head = data[line.end() :]
        known, request_context = self._known
        if head != known:  # a browser repeats its own: 0.1 µs instead of 6
            read = self._read_head(head)
            if read is None:
                return False
            request_context = read
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._state = ANSWERING  # as the table has it: a hit is spared the call
        patient = self.loop.time() - self.waits_since > GOES_ON_S
        endpoint.take(line[1], request_context, self._answer, patient=patient)
        return True

    def _read_head(self, head: bytes) -> RequestContext | None:
        """Who is asking; None for a head that is more than header lines and an empty one."""
        read_request_context = self._shared.read_request_context
        headers = read_headers(head)
        if headers is None or read_request_context is None or self.client is None:
            return None
        if any(name == b"content-length" for name, _ in headers):
            return None
        self._known = head, read_request_context(self.client[0], headers)
        return self._known[1]

    @property
    def _is_patient(self) -> bool:
        """Whether its peer took its time after the last answer: a page's hits come when something happens there."""
        return self.loop.time() - self.waits_since > GOES_ON_S

    def _answer(self, answer: GifAnswer) -> None:
        """What the pixel's endpoint has to say, once."""
        defaults = self.server_state.default_headers
        self._write(self._shared.kept(defaults) if answer is KEPT else write_gif(answer, defaults))

    def _write(self, answer: bytes) -> None:
        """An answer of the fast path, whole; nobody hears it in LOST."""
        self.server_state.total_requests += 1
        if self._state is ANSWERING:
            self._state = IDLE  # as the table has it: a hit is spared the call
            self.transport.write(answer)
            self.waits_since = self.loop.time()
            if self._early:
                self._take_early()
        elif self._state is LAST_ANSWER:
            self.transport.write(answer)
            self._close()

    def _take_post(self, data: bytes) -> bool:
        """In IDLE: whether this read was a whole POST for a hot endpoint, which has been taken then."""
        line = _POST.match(data)
        if line is None or self.flow.write_paused:
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
        self._enter(ANSWERING)
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
            answer = write_failure(self.server_state.default_headers)
            if self._state is ANSWERING:
                self._end_behind_answer()
        except BaseException:  # uvicorn ends the task, as the stop takes too long
            self.transport.abort()
            raise
        self._write(answer)

    def _keep_early(self, data: bytes) -> None:
        """In ANSWERING: one at a time; what a pause of reading lets through is one read, 256 kB."""
        self._early += data
        self.flow.pause_reading()
        if not self._hold(len(self._early)):
            self._end_behind_answer()

    def _take_early(self) -> None:
        early, self._early = self._early, b""
        self._hold(0)
        self.flow.resume_reading()
        try:
            self.data_received(early)
        except Exception:
            self.transport.abort()  # as the loop does with one that fails where data comes in
            raise

    # --- the bounds of both, and the end

    def _hold(self, size: int) -> bool:
        """Count the bytes it keeps; False where all keep too many together."""
        more, self._held = size - self._held, size
        return self._shared.hold(more)

    def _end_behind_answer(self) -> None:
        """From ANSWERING on: the answer it waits for is the last."""
        self._enter(LAST_ANSWER)
        self._early = b""
        self._hold(0)

    def _close(self) -> None:
        """End the connection in order."""
        if self._state is not LOST:
            self._enter(CLOSED)
        self.waits_since = self.loop.time()
        self.transport.close()

    # --- all other requests: uvicorn's parser, and its bounds

    def _parse(self, data: bytes) -> None:
        """Let the parser read on. It takes what follows an `Upgrade` for another protocol, of which we speak none: the
        request is one like any other (RFC 9110, section 7.8), with its body and all that follows."""
        if self._state is IDLE:
            self._enter(PARSING)
        self._unset_keepalive_if_required()
        request = self._request
        request.unfinished += len(data)  # 0 again with each head or piece of a body
        rest = data if request.part is not BETWEEN or data.isascii() else quote_line(data)
        while rest:
            try:
                self.parser.feed_data(rest)
                break
            except HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :] if self._read_body_again() else b""
            except HttpParserError as error:
                self._stop_reading(explain(error, rest) if self._last_word is NOT_HTTP else self._last_word)
                break
        has_room = self._hold(request.unfinished)
        if self._state is PARSING or self._state is SURPLUS:
            if request.unfinished > HEAD_BYTES_MAX:
                self._stop_reading(HEAD_TOO_LARGE)
            elif not has_room:
                self._stop_reading(SPOOL_FULL)
        self._rest_if_through()

    def _rest_if_through(self) -> None:
        """From PARSING to IDLE, once all that the parser read is whole and answered."""
        if self._state is PARSING and not self._under_way and self._request.part is BETWEEN:
            self._enter(IDLE)

    def _read_body_again(self) -> bool:
        """False where that cannot be."""
        if self._request.part is UPGRADE:
            try:
                self.parser.feed_data(self._request.head_again())
            except HttpParserError:
                self._stop_reading(NOT_HTTP)
                return False
        return True

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._request.part is HEAD_AGAIN:
            return
        if len(self.pipeline) >= PIPELINED_MAX:
            # Nothing is wrong: all so far are answered, and the last answer says `close`.
            self.cycle.keep_alive = False
            self._end_parser(None)
        self._request.begin()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of its address."""
        if self._request.part is HEAD_AGAIN:
            return
        why = self._request.add(len(url))
        if why is not None:
            self._end_parser(why)
        super().on_url(url)
        if len(self.url) > ADDRESS_BYTES_MAX:
            self._end_parser(HEAD_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body: one bound for both. A trailer is no header: what a proxy let
        through there must not stand for what it wrote into the head (RFC 9110, section 6.5.1)."""
        request = self._request
        if request.part is HEAD_AGAIN:
            return
        why = request.add(len(name) + len(value) + 4, 1)
        if why is None and request.part is IN_HEAD:
            super().on_header(name, value.rstrip(b" \t"))  # the parser leaves it at the end
            why = find_contradiction(self.headers)
        if why is not None:
            self._end_parser(why)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        request = self._request
        if request.part is HEAD_AGAIN:
            request.part = IN_BODY
            return
        request.unfinished = 0
        scope: Scope = cast(Scope, self.scope)
        scope[PATIENT] = not self._under_way and self._is_patient
        super().on_headers_complete()
        self._under_way += 1
        request.end_head(self.headers, self.parser.should_upgrade())

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._request.unfinished = 0
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        request = self._request
        if request.part is UPGRADE:
            return
        request.part, request.unfinished = BETWEEN, 0
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
        elif self._state is ENDING:
            self._say_last()
        else:
            self.waits_since = self.loop.time()
            self._rest_if_through()
        self.cycle = None  # type: ignore[assignment]  # an idle connection keeps neither head nor body
        if self._request.part is not IN_HEAD:
            self.scope = self.headers = None  # type: ignore[assignment]
            self.url = b""

    def _end_parser(self, why: Rejection | None) -> NoReturn:
        """From a callback: `why` is the last word; the parser raises an error of its own."""
        self._last_word = why
        raise ValueError(why.code if why is not None else "pipelined")

    def _stop_reading(self, why: Rejection | None) -> None:
        """Nothing more is read. All requests before this point are answered, in order; then `why` is said, if
        anything, and the connection ends."""
        self._enter(ENDING)
        self._last_word = why
        if self._request.is_in_body:  # its body is wrong: `why` is the answer to this request
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


async def _refuse_surplus(_: Scope, __: Receive, send: Send) -> None:
    """The application of a connection beyond CONNECTIONS_MAX."""
    await send_error(send, 503, SPOOL_FULL, [*RETRY, (b"connection", b"close")])
