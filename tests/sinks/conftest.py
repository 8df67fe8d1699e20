"""Real parts for the loader's tests: one ClickHouse a run, a database made anew for each test that asks."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sinks.warehouse.client import HttpWarehouse
from sinks.warehouse.migrate import migrate, read_migrations
from tests.broker import make_topics_anew
from tests.sinks.server import ClickHouse
from tests.sinks.stage import Stage


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """One server a run (one for each xdist worker)."""
    server = ClickHouse(tmp_path_factory.mktemp("clickhouse"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def warehouse(clickhouse: ClickHouse) -> HttpWarehouse:
    """The schema in an empty database."""
    connected = clickhouse.connect()
    connected.execute("DROP DATABASE IF EXISTS fairpixel SYNC", database="default")
    migrate(connected, read_migrations())
    return connected


@pytest.fixture
def topics(kafka: str) -> str:
    """A broker whose topics are empty: made anew, with new ids."""
    make_topics_anew(kafka)
    return kafka


@pytest.fixture
def stage(topics: str, clickhouse: ClickHouse, warehouse: HttpWarehouse, tmp_path: Path) -> Iterator[Stage]:
    one = Stage(topics, clickhouse, warehouse, tmp_path, f"sinks-{tmp_path.name}")
    yield one
    for loader in one.loaders:
        if loader.poll() is None:
            loader.send_signal(signal.SIGCONT)
            loader.terminate()
            try:
                loader.wait(20)
            except subprocess.TimeoutExpired:
                loader.kill()
                loader.wait()
