"""What the loader asks Kafka about the raw topic, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from runtime.kafka_access import KafkaAccess
from schemas.topics import RAW
from sinks.loader.kafka.raw_log import KafkaRaw
from tests.broker import make_topics_anew


@pytest.fixture
def raw(kafka: str) -> Iterator[KafkaRaw]:
    make_topics_anew(kafka)
    reader = KafkaRaw(KafkaAccess(kafka))
    yield reader
    reader.close()


def append(kafka: str) -> int:
    """Write one message; its time by the broker's clock, in ms."""
    times: list[int] = []
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(RAW, b"x", partition=0, on_delivery=lambda _, one: times.append(one.timestamp()[1]))
    assert producer.flush(10) == 0
    return times[0]


def test_the_end_is_asked_for_only_where_the_time_does_not_tell(kafka: str, raw: KafkaRaw) -> None:
    first_ms = append(kafka)
    last_ms = append(kafka)
    assert raw.ends(0, last_ms + 1) == (2, 2)
    assert raw.ends(0, last_ms + 1, 0) == (2, 2), "no message is that young: the end tells"
    assert raw.ends(0, first_ms, 0) == (0, 2), "the message at offset 0 is not older"
    assert raw.ends(0, last_ms, 0) in [(1, None), (0, 2)], "the second is younger, unless both are of one ms"
    assert raw.ends(0, first_ms - 1, -1) == (0, None)
