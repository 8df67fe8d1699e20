"""What commands that read ClickHouse share: the reader's connection, and its failures in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sinks.warehouse.client import HttpWarehouse

ASK_S_MAX = 120.0  # a ledger over years of rows takes its time


def connect_reader(environ: Mapping[str, str]) -> HttpWarehouse:
    """ClickHouse for reading: without a login where the embedded one answers, else as FAIRPIXEL_CLICKHOUSE_USER."""
    from deploy.local import Platform
    from sinks.warehouse.client import HttpWarehouse

    settings = Platform.from_env(environ).settings
    if settings.clickhouse_url and settings.clickhouse_password:
        return HttpWarehouse(
            settings.warehouse_url,
            settings.clickhouse_user,
            settings.clickhouse_password,
            ask_s_max=ASK_S_MAX,
        )
    return HttpWarehouse(settings.warehouse_url, "", "", ask_s_max=ASK_S_MAX)


@contextmanager
def explain_errors() -> Iterator[None]:
    """Turn what ClickHouse or Kafka refuse into UserError."""
    from runtime.errors import UserError
    from sinks.warehouse.client import SCHEMA_MISSING_CODES, WarehouseError

    try:
        yield
    except WarehouseError as error:
        if error.code in SCHEMA_MISSING_CODES:
            raise UserError(
                "ClickHouse has no tables yet.", "The loader makes them at its start: fairpixel status"
            ) from None
        raise UserError(f"{error}.", "See: fairpixel status") from None
