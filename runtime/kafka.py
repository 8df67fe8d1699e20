"""Seam: what several programs ask Kafka in the same way: a topic's id, a delivery to wait for, the end of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from runtime.kafka_access import KafkaAccess

ANSWER_S_MAX = 10.0


class KafkaUnavailable(Exception):
    """Kafka does not answer in time, or answers with an error. Its text says so, in the client's words or ours."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(text or name)
        # librdkafka's name of the error, such as _TIMED_OUT, where it has one.
        self.name = name


@contextmanager
def kafka_errors_as_ours() -> Iterator[None]:
    """For adapters: what the client raises inside leaves as KafkaUnavailable."""
    try:
        yield
    except KafkaException as error:
        found = error.args[0]
        raise KafkaUnavailable(found.name(), found.str()) from error


class Outgoing(NamedTuple):
    """A message to be written; `partition` -1 leaves the choice to the client."""

    topic: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = -1


def deliver(producer: Producer, messages: Iterable[Outgoing], wait_s_max: float) -> None:
    """Write messages and wait until the brokers have all of them. Raises KafkaUnavailable with the first failure.

    After a failure some may have arrived, and the producer may still hold others.
    """
    failed: list[KafkaUnavailable] = []

    def report(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(KafkaUnavailable(error.name(), error.str()))

    try:
        with kafka_errors_as_ours():
            for one in messages:
                producer.produce(
                    one.topic,
                    one.value,
                    partition=one.partition,
                    headers=list(one.headers),
                    on_delivery=report,
                )
    except KafkaUnavailable as error:
        failed.append(error)
    except BufferError:
        failed.append(KafkaUnavailable("_QUEUE_FULL", "the producer holds too much already"))
    left = producer.flush(wait_s_max)
    if failed or left:
        raise failed[0] if failed else KafkaUnavailable("no answer")


def ask_topic_id(admin: AdminClient, topic: str, answer_s_max: float = ANSWER_S_MAX) -> str:
    """The id of the topic that has this name now: a name can be made twice. Raises KafkaUnavailable."""
    try:
        with kafka_errors_as_ours():
            found = admin.describe_topics(TopicCollection([topic]), request_timeout=answer_s_max)
            return str(found[topic].result(answer_s_max).topic_id)
    except KafkaUnavailable:
        # Tells of a refused login, which looks like a broker that is away.
        admin.poll(0)
        raise
    except TimeoutError:
        admin.poll(0)
        raise KafkaUnavailable("no answer") from None


def is_too_large(message: Message) -> bool:
    """Whether an error of the client says that it did not unpack a batch."""
    error = message.error()
    return error is not None and error.code() == KafkaError._BAD_COMPRESSION


def find_batch_end(
    kafka: KafkaAccess,
    group: str,
    topic: str,
    partition: int,
    at: int,
    options: Mapping[str, str | int | float | bool],
) -> int:
    """The first offset behind the batch that holds `at` and cannot be unpacked. Raises KafkaUnavailable.

    group: required by the client, and never joined. options: how little may be fetched at a time.
    Brokers give whole batches, whichever of their offsets is asked for: the error then names the batch's beginning.
    Some 10 to 20 questions halve what is left.
    """
    consumer = Consumer(
        {**kafka.client(), "group.id": group, "enable.auto.commit": False, "log_level": 0, **options}
    )
    try:
        with kafka_errors_as_ours():
            _, behind = consumer.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_S_MAX)
            inside = at
            while behind - inside > 1:
                middle = (inside + behind) // 2
                consumer.assign([TopicPartition(topic, partition, middle)])
                message = consumer.poll(ANSWER_S_MAX)
                if message is None:
                    raise KafkaUnavailable("no answer", "no answer while looking for the end of a batch")
                if is_too_large(message) and int(message.offset() or 0) <= at:
                    inside = middle
                else:
                    behind = middle
            return behind
    finally:
        consumer.close()
