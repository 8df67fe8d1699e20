"""The topics of a broker that several tests share."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.topics import ensure_topics
from runtime.kafka_access import KafkaAccess
from schemas.topics import all_topics
from tests.processes import await_that


def make_topics_anew(bootstrap: str) -> None:
    """Empty all our topics by making them anew, with new ids: what other tests wrote is gone."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    ours = {topic.name for topic in all_topics()}
    for future in admin.delete_topics(sorted(ours & set(admin.list_topics(timeout=10).topics))).values():
        future.result(20)
    await_that(lambda: not ours & set(admin.list_topics(timeout=10).topics), 30, "the old topics are gone")
    make_topics(bootstrap)


def make_topics(bootstrap: str) -> None:
    """Make what is missing of our topics, and wait until each partition has a leader that answers."""
    ensure_topics(KafkaAccess(bootstrap), all_topics())
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "leaders"})

    def answers() -> bool:
        try:
            for name in sorted(topic.name for topic in all_topics()):
                for partition in consumer.list_topics(name, timeout=10).topics[name].partitions:
                    consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=10)
        except KafkaException:
            return False
        return True

    try:
        await_that(answers, 30, "every partition has a leader")
    finally:
        consumer.close()
