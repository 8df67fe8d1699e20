"""Seam: ClickHouse, for reading what became of an event; each question ends within its time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.clickhouse import ClickHouseClient, ClickHouseError, Param
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
        self._client = ClickHouseClient(url, user, password, connect_s_max=CONNECT_S_MAX)

    @classmethod
    def of(cls, settings: PlatformSettings) -> ClickHouse:
        """As the settings name it: with a login where address and password are set, else as a mere reader."""
        if settings.clickhouse_url and settings.clickhouse_password:
            return cls(settings.warehouse_url, settings.clickhouse_user, settings.clickhouse_password)
        return cls(settings.warehouse_url)

    def rows(self, sql: str, params: Mapping[str, Param] | None = None) -> list[dict[str, Any]]:
        """What a SELECT gives, a dict a row. Raises ClickHouseAway."""
        try:
            return self._client.rows(sql, params, seconds_max=ANSWER_S_MAX, database=DATABASE)
        except ClickHouseError as error:
            raise ClickHouseAway(str(error)) from None
