"""Seam: ClickHouse over HTTP, for reading what became of an event; each question ends within its time."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from runtime.settings import PlatformSettings

DATABASE = "fairpixel"
CONNECT_S_MAX = 2.0
ANSWER_S_MAX = 5.0


class ClickHouseAway(Exception):
    """No answer, or none that says anything; the text holds no content."""


class ClickHouse:
    """Kept connections to one server; safe to use from several threads."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        """user "": ask without a login, as the embedded server allows on loopback."""
        parts = urlsplit(url)
        pool = urllib3.HTTPSConnectionPool if parts.scheme == "https" else urllib3.HTTPConnectionPool
        self._pool = pool(parts.hostname or "127.0.0.1", parts.port, maxsize=2, retries=False)
        self._headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password} if user else {}

    @classmethod
    def of(cls, settings: PlatformSettings) -> ClickHouse:
        """As the settings name it: with a login where address and password are set, else as a mere reader."""
        if settings.clickhouse_url and settings.clickhouse_password:
            return cls(settings.warehouse_url, settings.clickhouse_user, settings.clickhouse_password)
        return cls(settings.warehouse_url)

    def rows(self, sql: str, params: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """What a SELECT gives, a dict a row. Raises ClickHouseAway."""
        settings = {
            "database": DATABASE,
            "default_format": "JSONEachRow",
            "output_format_json_quote_64bit_integers": "0",
            "wait_end_of_query": "1",
            **{f"param_{name}": value for name, value in (params or {}).items()},
        }
        try:
            answer = self._pool.request(
                "POST",
                "/?" + urlencode(settings),
                body=sql.encode(),
                headers=self._headers,
                timeout=urllib3.Timeout(connect=CONNECT_S_MAX, read=ANSWER_S_MAX),
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClickHouseAway(f"ClickHouse does not answer: {type(error).__name__}") from None
        code = answer.headers.get("X-ClickHouse-Exception-Code", "0")
        if answer.status != 200 or code != "0":
            raise ClickHouseAway(f"ClickHouse refused: status {answer.status}, code {code}")
        try:
            return [json.loads(line) for line in answer.data.splitlines()]
        except ValueError:
            raise ClickHouseAway("ClickHouse gave something that is no JSON") from None
