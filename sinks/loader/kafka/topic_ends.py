"""Seam: where a topic ends and which one it is, asked for the watchdog with a client of its own."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from runtime.kafka import KafkaUnavailable
from runtime.kafka_access import KafkaAccess
from sinks.loader.kafka.log_reader import find_topic_id

ANSWER_S_MAX = 5.0


class KafkaTopicEnds:
    """A `TopicEnds` on a broker, which is asked in bounded time."""

    def __init__(self, kafka: KafkaAccess, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._admin: AdminClient | None = None

    def ends(self, partitions: list[int]) -> dict[int, int]:
        """Partition -> the offset behind its last message. Raises KafkaUnavailable."""
        latest: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(self._topic, one): latest for one in partitions}
        self._admin = self._admin or AdminClient({**self._kafka.client(), "log_level": 0})
        try:
            asked = self._admin.list_offsets(wanted, request_timeout=ANSWER_S_MAX)
            return {one.partition: int(end.result(ANSWER_S_MAX * 2).offset) for one, end in asked.items()}
        except (KafkaException, TimeoutError) as raised:
            self._admin = None  # the next question begins with a fresh client
            raise KafkaUnavailable(
                type(raised).__name__, f"Kafka does not answer: {type(raised).__name__}"
            ) from None

    def topic_id(self) -> str:
        """The id of the topic that has this name now. Raises KafkaUnavailable."""
        return find_topic_id(self._kafka, self._topic)
