"""Lines of access logs → rows: ids from content, the parts all formats share, and the combined format and its kin.

Each line is one event named `request`. `kind` is page for what a person would call a page view (a GET answered with
2xx or 304 whose path names no asset), custom for the rest. The name is not page_view: a site with a pixel and a log
would count each view twice.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final, Protocol, TypeAlias

from ingest.logs.lines.escapes import plain_target, plain_text
from ingest.logs.lines.front import address_of, begins_with_address, read_front, user_of
from ingest.logs.lines.target import host_of, origin_of, split_request, url_of
from ingest.logs.lines.times import parse_log_time, time_of
from ingest.reading.fields import LANGUAGE_LENGTH_MAX, TRUSTED_AHEAD_MS_MAX, TRUSTED_TIME_MS_MIN
from ingest.reading.row import PROTOCOL, Row, build_row, with_text
from ingest.reading.sites import SECRET
from schemas.event import EVENT_ID_LENGTH_MAX, TEXT_LENGTH_MAX

NAME = "request"
SOURCE = "log"
LINE_BYTES_MAX = 32_000  # a longer line is no line of a web server
QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
# The usual line without an escape, and in it the usual request in parts, any other whole; 1.2 µs.
_USUAL = (
    r'([^ ,"\t]+) - ([^ \t]+) \[([^\]]{26})\] '
    r'"(?:([A-Za-z]{1,20}) (/(?!/)[^ "\\]*) HTTP/[^ "\\]*|([^"\\]*))" (\d{3}) (\d+|-)'
)
_LINE = re.compile(rf'{_USUAL} "([^"\\]*)" "([^"\\]*)"(?: .*)?', re.DOTALL)
_COMMON_LINE = re.compile(_USUAL)
# Any other: what stands before the time is read by `read_front`, and spaces are as many as the server writes.
_GAP = r"[ \t]+"
_OTHER_COMMON = rf"([^\[]*+(?:\[[^\[]*+)*?)\[([^\[\]]{{19,40}})\]{_GAP}{QUOTED}{_GAP}(\d{{3}}|-){_GAP}(\d+|-)"
_OTHER_LINE = re.compile(rf"{_OTHER_COMMON}{_GAP}(?:{QUOTED}|-){_GAP}(?:{QUOTED}|-)(?:[ \t].*)?", re.DOTALL)
_OTHER_COMMON_LINE = re.compile(rf"{_OTHER_COMMON}(?:[ \t]+[\d.-]+)*[ \t]*", re.DOTALL)
_VHOST = re.compile(rb"[ \t]*(\S+)[ \t]+")  # what stands before a line of vhost_combined
# Of UTF-8, where a file begins (RFC 3629, section 6), also one that was put behind another.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PAGE_ENDINGS = frozenset({"html", "htm", "xhtml", "shtml", "php", "asp", "aspx", "jsp", "cfm"})
_USUAL_PORTS = ("", "80", "443")
_HOSTS_MAX = 10_000  # virtual hosts whose readers are kept
_MINUTES_MAX = 20_000  # remembered minutes: two weeks of a log, about 2 MB


class LineIds:
    """Ids made from content: the same line in the same place among its like has the same id in every import.

    Identical lines are told apart by their ordinal. Only lines of the last one to two million are compared
    (about 300 MB): identical lines name the same second, so they stand close together.
    """

    def __init__(self, secret: bytes, generation_lines_max: int = 1_000_000) -> None:
        """secret: the platform's identity secret; without it nobody can tell from an id which line it was."""
        # As identity.content_id, with the keyed state copied: 1.25 µs a line with the count, as content_id without it.
        self._base = blake2b(key=secret[:64], digest_size=16, person=b"content id")
        self._generation_lines_max = generation_lines_max
        self._counts: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}

    def next(self, line: bytes) -> str:
        """The id of this line, which is the next of its like."""
        state = self._base.copy()
        state.update(len(line).to_bytes(4, "big") + line)
        first = state.copy()
        first.update(b"\0\0\0\x010")
        digest = first.digest()
        ordinal = self._counts.get(digest)
        if ordinal is None:
            ordinal = self._older.get(digest, 0)
        self._counts[digest] = ordinal + 1
        if len(self._counts) >= self._generation_lines_max:
            self._older, self._counts = self._counts, {}
        if not ordinal:
            return digest.hex()
        number = b"%d" % ordinal
        state.update(len(number).to_bytes(4, "big") + number)
        return state.hexdigest()


SKIPPED: Final[tuple[()]] = ()  # a line that is no request and needs none, such as a header
ReadLine: TypeAlias = Row | tuple[()] | None


