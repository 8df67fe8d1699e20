"""A whole platform whose programs do nothing, under the real supervisor."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import Platform
from deploy.supervisor.look import Look, look
from tests.deploy.dummy_up import dummy_platform
from tests.processes import REPO, await_that, free_port

PORTS = (
    "FAIRPIXEL_EDGE_PORT", "FAIRPIXEL_STREAMS_PORT", "FAIRPIXEL_SINKS_PORT", "FAIRPIXEL_ALERTS_PORT",
    "FAIRPIXEL_CLICKHOUSE_PORT", "FAIRPIXEL_KAFKA_PORT", "FAIRPIXEL_KAFKA_PROGRAMS_PORT",
    "FAIRPIXEL_KAFKA_CONTROLLER_PORT",
)  # fmt: skip


@dataclass
class Dummies:
    """A platform of dummies in its own folder."""

    folder: Path
    options: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    foreground: subprocess.Popen[str] | None = None
    journal_folder: Path | None = None

    def __post_init__(self) -> None:
        own = {name: str(free_port()) for name in PORTS}
        self.environ = {
            **os.environ,
            **own,
            "FAIRPIXEL_DATA": str(self.folder / "data"),
            "FAIRPIXEL_KEYS": str(self.folder / "keys"),
        }

    @property
    def journal(self) -> Path:
        return (self.journal_folder or self.folder) / "journal"

    @property
    def platform(self) -> Platform:
        return dummy_platform(self.environ, self.journal, {})

    def command(self, *more: str) -> list[str]:
        return [sys.executable, "-m", "tests.deploy.dummy_up", str(self.journal), *more, *self.options]

    def up(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command("--detach"),
            cwd=REPO,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def up_in_foreground(self) -> subprocess.Popen[str]:
        self.foreground = subprocess.Popen(
            self.command(),
            cwd=REPO,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        await_that(lambda: self.all_ok() or self.foreground.poll() is not None, 30, "the dummies run")  # type: ignore[union-attr]
        return self.foreground

    def looks(self) -> dict[str, Look]:
        return {one.name: one for one in look(self.platform.folder, self.platform.programs)}

    def all_ok(self) -> bool:
        return all(one.health == "ok" for one in self.looks().values())

    def pid(self, name: str) -> int:
        pid = self.looks()[name].pid
        assert pid is not None
        return pid

    def noted(self, word: str) -> list[str]:
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [line for line in lines if line.split()[1] == word]
