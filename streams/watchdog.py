"""Ends a worker that stopped making progress though there is work and Kafka answers; the supervisor starts it anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from runtime.kafka import KafkaUnavailable
from runtime.watchdog import Standstill, WatchThread
from streams.health import Health
from streams.partition.refusals import REFUSALS

LOOK_EVERY_SECONDS = 1.0


class Work(Protocol):
    """What the watchdog sees of the worker; read from another thread."""

    def progress(self) -> int:
        """Grows with all that gets done."""
        ...

    def next_raw(self) -> Mapping[int, int]:
        """Partition -> the raw offset to decide next, for the partitions this worker has."""
        ...

    def ready(self) -> bool:
        """True when each of these partitions is open."""
        ...


class ConsumerLag(Protocol):
    """What the watchdog asks Kafka; each call raises KafkaUnavailable when there is no answer in time."""

    def behind(self, positions: Mapping[int, int]) -> int:
        """Raw packs that wait from these offsets (partition -> offset) to the end."""
        ...

    def clean_end(self) -> int:
        """Grows with every clean pack anybody writes."""
        ...

    def behind_group(self) -> int:
        """Raw packs behind the group's committed offsets."""
        ...


class Patience:
    """How long nothing was decided while packs waited (pure; times in seconds)."""

    def __init__(self, stuck_seconds_max: float, since: float) -> None:
        self._standstill = Standstill(stuck_seconds_max, since)
        self._progress = -1

    def is_over(self, now: float, progress: int, consumer_lag: int | None) -> bool:
        """consumer_lag: packs that wait; None: Kafka does not answer, which nobody here can help."""
        moved = progress != self._progress or not consumer_lag
        self._progress = progress
        return self._standstill.is_over(now, moved)


class Watchdog:
    """Measures the consumer lag, keeps the health page true and gives up on a silent worker."""

    def __init__(
        self, kafka: ConsumerLag, work: Work, stuck_seconds_max: float, give_up: Callable[[str], None],
        on_consumer_lag: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._kafka = kafka
        self._work = work
        self._stuck_seconds_max = stuck_seconds_max
        self._on_consumer_lag = on_consumer_lag
        self._patience = Patience(stuck_seconds_max, time.monotonic())
        self._health = Health("starting", 0, False)
        self._clean_end = -1
        self._thread = WatchThread(self._look, give_up, LOOK_EVERY_SECONDS)
        self._thread.start(threading.Event())  # it looks until the process ends

    def health(self) -> Health:
        """How the worker was at the last look, about a second ago; stuck when the watchdog itself looks no more."""
        if self._thread.is_blind:
            return self._health._replace(status="stuck", ready=False)
        told = REFUSALS.told
        if told:
            status = "unhealthy" if self._health.status == "ok" else self._health.status
            return self._health._replace(status=status, detail=told)
        return self._health

    def _look(self) -> str:
        """The reason to end the worker, or nothing."""
        consumer_lag = self._consumer_lag()
        over = self._patience.is_over(time.monotonic(), self._work.progress(), consumer_lag)
        ready = self._work.ready()
        status = _status(over, consumer_lag, ready)
        consumer_lag_now = self._health.consumer_lag if consumer_lag is None else consumer_lag
        self._health = Health(status, consumer_lag_now, ready, len(self._work.next_raw()))
        self._on_consumer_lag(consumer_lag_now)
        if over:
            return f"nothing decided for {self._stuck_seconds_max:.0f} s with {consumer_lag} packs waiting"
        return ""

    def _consumer_lag(self) -> int | None:
        """Packs waiting on our partitions; None: Kafka does not answer."""
        try:
            mine = dict(self._work.next_raw())
            if not mine:
                return self.consumer_lag_of_all()
            return self._kafka.behind(mine)
        except KafkaUnavailable:
            return None

    def consumer_lag_of_all(self) -> int:
        """For a worker without a partition: packs waiting while nobody at all decides; 0 while others work."""
        end = self._kafka.clean_end()
        moved, self._clean_end = end != self._clean_end, end
        return 0 if moved else self._kafka.behind_group()


def _status(over: bool, consumer_lag: int | None, ready: bool) -> str:
    if over:
        return "stuck"
    if consumer_lag is None:
        return "waiting_for_kafka"
    return "ok" if ready else "starting"
