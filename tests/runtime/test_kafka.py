"""What programs ask Kafka in the same way, on a real broker and of one that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from runtime.kafka import KafkaUnavailable, Outgoing, ask_topic_id, deliver, find_batch_end
from runtime.kafka_access import KafkaAccess
from schemas.topics import DEAD, RAW, SINKS_READER, STREAMS_READER
from tests.broker import make_topics_anew

NOWHERE = KafkaAccess("127.0.0.1:9")


@pytest.fixture
def access(kafka: str) -> Iterator[KafkaAccess]:
    """A broker whose topics are empty, and empty again for the next: these messages are none of any program."""
    make_topics_anew(kafka)
    yield KafkaAccess(kafka)
    make_topics_anew(kafka)


def admin(kafka: KafkaAccess) -> AdminClient:
    return AdminClient({**kafka.client(), "log_level": 0})


def producer(kafka: KafkaAccess) -> Producer:
    return Producer({**kafka.client(), "message.timeout.ms": 20_000, "log_level": 0})


def end_of(kafka: KafkaAccess, partition: int) -> int:
    consumer = Consumer({**kafka.client(), "group.id": STREAMS_READER, "log_level": 0})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(DEAD, partition), 10)[1])
    finally:
        consumer.close()


def test_a_topic_made_anew_has_another_id(kafka: str, access: KafkaAccess) -> None:
    first = ask_topic_id(admin(access), RAW)
    assert first == ask_topic_id(admin(access), RAW)
    make_topics_anew(kafka)
    assert first not in ("", ask_topic_id(admin(access), RAW))


def test_messages_are_there_when_deliver_returns(access: KafkaAccess) -> None:
    deliver(
        producer(access), [Outgoing(DEAD, b"one", (("reason", b"x"),), 1), Outgoing(DEAD, b"two", (), 1)], 20
    )
    assert (end_of(access, 0), end_of(access, 1)) == (0, 2)


def test_a_message_the_client_does_not_take_is_named_and_the_others_are_waited_for(
    access: KafkaAccess,
) -> None:
    with pytest.raises(KafkaUnavailable) as raised:
        deliver(
            producer(access), [Outgoing(DEAD, b"one", (), 0), Outgoing(DEAD, bytes(2_000_000), (), 0)], 20
        )
    assert raised.value.name == "MSG_SIZE_TOO_LARGE"
    assert end_of(access, 0) == 1


def test_a_broker_that_is_away_is_an_error_in_bounded_time() -> None:
    started = time.monotonic()
    with pytest.raises(KafkaUnavailable, match="no answer"):
        deliver(producer(NOWHERE), [Outgoing(DEAD, b"one")], 0.3)
    with pytest.raises(KafkaUnavailable):
        ask_topic_id(admin(NOWHERE), RAW, 0.5)
    assert time.monotonic() - started < 10


def test_the_end_of_a_batch_of_a_broker_that_is_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.kafka.ANSWER_S_MAX", 0.5)
    with pytest.raises(KafkaUnavailable):
        find_batch_end(NOWHERE, SINKS_READER, RAW, 0, 0, {})
