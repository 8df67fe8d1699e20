"""Whether the engine still answers, and the server's metrics."""

from __future__ import annotations

import threading
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from deploy.embedded.clickhouse.confine import Confinement
from deploy.embedded.clickhouse.connections import Connections
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.slots import Slots


class Health:
    """Asks the engine for `SELECT 1`, never more than once at a time, and holds the metrics."""

    def __init__(
        self, ask: Callable[[], bytes], confinement: Confinement | None = None, answer_s_max: float = 3.0
    ) -> None:
        self._ask_engine = ask
        self._answer_s_max = answer_s_max
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._reason = ""
        self.registry = CollectorRegistry()
        self.running = Gauge(
            "fairpixel_clickhouse_queries_running", "Queries being answered now.", registry=self.registry
        )
        self.lost = Gauge(
            "fairpixel_clickhouse_queries_lost",
            "Queries told to end that the engine has not given back; one for 30 s, and the process restarts.",
            registry=self.registry,
        )
        self.connections = Gauge(
            "fairpixel_clickhouse_connections", "Connections open now.", registry=self.registry
        )
        self.crowded_out = Gauge(
            "fairpixel_clickhouse_connections_crowded_out",
            "Silent connections closed since the start because a new one needed the place.",
            registry=self.registry,
        )
        self.restarts = Gauge(
            "fairpixel_clickhouse_restarts",
            "How often this data folder's server restarted itself because the engine kept a query it was told to end.",
            registry=self.registry,
        )
        self.failed = Counter(
            "fairpixel_clickhouse_queries_failed",
            "Requests answered with an error, by ClickHouse's code.",
            ["code"],
            registry=self.registry,
        )
        confined = Gauge(
            "fairpixel_clickhouse_confined",
            "1 for each wall the kernel keeps around the engine; 0: this kernel cannot, see the log.",
            ["wall"],
            registry=self.registry,
        )
        for wall, kept in confinement.walls if confinement else ():
            confined.labels(wall).set(kept)

    def watch(self, slots: Slots, connections: Connections) -> None:
        """Show what the server holds in the metrics."""
        self.running.set_function(lambda: len(slots))
        self.lost.set_function(slots.lost_count)
        self.connections.set_function(lambda: len(connections))
        self.crowded_out.set_function(lambda: connections.closed_count)

    def check(self) -> str:
        """Why the engine is not healthy, or "": without an answer in time it counts as wedged."""
        with self._lock:
            if self._asking is None or not self._asking.is_alive():
                self._reason = "no answer"
                self._asking = threading.Thread(target=self._ask, name="health", daemon=True)
                self._asking.start()
            asking = self._asking
        asking.join(self._answer_s_max)
        return "the engine does not answer" if asking.is_alive() else self._reason

    def _ask(self) -> None:
        try:
            self._reason = "" if self._ask_engine() == b"1\n" else "the engine answers nonsense"
        except ClickHouseError as error:
            self._reason = f"the engine fails with code {error.code}"

    def exposition(self) -> str:
        """All metrics in Prometheus' text form."""
        return generate_latest(self.registry).decode()
