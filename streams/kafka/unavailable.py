"""The one error of Kafka that the rest of streams knows, and how an adapter raises it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException


class KafkaUnavailable(Exception):
    """Kafka does not answer in time, or answers with an error. Its text is the client's sentence about that."""

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__(text or name)
        # librdkafka's name of the error, such as _TIMED_OUT
        self.name = name


@contextmanager
def kafka_errors_as_ours() -> Iterator[None]:
    """For adapters: what the client raises inside leaves as KafkaUnavailable."""
    try:
        yield
    except KafkaException as error:
        found = error.args[0]
        raise KafkaUnavailable(found.name(), found.str()) from error
