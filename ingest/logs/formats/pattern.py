"""Lines as the operator says they are (`--pattern`): a layout that none of our formats foresaw."""

from __future__ import annotations

from collections.abc import Mapping

from ingest.logs.access_log import LINE_BYTES_MAX, request_row
from ingest.logs.formats.json_line import any_says_one, digits_of
from ingest.logs.formats.pattern_text import Pattern
from ingest.logs.lines.escapes import plain_target, plain_text
from ingest.logs.lines.front import address_of, client_of, user_of
from ingest.logs.lines.target import host_of, is_method, origin_of, read_target, split_request, url_of
from ingest.logs.lines.times import time_of
from ingest.reading.row import Row
from schemas.event import Flag

PATTERN = "pattern"  # the protocol of its rows
GPC, DNT = int(Flag.GPC), int(Flag.DNT)
_EMPTY = frozenset({b"", b"-", b'""', b'"-"'})


class PatternFormat:
    """One line as a whole; of several fields that say the same the first that says something counts."""

    def __init__(self, pattern: Pattern, site: str, host: str, now_ms: int) -> None:
        """Otherwise as MakeReader."""
        self.now_ms = now_ms
        self._site, self._host = site, host
        self._match = pattern.expression.fullmatch
        self._groups = pattern.groups

    def __call__(self, line: bytes, event_id: str) -> Row | None:
        """See LineReader."""
        found = self._match(line) if len(line) <= LINE_BYTES_MAX else None
        if found is None:
            return None
        values: Mapping[str, list[str]] = {
            what: [
                value.decode("utf-8", "surrogateescape")
                for place in places
                if (value := found[place]) not in _EMPTY
            ]
            for what, places in self._groups.items()
        }

        def get(what: str) -> str:
            found_values = values.get(what)
            return found_values[0] if found_values else ""

        status = digits_of(get("status")) if "status" in values else "-"
        if len(status) != 3 and status != "-":
            return None
        method, target = split_request(get("request"))
        if not method and (path := get("path") or _join(get("uri"), get("query"))):
            method = get("method") if is_method(get("method")) else ""
            target = read_target(plain_target(path), method)
        host = next(filter(None, map(host_of, values.get("host", ()))), self._host)
        scheme, forwarded = get("scheme"), client_of(get("forwarded_for"))
        return request_row(
            self._site,
            event_id,
            PATTERN,
            self.now_ms,
            time_of(get("time")),
            method=method,
            path=target,
            status=status,
            size=digits_of(get("bytes")),
            url=url_of(origin_of(host, scheme if scheme.isalpha() else "https"), target)
            if method or target
            else "",
            ip=forwarded if address_of(forwarded) else client_of(get("ip")),
            user_agent=plain_text(get("user_agent")),
            referrer=plain_text(get("referrer")),
            user_id=user_of(plain_text(get("user"))),
            flags=(GPC if any_says_one(get("gpc")) else 0) | (DNT if any_says_one(get("dnt")) else 0),
        )


def _join(uri: str, query: str) -> str:
    """Path and query, which Apache writes with its question mark and nginx without."""
    return f"{uri}?{query.removeprefix('?')}" if uri and query else uri
