"""The HTTP side: one thread a connection, keep-alive, answers streamed as the engine makes them."""

from __future__ import annotations

import io
import math
import os
import select
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl

import orjson
import structlog

from deploy.embedded.clickhouse.blocks import read_blocks
from deploy.embedded.clickhouse.bodies import Disconnected, bounded, has_body, read_body
from deploy.embedded.clickhouse.connections import Connections, TimedReader, TimedWriter, end_gently
from deploy.embedded.clickhouse.encodings import build_encoder, pick_encoding
from deploy.embedded.clickhouse.engine import Counts, Engine
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.form import is_form, read_form
from deploy.embedded.clickhouse.heads import Head, HeaderFields, bad_request, read_head
from deploy.embedded.clickhouse.health import Health
from deploy.embedded.clickhouse.native import shape_of
from deploy.embedded.clickhouse.origin import check_origin
from deploy.embedded.clickhouse.request import Options, has_blocks, read_options
from deploy.embedded.clickhouse.running import Answer, Runner, Stream, timed_out
from deploy.embedded.clickhouse.settings import Limits
from deploy.embedded.clickhouse.slots import Budget
from deploy.embedded.clickhouse.users import User, Users

log = structlog.get_logger()

_READ_BYTES = 256 << 10
_TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 21\r\n\r\n"
    b"Too many connections\n"
)


