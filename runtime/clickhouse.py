"""ClickHouse over HTTP, by clickhouse-connect: what is asked is sent once, and ends within its time."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import urllib3
from clickhouse_connect import common
from clickhouse_connect.driver import create_client
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

CODE_HEADER = "X-ClickHouse-Exception-Code"
FORMAT_HEADER = "X-ClickHouse-Format"
PROGRESS_HEADER = "x-clickhouse-progress"
PORTS = {"http": 80, "https": 443}
CONNECTIONS_MAX = 4  # kept open; one more is made when needed, and closed after its answer
STREAM_BYTES = 1 << 16

Param = str | Sequence[str] | Sequence[int]

# It asks one thing less when it connects, and the server's log needs no name of whoever runs us.
common.set_setting("use_protocol_version", False)
common.set_setting("send_os_user", False)
# What goes wrong is said by whoever asked; these lines would stand beside, in no shape of ours.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)


class ClickHouseError(Exception):
    """ClickHouse did not do what was asked. The text holds no content of rows or queries.

    status: of HTTP, 0 without an answer. code: ClickHouse's own, 0 where it named none.
    detail: what the server wrote; it may repeat a query or a row, so it is for the eyes of who asked and for no log.
    while_connecting: the client's own first questions were refused, so the code says nothing of what was asked.
    """

    def __init__(self, text: str, *, status: int = 0, code: int = 0, detail: bytes = b"") -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.detail = detail
        self.while_connecting = False


class ClickHouseClient:
    """Kept connections to one server, made when first used; safe to use from several threads.

    Every method raises ClickHouseError, and its `seconds_max` bounds the wait for the answer's first byte as well as
    between any two pieces of it.
    """

    def __init__(self, url: str, user: str = "", password: str = "", *, connect_s_max: float = 3.0) -> None:
        """user "": ask without a login, as the embedded server allows on loopback."""
        parts = urlsplit(url)
        scheme = "https" if parts.scheme == "https" else "http"
        host, port = parts.hostname or "127.0.0.1", parts.port or PORTS[scheme]
        self._pool = _SentOnce(scheme, host, port, connect_s_max)
        self._made: Client | None = None
        self._headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password} if user else {}
        self._where = {"interface": scheme, "host": host, "port": port, "headers": self._headers}

    def query(
        self,
        sql: str,
        params: Mapping[str, Param] | None = None,
        *,
        seconds_max: float,
        database: str,
        settings: Mapping[str, str] | None = None,
        default_format: str = "",
    ) -> bytes:
        """Run a statement and give its whole answer, which begins when the statement has ended."""
        with self._ask(seconds_max) as client:
            return client.raw_query(
                sql,
                dict(params) if params else None,
                {"database": database, **_QUIET, **(settings or {})},
                transport_settings={FORMAT_HEADER: default_format} if default_format else None,
            )

    def rows(
        self, sql: str, params: Mapping[str, Param] | None = None, *, seconds_max: float, database: str
    ) -> list[dict[str, Any]]:
        """What a SELECT gives, a dict a row."""
        lines = self.query(
            sql,
            params,
            seconds_max=seconds_max,
            database=database,
            settings={"output_format_json_quote_64bit_integers": "0"},
            default_format="JSONEachRow",
        ).splitlines()
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            raise ClickHouseError("ClickHouse gave something that is no JSON") from None

    def insert(
        self,
        table: str,
        block: bytes,
        block_format: str,
        *,
        seconds_max: float,
        database: str,
        settings: Mapping[str, str],
    ) -> None:
        """Store a block as it is; returns when it is stored.

        The client's `raw_insert` sends the same, and takes 0.4 ms of CPU more for it (sinks/README.md, *Decisions*):
        the loader inserts all day, so what it sends goes straight to the connections.
        """
        asked = {
            "query": f"INSERT INTO {table} FORMAT {block_format}",
            "database": database,
            "wait_end_of_query": "1",
            **settings,
        }
        self._pool.time.until = time.monotonic() + seconds_max
        self._pool.urlopen("POST", f"/?{urlencode(asked)}", body=block, headers=self._headers)

    def stream(self, sql: str, *, seconds_max: float, database: str, default_format: str) -> Iterator[bytes]:
        """Run a statement and give its answer piece by piece, as it comes."""
        with self._ask(seconds_max) as client:
            answer = cast(
                urllib3.BaseHTTPResponse,
                client.raw_stream(
                    sql,
                    settings={"database": database, **_QUIET},
                    transport_settings={FORMAT_HEADER: default_format},
                ),
            )
        try:
            yield from answer.stream(STREAM_BYTES)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClickHouseError(f"ClickHouse's answer broke off: {type(error).__name__}") from None
        finally:
            answer.release_conn()

    @contextmanager
    def _ask(self, seconds_max: float) -> Iterator[Client]:
        self._pool.time.until = time.monotonic() + seconds_max
        try:
            # Two threads may each make one, and the last is kept: nobody waits for another's attempt.
            client = self._made or self._make()
            self._made = client
            yield client
        except Error as error:
            raise ClickHouseError(f"The client refuses what was asked: {type(error).__name__}") from None

    def _make(self) -> Client:
        try:
            client = create_client(
                **cast(dict[str, Any], self._where),
                pool_mgr=self._pool,
                compress=False,
                query_retries=0,
                autogenerate_session_id=False,
                autogenerate_query_id=False,
            )
        except ClickHouseError as error:
            error.while_connecting = True
            raise
        # It reads the answers to its own questions, and somebody else may have given them.
        except Exception as error:
            raise ClickHouseError(
                f"What answers does not speak as ClickHouse does: {type(error).__name__}"
            ) from None
        # Settings of its own choice, such as how dates are read: what is asked goes with ours alone.
        cast(Any, client).params.clear()
        return client


# A server that reports its progress keeps an answer alive for ever, and no time limit would be met.
_QUIET = {"send_progress_in_http_headers": "0"}


class _Time(threading.local):
    until = 0.0  # of time.monotonic(): when what this thread asks must have begun to be answered


class _SentOnce(urllib3.PoolManager):
    """The client's connections. The client sends a request a second time when a connection breaks, whatever it is
    told, and a question would take twice its time. So every failure leaves here as our own error, which it passes on.
    """

    def __init__(self, scheme: str, host: str, port: int, connect_s_max: float) -> None:
        super().__init__()
        pool = urllib3.HTTPSConnectionPool if scheme == "https" else urllib3.HTTPConnectionPool
        # There is one server: it need not be looked up for each request.
        self._connections = pool(host, port, maxsize=CONNECTIONS_MAX, retries=False)
        self.time = _Time()
        self._connect_s_max = connect_s_max

    # The client's own time limits are whole seconds, and the same for all it asks.
    def urlopen(self, method: str, url: str, redirect: bool = True, **how: Any) -> urllib3.BaseHTTPResponse:  # type: ignore[override]
        left_s = max(0.001, self.time.until - time.monotonic())
        how |= {
            "retries": False,
            "timeout": urllib3.Timeout(connect=min(left_s, self._connect_s_max), read=left_s),
        }
        try:
            path = url[url.index("/?") :]
            answer = self._connections.urlopen(method, path, redirect=False, assert_same_host=False, **how)
            code = _number(answer.headers.get(CODE_HEADER, ""))
            if all(name.lower() == PROGRESS_HEADER for name in answer.headers):
                raise urllib3.exceptions.ProtocolError("the connection broke before the head was whole")
            if answer.status == 200 and not code:
                return answer
            detail = answer.data
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _no_answer(error) from None
        raise ClickHouseError(
            f"ClickHouse refused: status {answer.status}, code {code}",
            status=answer.status,
            code=code,
            detail=detail,
        )


def _no_answer(error: Exception) -> ClickHouseError:
    return ClickHouseError(f"ClickHouse does not answer: {type(error).__name__}")


def _number(text: str) -> int:
    with suppress(ValueError):
        return int(text)
    return 0
