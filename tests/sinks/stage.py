"""Kafka, ClickHouse, and loaders as programs that come and go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.dead_letter import DeadLetter
from schemas.topics import CLEAN, DEAD
from sinks.warehouse.client import HttpWarehouse, WarehouseError
from tests.processes import REPO, await_that, free_port
from tests.sinks.packs import IDENTITY, Chain
from tests.sinks.server import PASSWORD, ClickHouse


@dataclass
class Stage:
    """Kafka, ClickHouse, and loaders that come and go."""

    bootstrap: str
    clickhouse: ClickHouse
    warehouse: HttpWarehouse
    folder: Path
    group: str
    loaders: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "FAIRPIXEL_DATA": str(self.folder),
            "FAIRPIXEL_KAFKA_BOOTSTRAP": self.bootstrap,
            "FAIRPIXEL_CLICKHOUSE_PORT": str(self.clickhouse.port),
            "FAIRPIXEL_CLICKHOUSE_PASSWORD": PASSWORD,
            "FAIRPIXEL_IDENTITY_SECRET": IDENTITY.hex(),
            "FAIRPIXEL_SINKS_GROUP": self.group,
        }

    def start(self, *program: str) -> subprocess.Popen[bytes]:
        port = free_port()
        with (self.folder / "sinks.log").open("ab") as log:
            loader = subprocess.Popen(
                [sys.executable, "-m", *(program or ("sinks",))],
                cwd=REPO,
                env={**self.environ, "FAIRPIXEL_SINKS_PORT": str(port)},
                stderr=log,
            )
        self.loaders.append(loader)
        self.ports.append(port)
        return loader

    def count(self, sql: str) -> int:
        try:
            return int(next(iter(self.warehouse.rows(sql)[0].values())))
        except WarehouseError:
            return -1

    def await_rows(self, count: int, within_s: float = 60) -> None:
        await_that(
            lambda: self.count("SELECT count() AS n FROM events") >= count,
            within_s,
            f"{count} rows are loaded",
        )

    def health(self, at: int = -1) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[at]}/healthz", timeout=5) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def is_ready(self, at: int = -1) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[at]}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy.cli", *words],
            cwd=REPO, env=self.environ, text=True, capture_output=True, timeout=60, check=False,
        )  # fmt: skip

    def check(self, *chains: Chain) -> None:
        """Every event of the chains is one row or one counted drop, and every sum agrees."""
        ids = [row["event_id"] for row in self.warehouse.rows("SELECT event_id FROM events")]
        assert sorted(ids) == sorted(event_id for chain in chains for event_id in chain.event_ids)
        sums = {
            "SELECT sum(hits) AS n FROM rollup_minute": len(ids),
            "SELECT sum(count) AS n FROM drops_minute": sum(chain.dropped.total() for chain in chains),
            "SELECT sum(accepted) AS n FROM ledger": sum(chain.accepted for chain in chains),
        }
        for sql, total in sums.items():  # a block reaches one table after another
            await_that(lambda sql=sql, total=total: self.count(sql) >= total, 10, sql)  # type: ignore[misc]
            assert self.count(sql) == total
        ledger = self.run("ledger", "--json")
        assert json.loads(ledger.stdout)["equal"] is True, ledger.stdout
        assert ledger.returncode == 0

    def dead_letters(self) -> list[DeadLetter]:
        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": "test", "enable.partition.eof": True}
        )
        consumer.assign([TopicPartition(DEAD, partition, 0) for partition in (0, 1)])
        found, ends = [], 0
        while ends < 2:
            message = consumer.poll(10)
            assert message is not None
            if message.error():
                ends += 1
            else:
                found.append(DeadLetter.from_message(message.value(), message.headers()))
        consumer.close()
        return found


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
