"""Tells over HTTP on loopback how a program is: /healthz, /readyz, /metrics, from threads that no work can block."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

STOP_CHECK_S = 0.2  # how long a `shutdown` may wait
Answer = tuple[int, Mapping[str, object]]  # status and what the JSON says
NOT_FOUND: Answer = (
    404,
    {"code": "not_found", "message": "There is no such page.", "detail": "/healthz, /readyz, /metrics"},
)


def serve_health(
    port: int, healthz: Callable[[], Answer], readyz: Callable[[], Answer], metrics: Callable[[], bytes]
) -> ThreadingHTTPServer:
    """Answer until the process ends or `shutdown` is called. Raises OSError when the port is taken.

    healthz: 503 when a restart would help. readyz: 503 while the program does not do its work. metrics: Prometheus's
    text. All three are called from threads of the server.
    """
    pages = {"/healthz": healthz, "/readyz": readyz}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, metrics())
                return
            status, payload = pages.get(self.path, lambda: NOT_FOUND)()
            self._answer(status, "application/json", json.dumps(payload).encode())

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Health is asked every second: no news."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(STOP_CHECK_S,), name="health", daemon=True).start()
    return server
