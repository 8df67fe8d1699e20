"""Lines of logs: every format reads a row that survives a pack, skips the line, or says that it cannot read it."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from ingest.logs.access_log import LineReader
from ingest.logs.formats import FORMATS, detect
from ingest.logs.formats.pixel_queue import PixelQueueFormat
from ingest.reading.sites import Sites
from runtime.config import parse_config
from schemas.event import EVENT_FIELDS
from tests.fuzz.pieces import check_rows, stretch
from tests.ingest.builders import NOW_MS

LENGTH_MAX = 4_000
_SITES = Sites.of(parse_config("[sites.demo]\n"), {})
_PROPERTIES = EVENT_FIELDS.index("properties")
SEEDS = (
    b'\0' rb'203.0.113.7 - ann [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 12 "-" "Mozilla/5.0 \"x\""',
    b'\0' rb'shop.example:443 2001:db8::1 - - [17/May/2015:10:05:03 -0130] "\x16\x03\x01" 400 - "" "" extra',
    b'\0' b'a - - [17/May/2015:10:05:60 +0000] "GET / HTTP/1.1" 304 0',
    b'\0{"time_iso8601": "2026-01-31T12:00:00+00:00", "status": 200, "request": "GET / HTTP/1.1", "remote_addr": "a"}',
    b'\0{"msec": 1763799990.123, "status": "404", "uri": "/", "args": "", "host": "h", "body_bytes_sent": "\xd9\xa3"}',
    b'\0{"level": "info", "ts": 1763799990.5, "logger": "http.log.access", "msg": "handled request", "status": 200,'
    b' "request": {"remote_ip": "a", "method": "GET", "uri": "/", "host": "h", "headers": {"User-Agent": ["x"]}}}',
    b"\0#Fields: date time sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status\n"
    b"2026-01-31\t12:00:00\t10\ta\tGET\th\t/x%2520y\t200",
    b'\0https 2026-01-31T12:00:00.1Z app/x 203.0.113.7:1 10.0.0.1:80 0 0 0 200 200 1 2 "GET https://h:443/ HTTP/1.1"'
    b' "x" a b',
    b'\0{"t": 1763799990.1, "s": 200, "m": "GET", "q": "k=demo&e=x&v=1", "n": "203.0.113", "a": "x", "p": "", "g": ""}',
    b'\0{"t": 1e30, "s": 200, "m": "GET", "q": "k=demo"}', b'\xc0\\"', b'\xc0"\\', b"\xc0 - ", b"\xb0{\\x",
)  # fmt: skip
WORDS = (
    b"[17/May/2015:10:05:03 +0000]", b'"GET / HTTP/1.1"', b' "-"', b" 200 ", b"\\x", b'\\"', b'"ts":', b'"status":',
    b"#Fields:",
    b"\t", b"cs-uri-stem", b"https://", b":443", b"1e400", b"9999-12-31T23:59:59Z", b"\xd9\xa3", b"date time",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """Lines of one file, stretched."""
    lines = stretch(data).split(b"\n")[:50]
    detect(lines, NOW_MS)
    for read in _readers():
        rows = []
        for line in lines:
            if row := read(line, "id"):
                rows.append(row)
                if row[_PROPERTIES]:
                    assert isinstance(orjson.loads(row[_PROPERTIES]), dict)
        check_rows(rows)


def _readers() -> Iterator[LineReader]:
    for make in FORMATS.values():
        yield make("demo", "shop.example", NOW_MS)
    yield PixelQueueFormat(_SITES.find, NOW_MS)
