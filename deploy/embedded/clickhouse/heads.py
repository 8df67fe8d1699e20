"""Read the head of a request in the one way it can be read; what could be read otherwise is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO, overload

from deploy.embedded.clickhouse.errors import ClickHouseError

LINE_BYTES_MAX = 64 << 10  # a query may come in the address
HEAD_BYTES_MAX = 128 << 10
HEADER_COUNT_MAX = 100

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[^\x00-\x20\x7f]*+) HTTP/1\.([01])\r\n", re.DOTALL)
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*+)\r\n", re.DOTALL)
_LENGTH = re.compile(r"[0-9]{1,18}\Z")

# Headers that mean one thing: a second one, even the same again, could be read by somebody else instead.
_SINGLE = frozenset(
    {
        "host",
        "authorization",
        "content-length",
        "transfer-encoding",
        "content-type",
        "content-encoding",
        "expect",
        "origin",
        "sec-fetch-site",
        "x-clickhouse-user",
        "x-clickhouse-key",
        "x-clickhouse-database",
        "x-clickhouse-format",
        "x-clickhouse-query-id",
    }
)


class HeaderFields:
    """Header values by name, whatever the case of the name."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    @overload
    def get(self, name: str, /) -> str | None: ...

    @overload
    def get(self, name: str, default: str, /) -> str: ...

    def get(self, name: str, default: str | None = None, /) -> str | None:
        return self._values.get(name.lower(), default)

    def __contains__(self, name: str, /) -> bool:
        return name.lower() in self._values


@dataclass(frozen=True, slots=True)
class Head:
    """One request's line and headers; `keeps_alive` says whether another request may follow on its connection."""

    method: str
    target: str
    minor: int
    headers: HeaderFields
    keeps_alive: bool


def bad_request(what: str, status: int = 400) -> ClickHouseError:
    return ClickHouseError(36, "BAD_ARGUMENTS", f"Bad request: {what}", status=status)


def read_head(stream: BinaryIO) -> Head | None:
    """The next head; None when the connection ends before its first byte. Raises ClickHouseError for a bad one."""
    line = stream.readline(LINE_BYTES_MAX + 1)
    if line == b"\r\n":  # one empty line may stand before a request
        line = stream.readline(LINE_BYTES_MAX + 1)
    if not line:
        return None
    method, target, minor = _request_line(line)
    headers = _headers(stream, HEAD_BYTES_MAX - len(line))
    _check_meaning(headers, minor)
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    keeps_alive = "close" not in options and (minor == 1 or "keep-alive" in options)
    return Head(method, target, minor, headers, keeps_alive)


def _request_line(line: bytes) -> tuple[str, str, int]:
    if len(line) > LINE_BYTES_MAX:
        raise bad_request(f"the request line is longer than {LINE_BYTES_MAX} bytes", 414)
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise bad_request("the request line is not METHOD /path HTTP/1.1")
    method, target, minor = match.groups()
    return method.decode(), target.decode("latin-1"), int(minor)


def _headers(stream: BinaryIO, bytes_left: int) -> HeaderFields:
    values: dict[str, str] = {}
    count = 0
    while (line := stream.readline(bytes_left + 1)) != b"\r\n":
        bytes_left -= len(line)
        count += 1
        if bytes_left < 0 or count > HEADER_COUNT_MAX:
            raise bad_request(f"more than {HEADER_COUNT_MAX} headers or {HEAD_BYTES_MAX} bytes of them", 431)
        match = _HEADER.fullmatch(line)
        if match is None:
            raise bad_request("a header line is not name: value")
        name, value = match[1].decode().lower(), match[2].decode("latin-1").rstrip(" \t")
        if name in values and name in _SINGLE:
            raise bad_request(f"the header {name} is given twice")
        values[name] = f"{values[name]}, {value}" if name in values else value
    return HeaderFields(values)


def _check_meaning(headers: HeaderFields, minor: int) -> None:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if minor == 1 and "host" not in headers:
        raise bad_request("the header host is missing")
    if length is not None and coding is not None:
        raise bad_request("the headers content-length and transfer-encoding exclude each other")
    if length is not None and not _LENGTH.match(length):
        raise bad_request("the header content-length is no number")
    if coding is not None and (minor == 0 or coding.lower() != "chunked"):
        raise bad_request("the header transfer-encoding: only chunked is known here", 501)
    if headers.get("expect", "100-continue").lower() != "100-continue":
        raise bad_request("the header expect: only 100-continue is known here", 417)
