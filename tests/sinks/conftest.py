"""Real parts for the loader's tests: one ClickHouse a run, a database made anew for each test that asks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas.topics import CLEAN
from sinks.warehouse.client import HttpWarehouse, WarehouseError
from sinks.warehouse.migrate import migrate, read_migrations
from tests.broker import make_topics_anew
from tests.processes import REPO, await_that, free_port

PASSWORD = "for tests only"


@dataclass
class ClickHouse:
    """A real server that can be killed and started again on its own folder."""

    data: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environ = {
            **os.environ,
            "FAIRPIXEL_DATA": str(self.data),
            "FAIRPIXEL_CLICKHOUSE_PORT": str(self.port),
            "FAIRPIXEL_CLICKHOUSE_PASSWORD": PASSWORD,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.embedded.clickhouse"],
            cwd=REPO,
            env=environ,
            stderr=subprocess.DEVNULL,
        )
        await_that(self._answers, 60, "ClickHouse answers")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def connect(self) -> HttpWarehouse:
        return HttpWarehouse(self.url, "fairpixel", PASSWORD)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "ClickHouse ended"
        try:
            self.connect().execute("SELECT 1", database="default")
        except WarehouseError:
            return False
        return True


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


def publish(bootstrap: str, packs: list[bytes], partition: int = 0) -> None:
    """Write messages to the clean topic, in order."""
    producer = Producer({
        "bootstrap.servers": bootstrap,
        "enable.idempotence": True,
        "message.max.bytes": 4_100_000,
        "log_level": 0,
    })  # fmt: skip
    for pack in packs:
        producer.produce(CLEAN, pack, partition=partition)
    assert producer.flush(30) == 0
