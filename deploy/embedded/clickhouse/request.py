"""What one HTTP request asks for: its statement, settings, parameters and the shape of the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.form import FIELD_COUNT_MAX, ExternalTable, external_tables
from deploy.embedded.clickhouse.headers import Headers

# Names in the address that are no settings; what the server has no use for is taken and ignored.
RESERVED = frozenset(
    {
        "query",
        "user",
        "password",
        "database",
        "default_format",
        "query_id",
        "session_id",
        "compress",
        "decompress",
        "wait_end_of_query",
        "enable_http_compression",
        "http_zlib_compression_level",
        "stacktrace",
        "quota_key",
        "role",
        "buffer_size",
        "session_timeout",
        "session_check",
        "close_session",
        "http_response_buffer_size",
        "http_wait_end_of_query",
        "client_protocol_version",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
        "http_write_exception_in_output_format",
        "add_http_cors_header",
    }
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Which session a request belongs to; `timeout` is what it says of its seconds, unread."""

    name: str
    timeout: str = ""
    must_exist: bool = False
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """A request's options; `settings` and `params` keep the order they came in."""

    query: str = ""
    database: str = ""
    default_format: str = "TabSeparated"
    query_id: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    compress_answer: bool = False
    hold_answer: bool = False
    blocks_answer: bool = False
    protocol_version: int = 0
    session: SessionRequest | None = None
    tables: tuple[ExternalTable, ...] = ()


def read_options(
    fields: list[tuple[str, str]], headers: Headers, files: dict[str, bytes] | None = None
) -> Options:
    """Sort the fields of an address (and of a form) into options; raises ClickHouseError for what cannot be served."""
    if len(fields) > FIELD_COUNT_MAX:
        raise ClickHouseError(36, "BAD_ARGUMENTS", f"The request has more than {FIELD_COUNT_MAX} fields")
    values: dict[str, str] = dict(fields)
    if values.get("role"):
        raise ClickHouseError(
            511,
            "UNKNOWN_ROLE",
            "role: this server has no roles to choose; what one may do comes with the login",
        )
    tables = external_tables(values, files or {})
    of_tables = {f"{table.name}_{part}" for table in tables for part in ("structure", "types", "format")}
    settings: dict[str, str] = {}
    params: dict[str, str] = {}
    for name, value in values.items():
        if name in RESERVED or name in of_tables:
            continue
        if not _NAME.match(name):
            raise ClickHouseError(115, "UNKNOWN_SETTING", f"Unknown setting '{name[:64]}'")
        if name.startswith("param_"):
            params[name] = value
        else:
            settings[name] = value
    return Options(
        query=values.get("query", ""),
        database=headers.get("X-ClickHouse-Database") or values.get("database", ""),
        default_format=headers.get("X-ClickHouse-Format") or values.get("default_format") or "TabSeparated",
        query_id=headers.get("X-ClickHouse-Query-Id") or values.get("query_id", ""),
        settings=settings,
        params=params,
        compress_answer=_is_on(values, "enable_http_compression"),
        hold_answer=_is_on(values, "wait_end_of_query") or _is_on(values, "http_wait_end_of_query"),
        blocks_answer=_is_on(values, "compress"),
        protocol_version=_number(values.get("client_protocol_version", "")),
        session=_session(values),
        tables=tables,
    )


def has_blocks(fields: list[tuple[str, str]]) -> bool:
    """Whether the address says that the body comes in ClickHouse's compressed blocks: decompress=1."""
    return _is_on(dict(fields), "decompress")


def _session(values: dict[str, str]) -> SessionRequest | None:
    if not values.get("session_id"):
        return None
    return SessionRequest(
        name=values["session_id"],
        timeout=values.get("session_timeout", ""),
        must_exist=_is_on(values, "session_check"),
        ends=_is_on(values, "close_session"),
    )


def _is_on(values: dict[str, str], name: str) -> bool:
    return values.get(name, "0").lower() in ("1", "true")


def _number(text: str) -> int:
    """A client's word for a number; 0 when it is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
