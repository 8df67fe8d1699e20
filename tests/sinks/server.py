"""The real ClickHouse as a thing to kill and start again."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from sinks.warehouse.client import HttpWarehouse, WarehouseError
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
