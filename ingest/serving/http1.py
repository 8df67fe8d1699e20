"""Requests and answers of the fast path as bytes of HTTP/1.1 (RFC 9112): heads in, answers out; no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
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
_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,60}")
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
_ONE_FRAMING = "Content-Length, Transfer-Encoding: expected one of them, not both (RFC 9112, section 6.1)"
_CHUNKS = "body: expected chunks, each as its size, line end, data, line end (RFC 9112, section 7.1)"
_FIRST_LINE = (
    "request line: expected method, address without spaces and HTTP/1.1, ended by CR LF (RFC 9112, section 3)"
)
# What the parser says → the rule.
_RULES: Mapping[str, str] = {
    "Duplicate Content-Length": "Content-Length: expected once (RFC 9112, section 6.3)",
    "Invalid character in Content-Length": "Content-Length: expected digits alone (RFC 9110, section 8.6)",
    "Empty Content-Length": "Content-Length: expected digits alone (RFC 9110, section 8.6)",
    "Content-Length overflow": "Content-Length: expected a number below 2^64",
    "Transfer-Encoding can't be present with Content-Length": _ONE_FRAMING,
    "Content-Length can't be present with Transfer-Encoding": _ONE_FRAMING,
    "Content-Length can't be present with chunked encoding": _ONE_FRAMING,
    "Invalid `Transfer-Encoding` header value": UNKNOWN_CODING.detail,
    "Invalid method encountered": _FIRST_LINE,
    "Expected HTTP/, RTSP/ or ICE/": _FIRST_LINE,
    "Expected HTTP/": _FIRST_LINE,
    "Expected CRLF after version": _FIRST_LINE,
    "Expected space after method": _FIRST_LINE,
    "Invalid HTTP version": _FIRST_LINE,
    "Invalid characters in url": _FIRST_LINE,
    "Pause on PRI/Upgrade": _FIRST_LINE,
    "Invalid character in chunk size": _CHUNKS,
    "Expected LF after chunk data": _CHUNKS,
    "Chunk size overflow": _CHUNKS,
}
# The same of a header that the parser does not name.
_HEADER_RULES: Mapping[str, str] = {
    "Invalid header token": "expected a name of letters, digits and hyphens, then a colon (RFC 9112, section 5.1)",
    "Invalid header value char": "expected no control characters (RFC 9110, section 5.5)",
    "Unexpected whitespace after header value": "expected its value in one line (RFC 9112, section 5.2)",
    "Missing expected LF after header value": "expected CR LF at its end and no other CR (RFC 9112, section 2.2)",
    "Missing expected CR after header value": "expected CR LF at its end (RFC 9112, section 2.2)",
}


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


def explain(error: Exception, data: bytes = b"") -> Rejection:
    """Which rule a request breaks that the parser will not read, and in which header; never a header's value.

    data: what the parser was given, from where it tells the header's name.
    """
    reason = str(error)
    rule = _RULES.get(reason)
    if rule is not None:
        return NOT_HTTP._replace(detail=rule)
    rule = _HEADER_RULES.get(reason)
    if rule is not None:
        return NOT_HTTP._replace(detail=f"{_name_bad_header(data) or 'a header'}: {rule}")
    if not reason.isascii() or len(reason) > 100 or "callback" in reason:
        return NOT_HTTP
    return NOT_HTTP._replace(detail=f"{NOT_HTTP.detail}; {reason}")


def _name_bad_header(data: bytes) -> str:
    """The name of the first header that is none, as its sender wrote it; "" where it has none, or is not all here."""
    lines = data[:HEAD_BYTES_MAX].partition(b"\r\n\r\n")[0].split(b"\r\n")[1 : HEADERS_MAX + 1]
    for before, line in pairwise([*lines, b""]):
        if _HEADER.fullmatch(before) is None or line[:1] in (b" ", b"\t"):
            name = before.partition(b":")[0].rstrip(b" \t")
            return name.decode("ascii") if _NAME.fullmatch(name) else ""
    return ""


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
