"""Lines of access logs → rows: ids from content, the parts all formats share, and the combined format and its kin.

Each line is one event named `request`. `kind` is page for what a person would call a page view (a GET answered with
2xx or 304 whose path names no asset), custom for the rest. The name is not page_view: a site with a pixel and a log
would count each view twice.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final, Protocol, TypeAlias

from ingest.reading.fields import LANGUAGE_LENGTH_MAX, TRUSTED_AHEAD_MS_MAX, TRUSTED_TIME_MS_MIN
from ingest.reading.row import PROTOCOL, Row, build_row, with_text
from ingest.reading.sites import SECRET
from schemas.event import EVENT_ID_LENGTH_MAX, TEXT_LENGTH_MAX

NAME = "request"
SOURCE = "log"
LINE_BYTES_MAX = 32_000  # a longer line is no line of a web server
QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
_COMMON = rf"(\S+) \S+ (\S+) \[([^\]]{{26}})\] {QUOTED} (\d{{3}}) (\d+|-)"
# The usual request in parts, any other whole; 1.2 µs a line.
_LINE = re.compile(
    r"(\S+) \S+ (\S+) \[([^\]]{26})\] "
    r'"(?:([A-Za-z]{1,20}) ([^ "\\]+) HTTP/[^ "\\]*|([^"\\]*(?:\\.[^"\\]*)*))" (\d{3}) (\d+|-) '
    rf"{QUOTED} {QUOTED}(?: .*)?",
    re.DOTALL,
)
_COMMON_LINE = re.compile(_COMMON)
_VHOST = re.compile(r"([^\s:]+)(?::(\d{1,5}))? ")  # what stands before a line of vhost_combined
_MONTHS = dict(Jan=1, Feb=2, Mar=3, Apr=4, May=5, Jun=6, Jul=7, Aug=8, Sep=9, Oct=10, Nov=11, Dec=12)  # noqa: C408
_TIME = re.compile(r"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})", re.ASCII)
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
        ip[:EVENT_ID_LENGTH_MAX],
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
        self.prefix = f"https://{host}" if host else ""
        self.now_ms = now_ms
        self._minutes: dict[str, int] = {}
        self._last_time = ("", 0)

    def __call__(self, line: bytes, event_id: str) -> Row | None:
        """See LineReader."""
        if len(line) > LINE_BYTES_MAX:
            return None
        found = _LINE.fullmatch(line.decode("utf-8", "replace"))
        if found is None:
            return None
        ip, user, time_text, method, path, request, status, size, referrer, agent = found.groups()
        occurred_at = self.time_ms(time_text)
        if not TRUSTED_TIME_MS_MIN <= occurred_at <= self.now_ms + TRUSTED_AHEAD_MS_MAX:
            return None
        if method is None:
            method, path = split_request(request)
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
            "" if ip == "-" else ip[:EVENT_ID_LENGTH_MAX],
            "" if agent == "-" else agent[:TEXT_LENGTH_MAX],
            "",  # language
            (self.prefix + path)[:TEXT_LENGTH_MAX] if path else "",
            "" if referrer == "-" else referrer[:TEXT_LENGTH_MAX],
            "",  # title
            "",  # visitor_id
            "" if user == "-" else user[:EVENT_ID_LENGTH_MAX],
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
        found = (
            None if len(line) > LINE_BYTES_MAX else _COMMON_LINE.fullmatch(line.decode("utf-8", "replace"))
        )
        if found is None:
            return None
        ip, user, time_text, request, status, size = found.groups()
        method, path = split_request(request)
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
            url=self.prefix + path if path else "",
            ip=dash(ip),
            user_agent="",
            user_id=dash(user),
        )


class VhostFormat:
    """Apache's vhost_combined: host and port, then a line of the combined format."""

    def __init__(self, site: str, host: str, now_ms: int) -> None:
        """host: of addresses whose line names none."""
        self.now_ms = now_ms
        self._site, self._host = site, host
        self._readers: dict[str, CombinedFormat] = {}

    def __call__(self, line: bytes, event_id: str) -> Row | None:
        """See LineReader."""
        start, space, rest = line.partition(b" ")
        found = _VHOST.fullmatch(start.decode("utf-8", "replace") + " ") if space else None
        if found is None:
            return None
        row = self._reader(found[1], found[2] or "")(rest, event_id)
        return None if row is None else with_text(row, PROTOCOL, "vhost_combined")

    def _reader(self, host: str, port: str) -> CombinedFormat:
        scheme = "http" if port in ("80", "8080") else "https"
        address = f"{scheme}://{dash(host) or self._host}" + (f":{port}" if port not in _USUAL_PORTS else "")
        reader = self._readers.get(address)
        if reader is None:
            reader = CombinedFormat(self._site, "", self.now_ms)
            reader.prefix = address if dash(host) or self._host else ""
            if len(self._readers) < _HOSTS_MAX:
                self._readers[address] = reader
        reader.now_ms = self.now_ms
        return reader


def dash(value: str) -> str:
    """A field of a log, "" where it is the dash that stands for nothing."""
    return "" if value == "-" else value


def parse_log_time(text: str) -> int:
    """ms since 1970 of `17/May/2015:10:05:03 +0000`; 0 for what is no time."""
    found = _TIME.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return 0
    try:
        moment = datetime(
            int(found[3]),
            _MONTHS[found[2]],
            int(found[1]),
            int(found[4]),
            int(found[5]),
            int(found[6]),
            tzinfo=UTC,
        )
    except ValueError:
        return 0
    offset_s = (int(found[8]) * 60 + int(found[9])) * 60 * (-1 if found[7] == "-" else 1)
    return (int(moment.timestamp()) - offset_s) * 1000


def split_request(request: str) -> tuple[str, str]:
    """Method and path of a request line; ("", "") for what is none, such as a TLS greeting on a plain port."""
    method, _, rest = request.partition(" ")
    path = rest.rpartition(" HTTP/")[0] or rest
    if not method.isalpha() or not method.isascii() or len(method) > 20 or not path:
        return "", ""
    return method, path


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
