"""One embedded ClickHouse for all clients, with the platform's own tables and a few events."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from sinks.warehouse.client import HttpWarehouse
from sinks.warehouse.migrate import migrate, read_migrations
from tests.embedded.clickhouse.conftest import PASSWORD, Server

EVENT_COUNT = 250


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that all clients share; they only read."""
    server = Server(tmp_path_factory.mktemp("clients"))
    server.start()
    migrate(HttpWarehouse(server.url, "fairpixel", PASSWORD), read_migrations())
    filled = server.ask(
        "INSERT INTO fairpixel.events (site, name, event_id, occurred_at, received_at, path) "
        "SELECT 'demo', if(number % 5 = 0, 'purchase', 'page_view'), toString(number), "
        f"toDateTime64('2026-10-12 10:00:00', 3), now64(3), '/p' FROM numbers({EVENT_COUNT})"
    )
    assert filled.status == 200, filled.text
    yield server
    server.end(signal.SIGTERM)