class Server(ThreadingHTTPServer):
    """Serves on loopback until `stop`; running requests end before it returns."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(
        self,
        listener: socket.socket,
        engine: Engine,
        runner: Runner,
        users: Users,
        health: Health,
        limits: Limits,
    ) -> None:
        self.engine = engine
        self.runner = runner
        self.users = users
        self.health = health
        self.limits = limits
        self.stopping = False
        self.connections = Connections(limits.connection_count_max)
        self.sessions = runner.sessions
        self.reader_bodies = Budget(limits.reader_bodies_bytes_max)
        self.reader_answers = Budget(limits.reader_answers_bytes_max)
        self._running = 0
        self._changed = threading.Condition()
        health.watch(runner.slots, self.connections)
        # TCPServer's own beginning would make a socket, which a confined process cannot: this one is bound already.
        BaseServer.__init__(self, listener.getsockname(), _Handler)
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()
        self.server_activate()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread of its own, or say at once that there are too many."""
        if self.connections.admit(request):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.settimeout(0.0)
            request.sendall(_TOO_MANY_CONNECTIONS)
        super().shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        self.connections.release(request)
        super().shutdown_request(request)

    def enter(self) -> None:
        """Count a request in, so that a stopping server waits for its answer."""
        with self._changed:
            self._running += 1

    def leave(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def stop(self, wait_s_max: float) -> bool:
        """Take no more requests and wait for the running ones; whether all of them ended in time."""
        deadline = time.monotonic() + wait_s_max
        self.stopping = True
        self.shutdown()
        self.server_close()
        with self._changed:
            answered = self._changed.wait_for(lambda: self._running == 0, timeout=wait_s_max)
        return self.runner.slots.wait_empty(max(0.0, deadline - time.monotonic())) and answered

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event; anything else is logged without the request's words."""
        log.warning("connection_failed", exc_info=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    disable_nagle_algorithm = True
    headers: HeaderFields  # type: ignore[assignment]  # all that is asked of them is get and in
    _body_left = False
    _answered = False
    _close_after_answer = False
    _is_writer = False
    _held_bytes = 0

    def setup(self) -> None:
        super().setup()
        self._timed, self._sending = TimedReader(self.connection), TimedWriter(self.connection)
        self._timed.allow(self.server.limits.head_s_max)
        self.rfile = self._reader = io.BufferedReader(self._timed, 256 << 10)
        self.wfile = io.BufferedWriter(self._sending, 64 << 10)

    def finish(self) -> None:
        with suppress(OSError):
            self.wfile.flush()
            if self._body_left:
                end_gently(self.connection)
        with suppress(OSError):
            self.wfile.close()

    def version_string(self) -> str:
        return "fairpixel"

    def log_message(self, format: str, *args: Any) -> None:
        """Request lines hold queries, and queries may hold people: nothing is logged here."""

    def handle_one_request(self) -> None:
        """Read one request and answer it, whatever it is; a silent connection is closed."""
        self.close_connection = True
        self.command, self.requestline, self.request_version = "", "", "HTTP/1.1"
        self._query_id, self._answered, self._body_left = "", False, False
        self._headers_buffer: list[bytes] = []
        self._sending.deadline = math.inf
        try:
            if not self._reader.peek(1):
                return
            self._timed.allow(self.server.limits.head_s_max)
            self._body_left = True  # until it is known what follows
            head = read_head(cast(BinaryIO, self.rfile))
            if head is None:
                return
            self._serve(head)
        except ClickHouseError as error:
            self._fail(error)
        except TimeoutError:
            if self._body_left:
                self._fail(bad_request("it did not come whole in time", 408))
        except (Disconnected, ConnectionError):
            self._body_left = False
        except Exception as error:  # every request has its answer; nothing of it goes into the log
            log.error("request_failed", error=type(error).__name__)
            self._fail(ClickHouseError(1001, "STD_EXCEPTION", f"This server failed: {type(error).__name__}"))
        finally:
            if self._body_left:
                self.close_connection = True  # what is left of the body must not be read as a request
            try:
                self.wfile.flush()
            except OSError:
                self.close_connection = True
            limits = self.server.limits
            self._timed.allow(limits.idle_writer_s_max if self._is_writer else limits.idle_s_max)

    def _serve(self, head: Head) -> None:
        self.command, self.headers = head.method, head.headers
        self._body_left = has_body(head.headers)
        if head.method not in ("GET", "HEAD", "POST"):
            raise ClickHouseError(
                48, "NOT_IMPLEMENTED", "Only GET, HEAD and POST are served here", status=501
            )
        limits = self.server.limits
        self._timed.allow(limits.body_s_max, limits.body_bytes_per_s)
        if self._body_left and "Expect" in head.headers:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # at once: curl waits a second for it
            self.wfile.flush()
        path, _, query = head.target.partition("?")
        if path in _PAGES and not (path == "/" and (query or self._body_left)):
            _PAGES[path](self)
        elif path in ("/", "/query"):
            self._query(query.partition("#")[0], read_only=head.method != "POST")
        else:
            self._plain(404, f"There is no handle {_one_line(path)}\n\nTry GET / or POST /?query=\n")
        self.close_connection = not head.keeps_alive or self._close_after_answer

    def _query(self, address_query: str, *, read_only: bool) -> None:
        check_origin(self.headers, self.server.server_port)
        fields = parse_qsl(address_query, keep_blank_values=True, encoding="utf-8", errors="surrogateescape")
        user = self.server.users.authenticate(self.headers, dict(fields))
        self._is_writer = not user.readonly
        self.server.enter()
        self._held_bytes = 0
        charged: list[int] = []
        try:
            pieces = self._pieces(user, charged, blocks=has_blocks(fields))
            self._answer(user, fields, pieces, read_only=read_only)
            self.wfile.flush()  # before it is counted out: a stopping server ends when nothing is counted in
        finally:
            self.server.reader_bodies.give_back(sum(charged))
            self.server.reader_answers.give_back(self._held_bytes)
            self.server.leave()

    def _pieces(self, user: User, charged: list[int], *, blocks: bool) -> Iterator[bytes]:
        """The body, out of its `blocks` if it comes in some; a reader's counts against what all readers may hold."""
        limits = self.server.limits
        most = limits.reader_body_bytes_max if user.readonly else limits.body_bytes_max
        pieces = read_body(cast(BinaryIO, self.rfile), self.headers, most)
        if blocks:
            block_max = limits.reader_block_bytes_max if user.readonly else limits.block_bytes_max
            pieces = bounded(read_blocks(pieces, block_max), most)
        for piece in pieces:
            if user.readonly:
                self.server.reader_bodies.take(len(piece))
                charged.append(len(piece))
            yield piece

    def _answer(
        self, user: User, fields: list[tuple[str, str]], pieces: Iterator[bytes], *, read_only: bool
    ) -> None:
        """Read first and take a slot then: a body that trickles holds none."""
        started = time.perf_counter_ns()
        files: dict[str, bytes] = {}
        if self.command == "POST" and is_form(self.headers):
            more, files = read_form(self.headers, pieces)
            fields += more
        options = read_options(fields, self.headers, files)
        self._query_id = options.query_id or str(uuid.uuid4())
        runner, connections = self.server.runner, self.server.connections
        options, session = self.server.sessions.join(options, is_reader=user.readonly)
        statement = runner.read(options, pieces)
        slot = runner.slots.take(is_reader=user.readonly)
        connections.mark(self.connection, is_working=True, is_writer=not user.readonly)
        try:
            task = runner.start(slot, user, options, statement, session, read_only=read_only)
            outcome = task.wait(self._is_gone if statement.insert is None else lambda: False)
            for _ in pieces:  # a keep-alive connection needs its body read to the end
                pass
            self._body_left = False
            if isinstance(outcome, Stream):
                self._send_stream(outcome, options, started)
            else:
                self._hold(len(outcome.body))
                self._send_answer(outcome, options, started)
        finally:
            connections.mark(self.connection, is_working=False)

    def _hold(self, count: int) -> None:
        """Count bytes of a reader's answer that wait here; raises ClickHouseError when all readers' are too many."""
        if not self._is_writer:
            self.server.reader_answers.take(count)
            self._held_bytes += count

    def _send_answer(self, answer: Answer, options: Options, started: int) -> None:
        # The engine has done its work: a client that is slow to take what came of it leaves for a new one.
        self.server.connections.mark(self.connection, is_working=False)
        encoding = self._encoding(options) if answer.body else None
        encoder = build_encoder(encoding, blocks=options.blocks_answer)
        shape = shape_of(answer.format, options.protocol_version)
        body = encoder.push(shape(answer.body)) + encoder.end() if answer.body else b""
        limits = self.server.limits
        self._sending.deadline = time.monotonic() + limits.body_s_max + len(body) / limits.body_bytes_per_s
        self._head(200, answer.format, encoding, options, _summary(answer.counts, started))
        self._sized(body)

    def _send_stream(self, stream: Stream, options: Options, started: int) -> None:
        """Hold the first MiB back, so that an early error still gets its status; then send as it comes."""
        limits = self.server.limits
        limit = limits.held_answer_bytes_max if options.hold_answer else limits.answer_hold_bytes
        held: list[bytes] = []
        size = 0
        try:
            while size < limit and (piece := self._read(stream)):
                self._hold(len(piece))
                held.append(piece)
                size += len(piece)
        except BaseException:
            stream.cancel()
            raise
        if size < limit:
            stream.finish()
            if stream.error:
                raise stream.error
            whole = b"".join(held)
            held.clear()
            self._send_answer(Answer(whole, stream.format, stream.counts), options, started)
            return
        self._send_long(stream, held, options, started)

    def _send_long(self, stream: Stream, held: list[bytes], options: Options, started: int) -> None:
        encoding = self._encoding(options)
        encoder = build_encoder(encoding, blocks=options.blocks_answer)
        shape = shape_of(stream.format, options.protocol_version)
        tag = uuid.uuid4().hex[:16]
        try:
            held[:] = map(shape, held)
        except ClickHouseError:  # before the head, so that it gets its status
            stream.cancel()
            raise
        self._sending.deadline = stream.deadline  # a client that does not read must not keep the slot
        try:
            self._head(200, stream.format, encoding, options, _summary(Counts(), started), tag)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in held:
                self._chunk(encoder.push(piece))
            held.clear()
            while piece := self._read(stream):
                self._chunk(encoder.push(shape(piece)))
        except ClickHouseError as error:  # its time is over
            stream.cancel()
            stream.error = error
        except BaseException:
            self._sending.deadline = 0.0  # what is left in the buffer is not worth waiting for
            stream.cancel()
            raise
        else:
            stream.finish()
        self._sending.deadline = math.inf
        if stream.error:
            self._chunk(encoder.push(self._late_error(stream.error, tag)))
            self._chunk(encoder.end())
            self._close_after_answer = True  # no last chunk: this must not be taken for a whole answer
            return
        self._chunk(encoder.end())
        if self.command != "HEAD":
            self.wfile.write(b"0\r\n\r\n")

    def _late_error(self, error: ClickHouseError, tag: str) -> bytes:
        """An error after the first rows, in the frame that ClickHouse's clients look for."""
        self.server.health.failed.labels(str(error.code)).inc()
        text = error.text(self.server.engine.version).encode("utf-8", "replace")
        mark = tag.encode()
        return b"\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n" % (mark, text, len(text), mark)

    def _read(self, stream: Stream) -> bytes:
        """The next rows; raises Disconnected when the client goes away, ClickHouseError when the time is over."""
        poll = select.poll()
        poll.register(stream.descriptor, select.POLLIN | select.POLLHUP)
        poll.register(self.connection.fileno(), select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        while (left := stream.deadline - time.monotonic()) > 0:
            ready = dict(poll.poll(left * 1000))
            if stream.descriptor in ready:
                return os.read(stream.descriptor, _READ_BYTES)
            if ready:
                raise Disconnected
        raise timed_out()

    def _is_gone(self) -> bool:
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        return bool(poll.poll(0))

    def _encoding(self, options: Options) -> str | None:
        return pick_encoding(self.headers.get("Accept-Encoding", "")) if options.compress_answer else None

    def _head(
        self,
        status: int,
        format_name: str,
        encoding: str | None,
        options: Options,
        summary: bytes,
        tag: str | None = None,
    ) -> None:
        engine = self.server.engine
        self.send_response(status)
        self.send_header("Content-Type", engine.content_types.get(format_name) or "text/plain; charset=UTF-8")
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.send_header("X-ClickHouse-Server-Display-Name", "fairpixel")
        self.send_header("X-ClickHouse-Query-Id", _one_line(self._query_id))
        self.send_header("X-ClickHouse-Format", _one_line(format_name))
        # Clients read times without a zone in this one.
        zone = options.settings.get("session_timezone") or engine.timezone
        self.send_header("X-ClickHouse-Timezone", _one_line(zone))
        if tag:
            self.send_header("X-ClickHouse-Exception-Tag", tag)
        self.send_header("X-ClickHouse-Summary", summary.decode())

    def end_headers(self) -> None:
        self._answered = True
        super().end_headers()

    def _fail(self, error: ClickHouseError) -> None:
        """Answer with an error, or end an answer that has begun."""
        self.server.health.failed.labels(str(error.code)).inc()
        if self._answered:
            self.close_connection = True
            return
        self._headers_buffer = []
        self.send_response(error.status)
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("X-ClickHouse-Server-Display-Name", "fairpixel")
        self.send_header("X-ClickHouse-Exception-Code", str(error.code))
        if self._query_id:
            self.send_header("X-ClickHouse-Query-Id", _one_line(self._query_id))
        if error.status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="ClickHouse server HTTP API"')
        if self._body_left:
            self.send_header("Connection", "close")
        self._sized(error.text(self.server.engine.version).encode("utf-8", "replace"))

    def _plain(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header(
            "Content-Type", "text/html; charset=UTF-8" if text == "Ok.\n" else "text/plain; charset=UTF-8"
        )
        self._sized(text.encode())

    def _sized(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _chunk(self, data: bytes) -> None:
        if data and self.command != "HEAD":
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _ok(self) -> None:
        self._plain(200, "Ok.\n")

    def _healthz(self) -> None:
        reason = self.server.health.check()
        self._plain(503 if reason else 200, f"{reason}\n" if reason else "Ok.\n")

    def _readyz(self) -> None:
        if self.server.stopping:
            self._plain(503, "stopping\n")
        else:
            self._healthz()

    def _metrics(self) -> None:
        self._plain(200, self.server.health.exposition())


_PAGES: dict[str, Callable[[_Handler], None]] = {
    "/": _Handler._ok,
    "/ping": _Handler._ok,
    "/replicas_status": _Handler._ok,
    "/healthz": _Handler._healthz,
    "/readyz": _Handler._readyz,
    "/metrics": _Handler._metrics,
}


def _summary(counts: Counts, started_ns: int) -> bytes:
    return orjson.dumps(
        {
            "read_rows": str(counts.read_rows),
            "read_bytes": str(counts.read_bytes),
            "written_rows": str(counts.written_rows),
            "written_bytes": str(counts.written_bytes),
            "total_rows_to_read": str(counts.read_rows),
            "result_rows": str(counts.result_rows),
            "result_bytes": str(counts.result_bytes),
            "elapsed_ns": str(time.perf_counter_ns() - started_ns),
        }
    )


def _one_line(value: str) -> str:
    """A client's word as a header value: nothing that could begin another header."""
    return "".join(c for c in value if " " <= c <= "~")[:200]
