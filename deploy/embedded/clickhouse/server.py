"""The HTTP side: one thread a connection, keep-alive, answers streamed as the engine makes them."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

import orjson
import structlog

from deploy.embedded.clickhouse.bodies import Disconnected, has_body, read_body
from deploy.embedded.clickhouse.encodings import build_encoder, pick_encoding
from deploy.embedded.clickhouse.engine import Counts, Engine
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.form import is_form, read_form
from deploy.embedded.clickhouse.health import Health
from deploy.embedded.clickhouse.origin import check_origin
from deploy.embedded.clickhouse.request import Options, read_options
from deploy.embedded.clickhouse.running import Answer, Runner, Stream
from deploy.embedded.clickhouse.settings import Limits
from deploy.embedded.clickhouse.users import Users

log = structlog.get_logger()

_READ_BYTES = 256 << 10


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
        self._running = 0
        self._changed = threading.Condition()
        # TCPServer's own beginning would make a socket, which a confined process cannot: this one is bound already.
        BaseServer.__init__(self, listener.getsockname(), _Handler)
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()
        self.server_activate()

    def enter(self) -> None:
        """Count a query in; raises ClickHouseError 202 above the limit."""
        with self._changed:
            if self._running >= self.limits.running_count_max:
                raise ClickHouseError(
                    202,
                    "TOO_MANY_SIMULTANEOUS_QUERIES",
                    f"Too many simultaneous queries. Maximum: {self.limits.running_count_max}",
                )
            self._running += 1
            self.health.running.set(self._running)

    def leave(self) -> None:
        with self._changed:
            self._running -= 1
            self.health.running.set(self._running)
            self._changed.notify_all()

    def stop(self, wait_s_max: float) -> bool:
        """Take no more requests and wait for the running ones; whether all of them ended in time."""
        self.stopping = True
        self.shutdown()
        self.server_close()
        with self._changed:
            return self._changed.wait_for(lambda: self._running == 0, timeout=wait_s_max)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event; anything else is logged without the request's words."""
        log.warning("connection_failed", exc_info=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    wbufsize = 64 << 10
    rbufsize = 256 << 10
    disable_nagle_algorithm = True
    timeout = 600  # an idle or stalled connection is closed after so many seconds
    _body_left = False

    def version_string(self) -> str:
        return "fairpixel"

    def log_message(self, format: str, *args: Any) -> None:
        """Request lines hold queries, and queries may hold people: nothing is logged here."""

    def handle_expect_100(self) -> bool:
        """Say 100 Continue at once: curl waits a second for it before it sends a large body."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def do_GET(self) -> None:
        self._serve(read_only=True)

    def do_HEAD(self) -> None:
        self._serve(read_only=True)

    def do_POST(self) -> None:
        self._serve(read_only=False)

    def _serve(self, *, read_only: bool) -> None:
        self._query_id = ""
        self._body_left = has_body(self.headers)
        try:
            address = urlsplit(self.path)
            if address.path in _PAGES and not (address.path == "/" and (address.query or self._body_left)):
                _PAGES[address.path](self)
            elif address.path in ("/", "/query"):
                self._query(address.query, read_only)
            else:
                self._plain(404, f"There is no handle {address.path[:200]}\n\nTry GET / or POST /?query=\n")
        except ClickHouseError as error:
            self._fail(error)
        except (Disconnected, ConnectionError, TimeoutError):
            self.close_connection = True
        finally:
            if self._body_left:
                self.close_connection = True  # what is left of the body must not be read as a request
            try:
                self.wfile.flush()
            except OSError:
                self.close_connection = True

    def _query(self, address_query: str, read_only: bool) -> None:
        check_origin(self.headers, self.server.server_port)
        fields = parse_qsl(address_query, keep_blank_values=True, encoding="utf-8", errors="surrogateescape")
        user = self.server.users.authenticate(self.headers, dict(fields))
        started = time.perf_counter_ns()
        self.server.enter()
        try:
            pieces = read_body(cast(BinaryIO, self.rfile), self.headers, self.server.limits.body_bytes_max)
            files: dict[str, bytes] = {}
            if self.command == "POST" and is_form(self.headers):
                more, files = read_form(self.headers, pieces)
                fields += more
            options = read_options(fields, self.headers, files)
            self._query_id = options.query_id or str(uuid.uuid4())
            outcome = self.server.runner.run(user, options, pieces, read_only=read_only)
            for _ in pieces:  # a keep-alive connection needs its body read to the end
                pass
            self._body_left = False
            if isinstance(outcome, Stream):
                self._send_stream(outcome, options, started)
            else:
                self._send_answer(outcome, options, started)
            self.wfile.flush()  # before it is counted out: a stopping server ends when nothing is counted in
        finally:
            self.server.leave()

    def _send_answer(self, answer: Answer, options: Options, started: int) -> None:
        encoding = self._encoding(options) if answer.body else None
        encoder = build_encoder(encoding)
        body = encoder.push(answer.body) + encoder.end() if answer.body else b""
        self._head(200, answer.format, encoding, _summary(answer.counts, started))
        self._sized(body)

    def _send_stream(self, stream: Stream, options: Options, started: int) -> None:
        """Hold the first MiB back, so that an early error still gets its status; then send as it comes."""
        limit = 1 << 62 if options.hold_answer else self.server.limits.answer_hold_bytes
        held: list[bytes] = []
        size = 0
        try:
            while size < limit and (piece := self._read(stream)):
                held.append(piece)
                size += len(piece)
        except BaseException:
            stream.cancel()
            raise
        if size < limit or options.hold_answer:
            stream.finish()
            if stream.error:
                raise stream.error
            self._send_answer(Answer(b"".join(held), stream.format, stream.counts), options, started)
            return
        self._send_long(stream, held, options, started)

    def _send_long(self, stream: Stream, held: list[bytes], options: Options, started: int) -> None:
        encoding = self._encoding(options)
        encoder = build_encoder(encoding)
        tag = uuid.uuid4().hex[:16]
        try:
            self._head(200, stream.format, encoding, _summary(Counts(), started), tag)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in held:
                self._chunk(encoder.push(piece))
            held.clear()
            while piece := self._read(stream):
                self._chunk(encoder.push(piece))
        except BaseException:
            stream.cancel()
            raise
        stream.finish()
        if stream.error:
            self._chunk(encoder.push(self._late_error(stream.error, tag)))
            self._chunk(encoder.end())
            self.close_connection = True  # no last chunk: the client must not take this for a whole answer
            return
        self._chunk(encoder.end())
        if self.command != "HEAD":
            self.wfile.write(b"0\r\n\r\n")

    def _late_error(self, error: ClickHouseError, tag: str) -> bytes:
        """An error after the first rows, in the frame that ClickHouse's clients look for."""
        self.server.health.failed.labels(str(error.code)).inc()
        text = error.text(self.server.engine.version).encode()
        mark = tag.encode()
        return b"\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n" % (mark, text, len(text), mark)

    def _read(self, stream: Stream) -> bytes:
        """The next rows; raises Disconnected when the client goes away while the engine still works."""
        poll = select.poll()
        poll.register(stream.descriptor, select.POLLIN | select.POLLHUP)
        poll.register(self.connection.fileno(), select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        while True:
            ready = dict(poll.poll())
            if stream.descriptor in ready:
                return os.read(stream.descriptor, _READ_BYTES)
            if ready:
                raise Disconnected

    def _encoding(self, options: Options) -> str | None:
        return pick_encoding(self.headers.get("Accept-Encoding", "")) if options.compress_answer else None

    def _head(
        self, status: int, format_name: str, encoding: str | None, summary: bytes, tag: str | None = None
    ) -> None:
        engine = self.server.engine
        self.send_response(status)
        self.send_header("Content-Type", engine.content_types.get(format_name) or "text/plain; charset=UTF-8")
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.send_header("X-ClickHouse-Server-Display-Name", "fairpixel")
        self.send_header("X-ClickHouse-Query-Id", _one_line(self._query_id))
        self.send_header("X-ClickHouse-Format", _one_line(format_name))
        self.send_header("X-ClickHouse-Timezone", engine.timezone)
        if tag:
            self.send_header("X-ClickHouse-Exception-Tag", tag)
        self.send_header("X-ClickHouse-Summary", summary.decode())

    def _fail(self, error: ClickHouseError) -> None:
        self.server.health.failed.labels(str(error.code)).inc()
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
        self._sized(error.text(self.server.engine.version).encode())

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
