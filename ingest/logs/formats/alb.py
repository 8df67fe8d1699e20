"""The access log of AWS's Application Load Balancer (AWS, "Access logs for your Application Load Balancer")."""

from __future__ import annotations

import re

from ingest.logs.access_log import LINE_BYTES_MAX, QUOTED, dash, request_row
from ingest.logs.lines.escapes import plain_text
from ingest.logs.lines.target import origin_of, split_request, url_of
from ingest.logs.lines.times import time_of
from ingest.reading.row import Row

# type time elb client:port target:port three times status target_status received sent "request" "agent"; the rest
# (cipher, target group, trace id, ...) has grown over the years and is not ours.
_LINE = re.compile(
    rf"(?:https?|h2|grpcs|wss?) (\S+) \S+ (\S+) \S+ \S+ \S+ \S+ (\d{{3}}|-) \S+ (\d+) (\d+) {QUOTED} {QUOTED} .*",
    re.DOTALL,
)
_USUAL_PORT = re.compile(r"(http://[^/]*):80(?=/|$)|(https://[^/]*):443(?=/|$)")


class AlbFormat:
    """One line a request; the address is the one the load balancer saw."""

    def __init__(self, site: str, host: str, now_ms: int) -> None:
        """See MakeReader; the lines name their host, but for those whose host is a number."""
        self.now_ms = now_ms
        self._site, self._origin = site, origin_of(host)

    def __call__(self, line: bytes, event_id: str) -> Row | None:
        """See LineReader."""
        found = (
            None if len(line) > LINE_BYTES_MAX else _LINE.fullmatch(line.decode("utf-8", "surrogateescape"))
        )
        if found is None:
            return None
        time, client, status, _, sent, request, agent = found.groups()
        method, url = split_request(request)
        if "://" in url:
            url = _USUAL_PORT.sub(lambda part: part[1] or part[2], url, count=1)
        return request_row(
            self._site,
            event_id,
            "alb",
            self.now_ms,
            time_of(time),
            method=method,
            path=_path(url),
            status=status,
            size=sent,
            url=url_of(self._origin, url) if method else "",
            ip=client.rpartition(":")[0].strip("[]") or dash(client),
            user_agent=dash(plain_text(agent)),
        )


def _path(url: str) -> str:
    """What follows the host, with its slash."""
    _, found, rest = url.partition("://")
    return "/" + rest.partition("/")[2] if found else url