class LineReader(Protocol):
    """A log format: one line without its end, the event's id → a row, SKIPPED, or None where nobody can read it."""

    now_ms: int  # time of receipt of what is read

    def __call__(self, line: bytes, event_id: str) -> ReadLine: ...


def request_row(
    site: str,
    event_id: str,
    protocol: str,
    now_ms: int,
    occurred_at: int,
    *,
    method: str,
    path: str,
    status: str,
    size: str,
    url: str,
    ip: str,
    user_agent: str,
    referrer: str = "",
    user_id: str = "",
    language: str = "",
    flags: int = 0,
) -> Row | None:
    """The row of one request, None where its time cannot be true. occurred_at: ms since 1970; 0: not readable.

    status, size: digits, or "-"; path: what decides whether the request was for a page.
    """
    if not TRUSTED_TIME_MS_MIN <= occurred_at <= now_ms + TRUSTED_AHEAD_MS_MAX:
        return None
    return build_row(
        event_id,
        site,
        NAME,
        "page" if is_page(method, path, status) else "custom",
        SOURCE,
        protocol,
        SECRET,
        occurred_at,
        0,  # sent_at
        now_ms,
        ip[:EVENT_ID_LENGTH_MAX] if ip.isascii() else "",
        user_agent[:TEXT_LENGTH_MAX],
        language[:LANGUAGE_LENGTH_MAX],
        url[:TEXT_LENGTH_MAX],
        referrer[:TEXT_LENGTH_MAX],
        "",  # title
        "",  # visitor_id
        user_id[:EVENT_ID_LENGTH_MAX],
        "",  # session_id
        "",  # consent
        flags,
        "",  # screen
        "",  # viewport
        "",  # timezone
        0,  # value_e4
        "",  # currency
        _properties(status, method, size),
    )


class CombinedFormat:
    """The combined log format, nginx's and Apache's default."""

    def __init__(self, site: str, host: str, now_ms: int) -> None:
        """host: of the addresses, such as shop.example; "" leaves the path alone. now_ms: the time of receipt."""
        self._site = site
        self.origin = f"https://{host}" if host else ""
        self.is_named = False  # the origin is what the line itself says
        self.now_ms = now_ms
        self._minutes: dict[str, int] = {}
        self._last_time = ("", 0)

    def __call__(self, line: bytes, event_id: str) -> Row | None:
        """See LineReader."""
        if len(line) > LINE_BYTES_MAX:
            return None
        text = line.decode("utf-8", "surrogateescape")
        found = _LINE.fullmatch(text)
        if found is None:
            return self._read_other(_OTHER_LINE.fullmatch(text), event_id, "combined")
        ip, user, time_text, method, path, request, status, size, referrer, agent = found.groups()
        occurred_at = self.time_ms(time_text)
        if not TRUSTED_TIME_MS_MIN <= occurred_at <= self.now_ms + TRUSTED_AHEAD_MS_MAX:
            return None
        if method is None:
            method, path = split_request(request)
            url = url_of(self.origin, path, serves=self.is_named) if method else ""
        else:
            url = self.origin + path
        if not text.isascii():
            url, referrer, agent = plain_target(url), plain_text(referrer), plain_text(agent)
            ip = ip if ip.isascii() else ""
        return build_row(
            event_id,
            self._site,
            NAME,
            "page" if is_page(method, path, status) else "custom",
            SOURCE,
            "combined",
            SECRET,  # an operator's own file: its times and addresses are taken as they are
            occurred_at,
            0,  # sent_at
            self.now_ms,
            "" if ip == "-" else ip[:EVENT_ID_LENGTH_MAX] if ":" not in ip else address_of(ip),
            "" if agent == "-" else agent[:TEXT_LENGTH_MAX],
            "",  # language
            url[:TEXT_LENGTH_MAX],
            "" if referrer == "-" else referrer[:TEXT_LENGTH_MAX],
            "",  # title
            "",  # visitor_id
            ""
            if user == "-"
            else (user if user.isalnum() else user_of(plain_text(user)))[:EVENT_ID_LENGTH_MAX],
            "",  # session_id
            "",  # consent
            0,  # flags
            "",  # screen
            "",  # viewport
            "",  # timezone
            0,  # value_e4
            "",  # currency
            _properties(status, method, size),
        )

    def _read_other(self, found: re.Match[str] | None, event_id: str, name: str) -> Row | None:
        """The row of a line that is not the usual one; without referrer and agent it is of the common format."""
        front = read_front(found[1]) if found is not None else None
        if found is None or front is None:
            return None
        method, path = split_request(found[3])
        referrer, agent = found.groups()[5:] or ("", "")
        return request_row(
            self._site,
            event_id,
            name,
            self.now_ms,
            self.time_ms(found[2]) or time_of(found[2]),
            method=method,
            path=path,
            status=found[4],
            size=found[5],
            url=url_of(self.origin, path, serves=self.is_named) if method else "",
            ip=front[0],
            user_agent=dash(plain_text(agent or "")),
            referrer=dash(plain_text(referrer or "")),
            user_id=user_of(plain_text(front[1])),
        )

    def time_ms(self, text: str) -> int:
        """ms since 1970 of `17/May/2015:10:05:03 +0000`; 0 for what is no time. A minute is calculated once: a log
        names each many times."""
        if text == self._last_time[0]:
            return self._last_time[1]
        minute = text[:17] + text[20:]
        start = self._minutes.get(minute)
        if start is None:
            start = parse_log_time(f"{text[:17]}:00{text[20:]}")
            if len(self._minutes) < _MINUTES_MAX:
                self._minutes[minute] = start
        seconds = text[17:20]
        if not start or seconds[0] != ":" or not seconds[1:].isdecimal() or int(seconds[1:]) > 60:
            return 0
        self._last_time = text, start + int(seconds[1:]) * 1000
        return self._last_time[1]


