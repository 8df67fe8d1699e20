"""CloudFront's standard logs: fields by tabs, in the order its header names (AWS, "Access logs (standard logs)")."""

from __future__ import annotations

from urllib.parse import unquote

from ingest.logs.access_log import LINE_BYTES_MAX, SKIPPED, ReadLine, dash, request_row
from ingest.logs.lines.escapes import whole_target, whole_text
from ingest.logs.lines.front import address_of
from ingest.logs.lines.target import host_of, is_method, origin_of, read_target, url_of
from ingest.logs.lines.times import time_of

# The order of version 1.0, for lines whose header was cut away; later fields are not ours.
USUAL_FIELDS = (
    "date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem", "sc-status",
    "cs(Referer)", "cs(User-Agent)", "cs-uri-query", "cs(Cookie)", "x-edge-result-type", "x-edge-request-id",
    "x-host-header", "cs-protocol",
)  # fmt: skip
TIME_LENGTH_MAX = 40  # characters; 10,000 are remembered
_HEADER = b"#Fields:"
_NEEDED = ("cs-method", "cs-uri-stem", "sc-status")


class CloudFrontFormat:
    """One line of tab-separated fields; lines that begin with # are the header."""

    def __init__(self, site: str, host: str, now_ms: int) -> None:
        """See MakeReader."""
        self.now_ms = now_ms
        self.has_header = False
        self._site, self._host = site, host
        self._places = {name: place for place, name in enumerate(USUAL_FIELDS)}
        self._count = len(USUAL_FIELDS)  # fields a line has at least; a header may name one twice
        self._times: dict[str, int] = {}

    def __call__(self, line: bytes, event_id: str) -> ReadLine:
        """See LineReader."""
        if line[:1] == b"#":
            return self._take_header(line)
        fields = self._split(line)
        if fields is None:
            return None
        places = self._places

        def get(name: str) -> str:
            place = places.get(name)
            return "" if place is None or fields[place] == "-" else fields[place]

        status, method, stem = get("sc-status") or "-", get("cs-method"), get("cs-uri-stem")
        if not (status == "-" or (status.isascii() and status.isdigit() and len(status) <= 3)):
            return None
        if not is_method(method) or not stem:
            return None
        if not self.has_header and not address_of(get("c-ip")):
            return None  # its columns are others
        query, size = get("cs-uri-query"), get("sc-bytes")
        path = read_target(_decode_once(f"{stem}?{query}" if query else stem), method)
        host = host_of(get("x-host-header")) or host_of(get("cs(Host)")) or self._host
        scheme = get("cs-protocol")
        return request_row(
            self._site,
            event_id,
            "cloudfront",
            self.now_ms,
            self._time(get),
            method=method,
            path=path,
            status=status,
            size=size if size.isascii() and size.isdigit() else "-",
            url=url_of(origin_of(host, scheme if scheme.isalpha() else "https"), path),
            ip=get("c-ip"),
            user_agent=_decode(get("cs(User-Agent)")),
            referrer=_decode(get("cs(Referer)")),
        )

    def _split(self, line: bytes) -> list[str] | None:
        """The fields; None where they are fewer than named.

        A copy may have spaces for tabs: fields are encoded and hold none, so their number tells, once a header has it.
        """
        if len(line) > LINE_BYTES_MAX:
            return None
        text = line.decode("utf-8", "surrogateescape")
        if "\t" in text:
            fields = text.split("\t")
            return fields if len(fields) >= self._count else None
        fields = text.split()
        return fields if self.has_header and len(fields) == self._count else None

    def _take_header(self, line: bytes) -> tuple[()] | None:
        if line.startswith(_HEADER):
            names = line[len(_HEADER) :].decode("utf-8", "replace").split()
            if not set(_NEEDED) <= set(names):
                return None
            self._places = {name: place for place, name in enumerate(names)}
            self._count, self.has_header = len(names), True
        return SKIPPED if line.startswith((_HEADER, b"#Version:")) else None

    def _time(self, get: object) -> int:
        """ms since 1970; a second is read once, as a log names each many times."""
        date, time = get("date"), get("time")  # type: ignore[operator]
        if not date:
            return time_of(get("timestamp(ms)") or get("timestamp"))  # type: ignore[operator]
        text = f"{date}T{time}Z"
        if len(text) > TIME_LENGTH_MAX:
            return 0
        found = self._times.get(text)
        if found is None:
            if len(self._times) > 10_000:
                self._times.clear()
            found = self._times[text] = time_of(text)
        return found


def _decode_once(target: str) -> str:
    """A target as the client sent it: CloudFront writes each `%` of one as `%25`."""
    return whole_target(target.replace("%25", "%"))


def _decode(value: str) -> str:
    """A header's value: CloudFront encodes what is no plain character, and an encoded percent sign once more."""
    value = dash(value)
    if "%" not in value:
        return whole_text(value)
    return whole_text(unquote(value.replace("%25", "%")))
