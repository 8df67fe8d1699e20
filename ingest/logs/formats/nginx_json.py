"""nginx's log as JSON: whatever names the operator's log_format gives to nginx's variables, by the usual ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.logs.access_log import request_row, split_request
from ingest.logs.formats.json_line import digits_of, load_object, text_of, time_of
from ingest.reading.row import Row

# What we need, and the names it goes by: nginx's variables first, then those of widespread configurations.
NAMES: Mapping[str, tuple[str, ...]] = {
    "time": (
        "msec", "time_iso8601", "time_local", "@timestamp", "timestamp", "time", "date", "ts", "datetime",
    ),
    "status": ("status", "response_status", "status_code", "response_code"),
    "request": ("request", "request_line"),
    "method": ("request_method", "method", "verb"),
    "path": ("request_uri", "path", "url"),
    "uri": ("uri", "document_uri"),
    "args": ("args", "query_string", "query"),
    "size": ("body_bytes_sent", "bytes_sent", "bytes", "size", "length", "body_bytes"),
    "ip": ("remote_addr", "remote_ip", "client_ip", "clientip", "ip", "client", "remote_address"),
    "agent": ("http_user_agent", "user_agent", "agent", "useragent", "ua"),
    "referrer": ("http_referer", "http_referrer", "referer", "referrer"),
    "user": ("remote_user", "user"),
    "host": ("host", "http_host", "server_name", "vhost", "domain"),
    "scheme": ("scheme", "request_scheme"),
}  # fmt: skip
_PLANS_MAX = 1_000  # a log has one order of keys, or a few


class NginxJsonFormat:
    """One object a line; a time, a status and a request or a path must be there."""

    def __init__(self, site: str, host: str, now_ms: int) -> None:
        """See MakeReader."""
        self.now_ms = now_ms
        self._site, self._host = site, host
        self._plans: dict[tuple[str, ...], dict[str, str]] = {}

    def __call__(self, line: bytes, event_id: str) -> Row | None:
        """See LineReader."""
        record = load_object(line)
        if record is None:
            return None
        keys = tuple(record)
        plan = self._plans.get(keys)
        if plan is None:
            plan = {what: next((one for one in names if one in record), "") for what, names in NAMES.items()}
            if len(self._plans) < _PLANS_MAX:
                self._plans[keys] = plan
        get = record.get
        status = digits_of(get(plan["status"]))
        if len(status) != 3:
            return None
        request = get(plan["request"])
        if type(request) is str:
            method, path = split_request(request)
        else:
            method, path = _method(get(plan["method"])), _path(get, plan)
            if not path:
                return None
        host = text_of(get(plan["host"])) or self._host
        scheme = text_of(get(plan["scheme"])) or "https"
        return request_row(
            self._site,
            event_id,
            "nginx-json",
            self.now_ms,
            time_of(get(plan["time"])),
            method=method,
            path=path,
            status=status,
            size=digits_of(get(plan["size"])),
            url=f"{scheme}://{host}{path}" if host and path[:1] == "/" else path,
            ip=text_of(get(plan["ip"])),
            user_agent=text_of(get(plan["agent"])),
            referrer=text_of(get(plan["referrer"])),
            user_id=text_of(get(plan["user"])),
        )


def _method(value: object) -> str:
    return value if type(value) is str and value.isascii() and value.isalpha() and len(value) <= 20 else ""


def _path(get: Any, plan: Mapping[str, str]) -> str:
    path = text_of(get(plan["path"]))
    if path:
        return path
    uri, args = text_of(get(plan["uri"])), text_of(get(plan["args"]))
    return f"{uri}?{args}" if uri and args else uri
