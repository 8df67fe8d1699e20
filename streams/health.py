"""Tells over HTTP on loopback how the worker is: /healthz, /readyz, /metrics, from a thread that no work can block."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class Health(NamedTuple):
    """How the worker is."""

    status: str  # starting, ok, unhealthy, waiting_for_kafka, stuck
    consumer_lag: int  # raw packs not decided yet, on the partitions this worker has
    ready: bool  # each partition it has is open
    partitions: int = 0  # how many it has
    detail: str = ""  # why it is unhealthy: it works, and somebody must look

    @property
    def alive(self) -> bool:
        """False when a restart would help."""
        return self.status != "stuck"


def serve_health(port: int, health: Callable[[], Health]) -> ThreadingHTTPServer:
    """Answer until the process ends; /healthz is 503 when the worker is stuck, /readyz until it makes decisions."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = health()
            text = json.dumps(now._asdict()).encode()
            match self.path:
                case "/healthz":
                    self._answer(200 if now.alive else 503, "application/json", text)
                case "/readyz":
                    self._answer(200 if now.ready else 503, "application/json", text)
                case "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
                case _:
                    error = {
                        "code": "not_found",
                        "message": "no such page",
                        "detail": "/healthz, /readyz, /metrics",
                    }
                    self._answer(404, "application/json", json.dumps(error).encode())

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Health checks are no news."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
