"""Caddy's access log as JSON (caddyserver.com/docs/logging, /docs/caddyfile/directives/log)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.logs.access_log import SKIPPED, ReadLine, request_row
from ingest.logs.formats.json_line import any_says_one, digits_of, load_object, text_of
from ingest.logs.lines.escapes import is_plain, whole_target
from ingest.logs.lines.front import address_of, user_of
from ingest.logs.lines.target import host_of, is_method, origin_of, read_target, url_of
from ingest.logs.lines.times import time_of
from schemas.event import Flag

GPC, DNT = int(Flag.GPC), int(Flag.DNT)
_LOGGER = "http.log.access"


class CaddyFormat:
    """One object a line. What Caddy says of itself, in the same file, is skipped."""

    def __init__(self, site: str, host: str, now_ms: int) -> None:
        """See MakeReader."""
        self.now_ms = now_ms
        self._site, self._host = site, host

    def __call__(self, line: bytes, event_id: str) -> ReadLine:
        """See LineReader."""
        record = load_object(line)
        if record is None:
            return None
        logger = record.get("logger")
        request = record.get("request")
        if (
            not (type(logger) is str and logger.startswith(_LOGGER))
            and record.get("msg") != "handled request"
        ):
            return SKIPPED if "level" in record and "msg" in record else None
        if type(request) is not dict:
            return None
        headers = request.get("headers")
        if type(headers) is not dict:
            headers = {}
        status = digits_of(record.get("status"))
        method, uri = text_of(request.get("method")), request.get("uri")
        if status == "-" or len(status) > 3 or not is_method(method) or type(uri) is not str or not uri:
            return None
        path = uri if uri[0] == "/" and is_plain(uri) else read_target(whole_target(uri), method)
        host = host_of(text_of(request.get("host"))) or self._host
        return request_row(
            self._site,
            event_id,
            "caddy",
            self.now_ms,
            time_of(record.get("ts")),
            method=method,
            path=path,
            status=status,
            size=digits_of(record.get("size")),
            url=url_of(origin_of(host, "https" if "tls" in request else "http"), path),
            ip=_address(request),
            user_agent=_first(headers, "User-Agent"),
            referrer=_first(headers, "Referer"),
            user_id=user_of(text_of(record.get("user_id"))),
            language=_first(headers, "Accept-Language"),
            flags=(GPC if any_says_one(headers.get("Sec-Gpc")) else 0)
            | (DNT if any_says_one(headers.get("Dnt")) else 0),
        )


def _address(request: Mapping[str, Any]) -> str:
    """The client's address: as Caddy 2.7 names it behind trusted proxies, else the peer's."""
    found = text_of(request.get("client_ip")) or text_of(request.get("remote_ip"))
    if found:
        return found
    return address_of(text_of(request.get("remote_addr")))  # before Caddy 2.5: with port


def _first(headers: Mapping[str, Any], name: str) -> str:
    values = headers.get(name)
    return text_of(values[0]) if type(values) is list and values else ""
