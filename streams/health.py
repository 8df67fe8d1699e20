"""How the worker is, as its watchdog saw it last, and what that is on its pages."""

from __future__ import annotations

from typing import NamedTuple

from runtime.health_server import Answer


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

    def healthz(self) -> Answer:
        """503 when the worker is stuck."""
        return (200 if self.alive else 503), self._asdict()

    def readyz(self) -> Answer:
        """503 until it makes decisions."""
        return (200 if self.ready else 503), self._asdict()
