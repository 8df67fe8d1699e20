"""Requests that are odd, or that end their connection, with the answers to each."""

from __future__ import annotations

from tests.ingest.stage import PIXEL

HIDDEN = PIXEL % b"hidden"  # never a request of its own below
EVENT = b'{"event": "x", "id": "a"}'
KEY = b"Authorization: Bearer demo\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(EVENT)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
IN_CHUNKS = b"19\r\n" + EVENT + b"\r\n0\r\n\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


def get(*lines: bytes, version: bytes = b"1.1", address: bytes = b"/p.gif?k=demo&id=a") -> bytes:
    return b"GET %s HTTP/%s\r\n" % (address, version) + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(head: bytes, body: bytes) -> bytes:
    return b"POST /v1/events HTTP/1.1\r\n" + KEY + head + b"\r\n" + body


GOES_ON = {
    "an absolute address": (get(address=b"http://x/p.gif?k=demo&id=a"), ["200"]),
    "a fragment": (get(address=b"/p.gif?k=demo&id=a#b"), ["200"]),
    "an empty line before it": (b"\r\n" + get(), ["200"]),
    "no body by name": (get(b"Content-Length: 0"), ["200"]),
    "a body": (get(b"Content-Length: %d" % len(HIDDEN)) + HIDDEN, ["200"]),
    "a chunked body": (get(CHUNKED[:-2]) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN), ["200"]),
    "Expect without a body": (get(b"Expect: 100-continue"), ["200"]),
    "a WebSocket": (get(b"Connection: Upgrade", b"Upgrade: websocket"), ["200"]),
    "an upgrade with a body": (post(UPGRADE + LENGTH, EVENT), ["200"]),
    "an upgrade with a chunked body": (post(UPGRADE + CHUNKED, IN_CHUNKS), ["200"]),
    "an upgrade with an empty body": (get(UPGRADE[:-2], b"Content-Length: 0"), ["200"]),
    "an upgrade with a pixel for a body": (
        post(UPGRADE + b"Content-Length: %d\r\n" % len(HIDDEN), HIDDEN),
        ["400"],
    ),
    "a body that the endpoint does not read": (
        b"PUT /v1/events HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(HIDDEN), HIDDEN),
        ["405"],
    ),
    "another method of the pixel": (b"POST /p.gif?k=demo HTTP/1.1\r\nContent-Length: 0\r\n\r\n", ["405"]),
    "a query over its bound": (get(address=b"/p.gif?k=demo&p.x=" + b"y" * 17_000), ["413"]),
}
ENDS = {
    "close": (get(b"Connection: close"), ["200"]),
    "close, and more behind it": (get(b"Connection: close") + HIDDEN, ["200"]),
    "HTTP/1.0": (get(version=b"1.0"), ["200"]),
    "HTTP/1.0 with more behind it": (get(b"Connection: keep-alive", version=b"1.0") + HIDDEN, ["200"]),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN, ["400"]),
    "HTTP/0.9": (b"GET /p.gif?k=demo\r\n" + HIDDEN, ["400"]),
    "bare line ends": (get().replace(b"\r\n", b"\n") + HIDDEN, ["400"]),
    "a folded header": (get(b"A: b", b" c") + HIDDEN, ["400"]),
    "a space before the colon": (get(b"Content-Length : 5") + HIDDEN, ["400"]),
    "a NUL": (get(b"A: b\0c") + HIDDEN, ["400"]),
    "a bare CR": (get(b"A: b\rc") + HIDDEN, ["400"]),
    "CONNECT": (b"CONNECT x:80 HTTP/1.1\r\n\r\n" + HIDDEN, ["400"]),
    "two lengths": (post(LENGTH + b"Content-Length: 3\r\n", HIDDEN), ["400"]),
    "a length with a sign": (post(b"Content-Length: +25\r\n", HIDDEN), ["400"]),
    "a negative length": (post(b"Content-Length: -1\r\n", HIDDEN), ["400"]),
    "a length without end": (post(b"Content-Length: 99999999999999999999\r\n", HIDDEN), ["400"]),
    "a length and chunks": (post(LENGTH + CHUNKED, b"0\r\n\r\n" + HIDDEN), ["400"]),
    "chunks and a length": (post(CHUNKED + LENGTH, b"0\r\n\r\n" + HIDDEN), ["400"]),
    "another coding behind the chunks": (post(b"Transfer-Encoding: chunked, x\r\n", HIDDEN), ["400"]),
    "an unknown coding": (post(b"Transfer-Encoding: xchunked\r\n", HIDDEN), ["400"]),
    "the same behind an upgrade": (post(UPGRADE + b"Transfer-Encoding: xchunked\r\n", HIDDEN), ["400"]),
    "a chunk that is none": (post(CHUNKED, b"xyz\r\n" + HIDDEN), ["400"]),
    "garbage behind a POST": (post(LENGTH, EVENT) + b"\x16\x03\x01" + HIDDEN, ["200", "400"]),
    "garbage behind a pixel": (PIXEL % b"a" + b"\x16\x03\x01" + HIDDEN, ["200", "400"]),
    "a broken chunk behind a POST": (post(LENGTH, EVENT) + post(CHUNKED, b"xyz\r\n") + HIDDEN, ["200", "400"]),
    "an address over its bound": (get(address=b"/p.gif?k=demo&p.x=" + b"y" * 70_000) + HIDDEN, ["431"]),
}  # fmt: skip

# Headers and body behind the line and the Host → what the answer names.
REFUSALS = {
    "two lengths": (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhidden", "Content-Length: expected once"),
    "the same length twice": (
        b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "Content-Length: expected once",
    ),
    "lengths in a list": (b"Content-Length: 2, 2\r\n\r\n{}", "Content-Length: expected digits"),
    "a length with a sign": (b"Content-Length: +2\r\n\r\n{}", "Content-Length: expected digits"),
    "a length without end": (
        b"Content-Length: 99999999999999999999\r\n\r\n",
        "Content-Length: expected a number",
    ),
    "a length and chunks": (LENGTH + CHUNKED + b"\r\n", "Content-Length, Transfer-Encoding: expected one"),
    "chunks and a length": (CHUNKED + LENGTH + b"\r\n", "Content-Length, Transfer-Encoding: expected one"),
    "an unknown coding": (b"Transfer-Encoding: hidden\r\n\r\n", "Transfer-Encoding: expected chunked"),
    "two hosts": (b"Host: hidden.example\r\n\r\n", "Host: expected once"),
    "a space before a colon": (b"X-A: b\r\nX-Name : hidden\r\n\r\n", "X-Name: expected a name"),
    "no colon": (b"X-A: b\r\nhidden value\r\n\r\n", "a header: expected a name"),
    "a name with a bracket": (b"X(hidden): b\r\n\r\n", "a header: expected a name"),
    "a NUL in a value": (b"X-Name: hidden\0\r\n\r\n", "X-Name: expected no control characters"),
    "a folded value": (b"X-A: b\r\nX-Name: a\r\n hidden\r\n\r\n", "X-Name: expected its value in one line"),
    "a bare CR": (b"X-Name: a\rhidden: b\r\n\r\n", "X-Name: expected CR LF"),
    "a chunk that is none": (CHUNKED + b"\r\nhidden\r\n", "body: expected chunks"),
}
