"""The pages of a sink on loopback, /healthz, /readyz and /metrics, from threads that no work can block."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

Answer = tuple[int, Mapping[str, object]]  # status and what the JSON says
NOT_FOUND: Answer = (
    404,
    {"code": "not_found", "message": "There is no such page.", "detail": "/healthz, /readyz, /metrics"},
)


def serve_pages(
    port: int, healthz: Callable[[], Answer], readyz: Callable[[], Answer], metrics: Callable[[], bytes]
) -> ThreadingHTTPServer:
    """Answer until the process ends. Raises OSError when the port is taken."""
    pages = {"/healthz": healthz, "/readyz": readyz}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, metrics())
                return
            status, report = pages.get(self.path, lambda: NOT_FOUND)()
            self._answer(status, "application/json", json.dumps(report).encode())

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
    threading.Thread(target=server.serve_forever, args=(0.2,), name="health", daemon=True).start()
    return server
