"""Ends a worker that stopped making progress though there is work and Kafka answers; the supervisor starts it anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition

from runtime.kafka_access import KafkaAccess
from schemas.topics import CLEAN, RAW
from streams.health import Health
from streams.partition.refusals import REFUSALS

LOOK_EVERY_SECONDS = 1.0
ANSWER_SECONDS_MAX = 3.0
UNSEEN_SECONDS_MAX = 60.0  # librdkafka does not keep every time limit: a look may never end


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


@dataclass(slots=True)
class Patience:
    """How long nothing has happened while something should have (pure; times in seconds)."""

    stuck_seconds_max: float
    since: float
    progress: int = -1

    def is_over(self, now: float, progress: int, lag: int | None) -> bool:
        """lag: packs that wait; None: Kafka does not answer, which nobody here can help."""
        if progress != self.progress or not lag:
            self.progress, self.since = progress, now
        return now - self.since > self.stuck_seconds_max


class Watchdog:
    """A thread that measures lag, keeps the health page true and gives up on a silent worker."""

    def __init__(
        self, kafka: KafkaAccess, work: Work, stuck_seconds_max: float, give_up: Callable[[str], None],
        on_lag: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._work = work
        self._give_up = give_up
        self._on_lag = on_lag
        self._patience = Patience(stuck_seconds_max, time.monotonic())
        self._health = Health("starting", 0, False)
        self._looked_at = time.monotonic()
        self._clean_end = -1
        self._consumer = Consumer(
            {
                **kafka.client(),
                "group.id": "fairpixel-streams",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def health(self) -> Health:
        """How the worker was at the last look, about a second ago; stuck when the watchdog itself looks no more."""
        if time.monotonic() - self._looked_at > UNSEEN_SECONDS_MAX:
            return self._health._replace(status="stuck", ready=False)
        told = REFUSALS.told
        if told:
            status = "unhealthy" if self._health.status == "ok" else self._health.status
            return self._health._replace(status=status, detail=told)
        return self._health

    def _watch(self) -> None:
        while True:
            started = self._looked_at = time.monotonic()
            lag = self._lag()
            over = self._patience.is_over(time.monotonic(), self._work.progress(), lag)
            ready = self._work.ready()
            status = (
                "stuck" if over else "waiting_for_kafka" if lag is None else "ok" if ready else "starting"
            )
            lag_now = self._health.lag if lag is None else lag
            self._health = Health(status, lag_now, ready, len(self._work.next_raw()))
            self._on_lag(self._health.lag)
            if over:
                self._give_up(
                    f"nothing decided for {self._patience.stuck_seconds_max:.0f} s with {lag} packs waiting"
                )
            time.sleep(max(0.0, LOOK_EVERY_SECONDS - (time.monotonic() - started)))

    def _lag(self) -> int | None:
        """Packs waiting on our partitions; None: Kafka does not answer."""
        try:
            mine = dict(self._work.next_raw())
            if not mine:
                return self.lag_of_all()
            return sum(
                max(
                    0,
                    self._consumer.get_watermark_offsets(TopicPartition(RAW, p), ANSWER_SECONDS_MAX)[1]
                    - offset,
                )
                for p, offset in mine.items()
            )
        except KafkaException:
            return None

    def lag_of_all(self) -> int:
        """For a worker without a partition: packs waiting while nobody at all decides; 0 while others work."""
        end = self.clean_end()
        moved, self._clean_end = end != self._clean_end, end
        return 0 if moved else self.group_lag()

    def clean_end(self) -> int:
        """Grows with every clean pack anybody writes."""
        partitions = self._consumer.list_topics(CLEAN, ANSWER_SECONDS_MAX).topics[CLEAN].partitions
        ends = (
            self._consumer.get_watermark_offsets(TopicPartition(CLEAN, p), ANSWER_SECONDS_MAX)
            for p in partitions
        )
        return sum(high for _, high in ends)

    def group_lag(self) -> int:
        """Packs behind the group's committed offsets."""
        topics = self._consumer.list_topics(RAW, ANSWER_SECONDS_MAX).topics
        partitions = [TopicPartition(RAW, p) for p in topics[RAW].partitions]
        lag = 0
        for committed in self._consumer.committed(partitions, ANSWER_SECONDS_MAX):
            low, high = self._consumer.get_watermark_offsets(committed, ANSWER_SECONDS_MAX)
            lag += high - max(committed.offset, low)
        return lag
