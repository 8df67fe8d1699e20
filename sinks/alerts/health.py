"""What /healthz, /readyz and /metrics of the watcher say."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from runtime.health_server import Answer
from runtime.metrics import ALERTS_JUDGED_AGE, ALERTS_OPEN, ALERTS_SENT
from sinks.alerts.loop import Standing
from sinks.alerts.rules import MINUTE

STUCK_MS = 90_000  # a loop that came round no more for this long is unhealthy, and is restarted


class Health:
    """What the loop last said about itself; written by the loop, read by the server's threads."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._round_ms = now_ms()
        self._standing = Standing()
        self._problem = "starting"
        self.registry = CollectorRegistry()
        Gauge(ALERTS_OPEN.name, ALERTS_OPEN.meaning, registry=self.registry).set_function(
            lambda: self._standing.open_count
        )
        age = Gauge(ALERTS_JUDGED_AGE.name, ALERTS_JUDGED_AGE.meaning, registry=self.registry)
        age.set_function(lambda: self.judging_delay_seconds())
        name = ALERTS_SENT.name.removesuffix("_total")
        self._sent = Counter(name, ALERTS_SENT.meaning, ALERTS_SENT.labels, registry=self.registry)

    def came_round(self, standing: Standing, problem: str = "") -> None:
        """The loop finished a step; trouble: why it could not do all of it."""
        self._round_ms, self._standing, self._problem = self._now_ms(), standing, problem

    def sent(self, route: str, outcome: str) -> None:
        """Count a message."""
        self._sent.labels(route, outcome).inc()

    def judging_delay_seconds(self) -> float:
        """Since the end of the last judged minute; up to a minute and a few seconds is ordinary. 0: none judged yet."""
        judged = self._standing.judged
        return max(self._now_ms() / 1000 - judged - MINUTE, 0.0) if judged else 0.0

    def healthz(self) -> Answer:
        """200 while the loop comes round, whether or not Kafka and ClickHouse answer: a restart helps neither."""
        stuck = self._now_ms() - self._round_ms > STUCK_MS
        return (503 if stuck else 200), {
            "status": "stuck" if stuck else "ok",
            "minutes_not_judged": int(max(self.judging_delay_seconds() - 5, 0)) // MINUTE,
            "judging_delay_seconds": round(self.judging_delay_seconds(), 1),
            "late": self._standing.late,
            "packs_missing": self._standing.packs_missing,
            "spool_holds": self._standing.spool_holds,
            "open": self._standing.open_count,
            "problem": self._problem,
        }

    def render_metrics(self) -> bytes:
        """Prometheus text."""
        return generate_latest(self.registry)

    def readyz(self) -> Answer:
        """200 while minutes can be judged."""
        status, body = self.healthz()
        return (503 if self._problem or self._standing.late else status), body