class CommonFormat(CombinedFormat):
    """The common log format: combined without referrer and agent."""

    def __call__(self, line: bytes, event_id: str) -> Row | None:
        """See LineReader."""
        if len(line) > LINE_BYTES_MAX:
            return None
        text = line.decode("utf-8", "surrogateescape")
        found = _COMMON_LINE.fullmatch(text)
        if found is None:
            return self._read_other(_OTHER_COMMON_LINE.fullmatch(text), event_id, "common")
        ip, user, time_text, method, path, request, status, size = found.groups()
        if method is None or not text.isascii():
            method, path = split_request(request or f"{method} {path}")
        return request_row(
            self._site,
            event_id,
            "common",
            self.now_ms,
            self.time_ms(time_text),
            method=method,
            path=path,
            status=status,
            size=size,
            url=url_of(self.origin, path, serves=self.is_named) if method else "",
            ip=dash(ip) if ":" not in ip else address_of(ip),
            user_agent="",
            user_id="" if user == "-" else user_of(plain_text(user)),
        )


class VhostFormat:
    """Apache's vhost_combined: host and port, then a line of the combined format."""

    def __init__(self, site: str, host: str, now_ms: int) -> None:
        """host: of addresses whose line names none."""
        self.now_ms = now_ms
        self._site, self._host = site, host
        self._readers: dict[str, tuple[CombinedFormat, bool]] = {}

    def __call__(self, line: bytes, event_id: str) -> Row | None:
        """See LineReader."""
        found = _VHOST.match(line) if len(line) <= LINE_BYTES_MAX else None
        if found is None or b"," in found[1]:  # a list of addresses is no host
            return None
        read, is_address = self._reader(found[1].decode("utf-8", "replace"))
        if is_address and not begins_with_address(line[found.end() :]):
            return None  # it is the client's: nothing stands in front
        row = read(line[found.end() :], event_id)
        return None if row is None else with_text(row, PROTOCOL, "vhost_combined")

    def _reader(self, start: str) -> tuple[CombinedFormat, bool]:
        """What reads the rest of a line that begins so, and whether that is an address."""
        known = self._readers.get(start)
        if known is None:
            reader = CombinedFormat(self._site, "", self.now_ms)
            host = host_of(start)
            name, _, port = host.partition(":")
            scheme = "http" if port in ("80", "8080") else "https"
            reader.is_named = host != ""
            reader.origin = origin_of(name if port in _USUAL_PORTS else host, scheme) or origin_of(self._host)
            known = reader, address_of(start) != ""
            if len(self._readers) < _HOSTS_MAX:
                self._readers[start] = known
        known[0].now_ms = self.now_ms
        return known


def dash(value: str) -> str:
    """A field of a log, "" where it is the dash that stands for nothing."""
    return "" if value == "-" else value


def is_page(method: str, path: str, status: str) -> bool:
    """Whether a person would call the request a page view."""
    if method != "GET" or not (status[0] == "2" or status == "304"):
        return False
    _, dot, ending = path.partition("?")[0].rpartition("/")[2].rpartition(".")
    return not dot or ending.lower() in _PAGE_ENDINGS


def _properties(status: str, method: str, size: str) -> str:
    answered = 0 if status == "-" else int(status)
    sent: str | int = size  # mostly as JSON writes a number; to read and write it again takes 0.3 µs
    if size[0] not in "123456789" or len(size) > 15 or not size.isascii():
        sent = 0 if size == "-" else min(int(size[:18]), 10**15)
    if not method:
        return f'{{"status":{answered},"bytes":{sent}}}'
    return f'{{"status":{answered},"bytes":{sent},"method":"{method}"}}'  # a method is letters: nothing to escape
