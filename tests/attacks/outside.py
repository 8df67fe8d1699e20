"""What lies outside the engine's walls, and an engine without its first ones."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from tests.embedded.clickhouse.conftest import Server

MARKER = "a-secret-that-no-answer-may-hold"


class Outside:
    """Files that are not the engine's: a key ring, secrets, another program's data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / "keys"
        self.keys.mkdir(parents=True)
        (self.keys / "2026-11.key").write_text(MARKER)
        (folder / "secrets.csv").write_text(f"1,{MARKER}\n")
        self.port = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.callers = 0
        self._before = self._state()
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            self.callers += 1
            caller.close()

    def _state(self) -> dict[str, bytes]:
        return {str(one): one.read_bytes() for one in sorted(self.folder.rglob("*")) if one.is_file()}

    @property
    def is_untouched(self) -> bool:
        return self._state() == self._before and not self.callers


class OpenServer(Server):
    """The server whose allow-list judges nothing and whose user is granted everything."""

    module = "tests.attacks.open_engine"
