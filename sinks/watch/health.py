"""/healthz, /readyz and /metrics of the watcher, on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from schemas.metrics import ALERTS_JUDGED_AGE, ALERTS_OPEN, ALERTS_SENT
from sinks.alerts import MINUTE
from sinks.watch.loop import Standing

STUCK_MS = 90_000  # a loop that came round no more for this long is unhealthy, and is restarted


class Health:
    """What the loop last said about itself; written by the loop, read by the server's threads."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._round_ms = now_ms()
        self._standing = Standing()
        self._trouble = "starting"
        self.registry = CollectorRegistry()
        Gauge(ALERTS_OPEN.name, ALERTS_OPEN.meaning, registry=self.registry).set_function(
            lambda: self._standing.open_count
        )
        age = Gauge(ALERTS_JUDGED_AGE.name, ALERTS_JUDGED_AGE.meaning, registry=self.registry)
        age.set_function(lambda: self.lag_seconds())
        name = ALERTS_SENT.name.removesuffix("_total")
        self._sent = Counter(name, ALERTS_SENT.meaning, ALERTS_SENT.labels, registry=self.registry)

    def came_round(self, standing: Standing, trouble: str = "") -> None:
        """The loop finished a step; trouble: why it could not do all of it."""
        self._round_ms, self._standing, self._trouble = self._now_ms(), standing, trouble

    def sent(self, route: str, outcome: str) -> None:
        """Count a message."""
        self._sent.labels(route, outcome).inc()

    def lag_seconds(self) -> float:
        """Since the end of the last judged minute; up to a minute and a few seconds is ordinary. 0: none judged yet."""
        judged = self._standing.judged
        return max(self._now_ms() / 1000 - judged - MINUTE, 0.0) if judged else 0.0

    def healthz(self) -> tuple[int, dict[str, object]]:
        """200 while the loop comes round, whether or not Kafka and ClickHouse answer: a restart helps neither."""
        stuck = self._now_ms() - self._round_ms > STUCK_MS
        return (503 if stuck else 200), {
            "status": "stuck" if stuck else "ok",
            "lag": int(max(self.lag_seconds() - 5, 0)) // MINUTE,  # minutes that ended and are not judged
            "lag_seconds": round(self.lag_seconds(), 1),
            "late": self._standing.late,
            "packs_missing": self._standing.packs_missing,
            "spool_holds": self._standing.spool_holds,
            "open": self._standing.open_count,
            "trouble": self._trouble,
        }

    def readyz(self) -> tuple[int, dict[str, object]]:
        """200 while minutes can be judged."""
        status, body = self.healthz()
        return (503 if self._trouble or self._standing.late else status), body


def serve(health: Health, port: int) -> ThreadingHTTPServer:
    """Answer on loopback in threads of its own. Raises OSError when the port is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(
                    200, "text/plain; version=0.0.4; charset=utf-8", generate_latest(health.registry)
                )
                return
            page = {"/healthz": health.healthz, "/readyz": health.readyz}.get(self.path)
            status, body = page() if page else (404, {"code": "not_found"})
            self._answer(status, "application/json", json.dumps(body).encode())

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Requests to this door are not logged."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
