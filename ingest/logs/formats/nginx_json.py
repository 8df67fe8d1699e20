"""nginx's log as JSON: whatever names the operator's log_format gives to nginx's variables, by the usual ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ingest.logs.access_log import request_row
from ingest.logs.formats.json_line import any_says_one, digits_of, load_object, text_of
from ingest.logs.lines.escapes import json_target
from ingest.logs.lines.front import client_of, user_of
from ingest.logs.lines.target import host_of, is_method, origin_of, read_target, split_request, url_of
from ingest.logs.lines.times import time_of
from ingest.reading.row import Row
from schemas.event import Flag

GPC, DNT = int(Flag.GPC), int(Flag.DNT)

# What we need, and the names it goes by: nginx's variables first, then those of widespread configurations. Of several
# names the first that says something is taken. Of a host that is the one that the request named: `host` may be nginx's
# own address, and a server_name that of many.
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
    "host": ("http_host", "host", "server_name", "vhost", "domain"),
    "scheme": ("scheme", "request_scheme"),
    "gpc": ("http_sec_gpc", "sec_gpc", "gpc"),
    "dnt": ("http_dnt", "dnt"),
}  # fmt: skip
_PLANS_MAX = 1_000  # a log has one order of keys, or a few
_EMPTY = ("", "-", None)

Plan: TypeAlias = dict[str, str]  # what we need → the key that says it, "" for none


class NginxJsonFormat:
    """One object a line; a time, a status and a request or a path must be there."""

    def __init__(self, site: str, host: str, now_ms: int) -> None:
        """See MakeReader."""
        self.now_ms = now_ms
        self._site, self._host = site, host
        self._plans: dict[tuple[str, ...], tuple[Plan, Mapping[str, list[str]]]] = {}

    def __call__(self, line: bytes, event_id: str) -> Row | None:
        """See LineReader."""
        record = load_object(line)
        if record is None:
            return None
        plan = self._plan(record)
        get = record.get
        status = digits_of(get(plan["status"]))
        if len(status) != 3:
            return None
        request = get(plan["request"])
        method, path = split_request(request, json_target) if type(request) is str else ("", "")
        if not method and (parts := _parts(get, plan)):
            method, path = parts
        elif type(request) is not str:
            return None
        host = host_of(text_of(get(plan["host"]))) or self._host
        scheme = text_of(get(plan["scheme"]))
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
            url=url_of(origin_of(host, scheme if scheme.isalpha() else "https"), path)
            if method or path
            else "",
            ip=client_of(text_of(get(plan["ip"]))),
            user_agent=text_of(get(plan["agent"])),
            referrer=text_of(get(plan["referrer"])),
            user_id=user_of(text_of(get(plan["user"]))),
            flags=_flags(get, plan) if plan["gpc"] or plan["dnt"] else 0,
        )

    def _plan(self, record: Mapping[str, Any]) -> Plan:
        """Which key says what. The names of keys decide once for all lines that have the same, and of several that mean
        the same the values of each line."""
        keys = tuple(record)
        known = self._plans.get(keys)
        if known is None:
            present = {what: [one for one in names if one in record] for what, names in NAMES.items()}
            known = (
                {what: (names or [""])[0] for what, names in present.items()},
                {what: names for what, names in present.items() if len(names) > 1},
            )
            if len(self._plans) < _PLANS_MAX:
                self._plans[keys] = known
        plan, several = known
        if not several:
            return plan
        return plan | {
            what: next((one for one in names if _says(what, record[one])), names[0])
            for what, names in several.items()
        }


def _says(what: str, value: object) -> bool:
    if what == "host":
        return type(value) is str and host_of(value) != ""
    return value not in _EMPTY


def _flags(get: Callable[[str], Any], plan: Plan) -> int:
    return (GPC if any_says_one(get(plan["gpc"])) else 0) | (DNT if any_says_one(get(plan["dnt"])) else 0)


def _parts(get: Callable[[str], Any], plan: Plan) -> tuple[str, str] | None:
    """Method and target where they stand apart; None without a path."""
    method, target = text_of(get(plan["method"])), get(plan["path"])
    if type(target) is not str or target in _EMPTY:
        uri, args = get(plan["uri"]), text_of(get(plan["args"]))
        if type(uri) is not str or uri in _EMPTY:
            return None
        target = f"{uri}?{args}" if args else uri
    method = method if is_method(method) else ""
    return method, read_target(json_target(target), method)
