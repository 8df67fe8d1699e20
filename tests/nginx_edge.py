"""nginx ingestion for a test or a bench: a real nginx with the rendered configuration, in a folder of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from deploy.commands._nginx import render_nginx
from tests.processes import await_that, free_port


class NginxEdge:
    """One nginx that answers the pixel; its queue is `queue`."""

    def __init__(
        self, binary: Path, folder: Path, keys: list[str], workers: int = 1, before: str = ""
    ) -> None:
        """before: directives of nginx's http block that come first, such as realip's."""
        folder.mkdir(parents=True, exist_ok=True)
        self._binary = binary
        self.folder, self.port = folder, free_port()
        self.queue, self.pid_file = folder / "pixel.log", folder / "nginx.pid"
        (folder / "fairpixel.conf").write_text(render_nginx(keys, self.queue, f"127.0.0.1:{self.port}"))
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"daemon off; {user} pcre_jit on; worker_processes {workers}; pid {self.pid_file};\n"
            f"error_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{ {temporary} {before} include {folder}/fairpixel.conf; }}\n"
        )
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [str(self._binary), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        self._child = subprocess.Popen([*command, "-e", str(self.folder / "error.log")])
        await_that(self._listens, 20, "nginx listens")

    def stop(self) -> None:
        """Stop it in order."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            self._child.wait(20)

    def workers(self) -> list[int]:
        """The pids of its worker processes."""
        assert self._child is not None
        pid = self._child.pid
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self) -> None:
        """Kill -9 of the master and its workers."""
        assert self._child is not None
        workers = self.workers()
        self._child.kill()
        self._child.wait(20)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        await_that(lambda: not self._listens(), 20, "nobody listens any more")

    @property
    def pid(self) -> int:
        """The master's pid."""
        assert self._child is not None
        return self._child.pid

    def request(
        self, target: str, headers: dict[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, str]:
        """One request on a connection of its own: status, and the answer's head."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(
                f"{method} {target} HTTP/1.1\r\nHost: edge.example\r\nConnection: close\r\n{lines}\r\n".encode()
            )
            answer = b""
            while part := connection.recv(65_536):
                answer += part
        head = answer.partition(b"\r\n\r\n")[0].decode("latin-1")
        return int(head.split()[1]), head

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True
