"""`fairpixel logs follow` as a process of a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.platform import Platform

STOP_S_MAX = 30


class Follower:
    """The command, started and killed as often as a test likes; it prints to a file in `folder`."""

    def __init__(self, platform: Platform, folder: Path, log: Path, *options: str) -> None:
        self._platform = platform
        self._command = [sys.executable, "-m", "deploy.cli", "logs", "follow", str(log), *options]
        self.printed = folder / "follower.txt"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.printed.open("ab") as output:
            self._child = subprocess.Popen(
                self._command, env=self._platform.env, stdout=output, stderr=output
            )

    @property
    def pid(self) -> int:
        """The command's pid."""
        assert self._child is not None
        return self._child.pid

    def kill(self) -> None:
        """Kill -9."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(STOP_S_MAX)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self._child is not None
        self._child.terminate()
        return self._child.wait(STOP_S_MAX)
