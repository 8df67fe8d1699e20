"""Requests and answers of the fast path as bytes of HTTP/1.1 (RFC 9112): heads in, answers out; no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ingest.reading.fields import Rejection
from ingest.reading.pixel import GIF, QUERY_LENGTH_MAX
from ingest.serving.answers import GIF_HEADERS, RETRY, SPOOL_FULL, GifAnswer, HeaderList, status_of

HEAD_BYTES_MAX = 131_072  # of a request's line and headers; beyond it 431
ADDRESS_BYTES_MAX = 65_535  # of the address in that line, which httptools can take apart; the same
HEADERS_MAX = 100  # the same
# A head is remembered up to this, and what was read from it: 16,384 x 8 kB = 128 MB.
KEPT_HEAD_BYTES_MAX = 4_000

# Header lines and the empty one (RFC 9112, section 5; obsolete folding does not match): all of a request without body.
_HEAD = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*\r\n")
_ABOVE_ASCII = re.compile(rb"[\x80-\xff]+")
# What makes a request more than a line, facts about its sender and perhaps a body.
_NOT_PLAIN = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer"})

HEAD_TOO_LARGE = Rejection(
    "head_too_large",
    "The line and the headers of the request are too large.",
    f"request: expected at most {HEAD_BYTES_MAX:,} bytes, {ADDRESS_BYTES_MAX:,} of them in the address,"
    f" and {HEADERS_MAX} headers",
)
NOT_HTTP = Rejection("not_http", "This is no HTTP/1.1 request.", "request: expected HTTP/1.1 as in RFC 9112")
TWO_HOSTS = NOT_HTTP._replace(detail="Host: expected once (RFC 9112, section 3.2)")
UNKNOWN_CODING = NOT_HTTP._replace(detail="Transfer-Encoding: expected chunked, once, or none")


class Asked:
    """The ASGI side of one POST of the fast path: a body that is here, and an answer in one piece."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._start: Mapping[str, Any] = {}
        self._content: bytes | None = None

    async def receive(self) -> dict[str, Any]:
        """The body, then the end."""
        body, self._body = self._body, None
        if body is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Take the answer; it is written when the endpoint is through."""
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._content = message.get("body", b"")

    def answer(self, defaults: HeaderList) -> bytes:
        """What was sent, as bytes of HTTP/1.1. Raises RuntimeError where that was no whole answer."""
        if self._content is None or not self._start:
            raise RuntimeError("an endpoint returned without an answer")
        status, headers = self._start["status"], [*defaults, *self._start["headers"]]
        if status != 204 and b"content-length" not in dict(headers):
            headers.append((b"content-length", b"%d" % len(self._content)))
        return write_answer(status, headers, self._content)


def read_headers(head: bytes) -> HeaderList | None:
    """The headers of a head, names in lower case; None for one that is more than header lines and an empty one, or asks
    for more than an answer."""
    if len(head) > KEPT_HEAD_BYTES_MAX or _HEAD.fullmatch(head) is None:
        return None
    headers = []
    has_host = False
    for text in head[:-4].split(b"\r\n") if len(head) > 2 else ():
        name, _, value = text.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name in _NOT_PLAIN or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
        if name == b"host":
            if has_host:
                return None
            has_host = True
        headers.append((name, value))
    return headers if len(headers) <= HEADERS_MAX else None


def quote_line(data: bytes) -> bytes:
    """What came, its first line in ASCII: some senders write an address as it is read, which the parser refuses."""
    line, end, rest = data.partition(b"\r\n")
    if line.isascii() or len(line) > QUERY_LENGTH_MAX:
        return data
    return _ABOVE_ASCII.sub(lambda found: b"%%%s" % found[0].hex("%").encode(), line) + end + rest


def write_gif(answer: GifAnswer, defaults: HeaderList) -> bytes:
    """A GIF answer as bytes of HTTP/1.1."""
    return write_answer(answer.status, [*defaults, *GIF_HEADERS, *answer.more], GIF)


def explain(error: Exception) -> Rejection:
    """What the parser found wrong, in its words, which name the header and repeat nothing of the request."""
    reason = str(error)
    if not reason.isascii() or len(reason) > 100 or "callback" in reason:
        return NOT_HTTP
    return NOT_HTTP._replace(detail=f"{NOT_HTTP.detail}; {reason}")


def write_error(why: Rejection, defaults: HeaderList) -> bytes:
    """The last answer of a connection, as all errors are."""
    body = orjson.dumps(why._asdict())
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *(RETRY if why is SPOOL_FULL else ()),
    ]
    return write_answer(431 if why is HEAD_TOO_LARGE else status_of(why), [*defaults, *headers], body)


def write_failure(defaults: HeaderList) -> bytes:
    """What an endpoint that failed says, as uvicorn has it; the connection ends behind it."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"21"), (b"connection", b"close")]
    return write_answer(500, [*defaults, *headers], b"Internal Server Error")


def write_answer(status: int, headers: HeaderList, body: bytes) -> bytes:
    lines = [b"%s: %s\r\n" % header for header in headers]
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", body])
