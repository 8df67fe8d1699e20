"""Waits for Kafka instead of failing: a worker that starts before its broker is early, not broken (seam)."""

from __future__ import annotations

import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runtime.kafka_access import KafkaAccess
from runtime.logs import get_logger

ANSWER_SECONDS_MAX = 3.0
SAY_EVERY_SECONDS = 10.0


def wait_for_kafka(kafka: KafkaAccess, topic: str, partition_count: int = 1) -> None:
    """Return when the broker knows the topic with so many partitions; says every ten seconds that it waits."""
    admin = AdminClient({**kafka.client(), "reconnect.backoff.max.ms": 500, "log_level": 0})
    logged_at = time.monotonic()
    while True:
        try:
            found = admin.list_topics(topic, ANSWER_SECONDS_MAX).topics.get(topic)
            if found is not None and found.error is None and len(found.partitions) >= partition_count:
                return
        except KafkaException:
            admin.poll(0)  # says so where the login is refused
        if time.monotonic() - logged_at > SAY_EVERY_SECONDS:
            logged_at = time.monotonic()
            get_logger().warning("waiting_for_kafka", topic=topic, advice="is `fairpixel up` running?")
        time.sleep(0.2)
