"""A reader's terminal: the folder of the clone, where commands are run as pages print them, beside a platform."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.platform import Platform, await_that
from tests.processes import REPO, free_port

RUN_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60


class Terminal:
    """Runs the text of a page; addresses, keys and folders of a machine stand for this test's own.

    printed: what the commands printed that started and stopped the platform itself.
    """

    def __init__(self, platform: Platform, folder: Path, nginx: Callable[[], Path]) -> None:
        """folder: empty; nginx: finds the program, or leaves the test out."""
        self.platform = platform
        self.find_nginx = nginx
        self.printed: dict[str, str] = {}
        self.nginx_port = free_port()
        self.folder = folder / "clone"
        self._machine = folder / "machine"
        self.folder.mkdir(parents=True)
        (self.folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
        (self.folder / "Makefile").symlink_to(REPO / "Makefile")
        self.env = {
            **platform.env,
            "PATH": os.pathsep.join(
                [str(self.path("/bin")), str(Path(sys.executable).parent), platform.env["PATH"]]
            ),
            # `make setup` has been done: these tests run in what it made. tests/deploy/test_bootstrap.py runs it.
            "PYTHON": "true",
        }
        for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # the tests may be run by a make of their own
            self.env.pop(name, None)

    def path(self, absolute: str) -> Path:
        """Where a folder or a file of the reader's machine is for this test; its folder exists."""
        path = self._machine / absolute.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, content: str | bytes) -> Path:
        """A file of the reader's, beside the clone's own."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def run(self, command: str, *, status: int = 0, within: Path | None = None) -> str:
        """What a command prints on both outputs; AssertionError when it ends with another status."""
        done = subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=within or self.folder, env=self.env, capture_output=True, text=True, errors="replace",
            timeout=RUN_SECONDS_MAX, check=False,
        )  # fmt: skip
        printed = done.stdout + done.stderr
        assert done.returncode == status, f"{command}\nended with {done.returncode}:\n{printed}"
        return printed

    @contextmanager
    def start(
        self, command: str, printed: Path | None = None, more: dict[str, str] | None = None
    ) -> Iterator[Path]:
        """A command that stays until Ctrl-C, and the file it prints to; AssertionError when it ended before."""
        printed = printed or self.path("/output")
        with printed.open("wb") as output:
            child = subprocess.Popen(
                ["bash", "-c", self.here(command)],
                cwd=self.folder, env={**self.env, **(more or {})}, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            yield printed
            assert child.poll() is None, f"{command} ended: {printed.read_text()}"
        finally:
            if child.poll() is None:
                os.killpg(
                    child.pid, signal.SIGINT
                )  # as a terminal does it: its whole foreground hears Ctrl-C
            child.wait(STOP_SECONDS_MAX)

    def rows(self, where: str, count: int) -> list[dict[str, Any]]:
        """The rows of a condition, once all is loaded; AssertionError when they are not so many."""
        sql = f"SELECT * FROM fairpixel.events WHERE {where}"
        await_that(lambda: len(self.platform.query(sql)) >= count, f"{count} rows where {where}", 60)
        self.platform.settle()
        rows = self.platform.query(sql)
        assert len(rows) == count, rows
        return rows

    def here(self, command: str) -> str:
        """A text of a page with what stands for the reader's machine on this one."""
        env = self.platform.env
        for there, here in (
            ("http://127.0.0.1:8000", self.platform.edge),
            ("http://127.0.0.1:8123", f"http://127.0.0.1:{env['FAIRPIXEL_CLICKHOUSE_PORT']}"),
            ("127.0.0.1:9092", f"127.0.0.1:{env['FAIRPIXEL_KAFKA_PORT']}"),
            ("0.0.0.0:8088", f"127.0.0.1:{self.nginx_port}"),
        ):
            command = command.replace(there, here)
        if "<secret key>" in command:  # there is none before the first start
            command = command.replace("<secret key>", self.platform.secret_key)
        return re.sub(r"(?<![\w.:/])/(?=(?:etc|run|var)/)", f"{self._machine}/", command)
