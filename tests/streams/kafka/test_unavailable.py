"""Whatever the client of Kafka raises reaches streams as KafkaUnavailable, with the client's name for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.kafka import KafkaUnavailable
from runtime.kafka_access import KafkaAccess
from schemas.topics import CLEAN, CLEAN_SIZE_MAX, RAW
from streams.kafka import consumer_lag, log_reader
from streams.kafka.consumer_lag import KafkaConsumerLag
from streams.kafka.log_reader import KafkaLogReader
from streams.kafka.outbox import KafkaOutbox

NOWHERE = KafkaAccess("127.0.0.1:9")

READS: dict[str, Callable[[KafkaLogReader], object]] = {
    "bounds": lambda log: log.bounds(RAW, 0),
    "offset_at": lambda log: log.offset_at(RAW, 0, 0),
    "read": lambda log: list(log.read(RAW, 0, 0, 1)),
    "partition_count": lambda log: log.partition_count(RAW),
}
QUESTIONS: dict[str, Callable[[KafkaConsumerLag], object]] = {
    "behind": lambda kafka: kafka.behind({0: 0}),
    "clean_end": lambda kafka: kafka.clean_end(),
    "behind_group": lambda kafka: kafka.behind_group(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_log_of_a_broker_that_is_away(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[KafkaLogReader], object]
) -> None:
    monkeypatch.setattr(log_reader, "REQUEST_SECONDS_MAX", 0.5)
    with pytest.raises(KafkaUnavailable) as raised:
        read(KafkaLogReader(NOWHERE))
    assert raised.value.name in ("_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN")
    assert str(raised.value)


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_the_consumer_lag_of_a_broker_that_is_away(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[KafkaConsumerLag], object]
) -> None:
    monkeypatch.setattr(consumer_lag, "ANSWER_SECONDS_MAX", 0.5)
    with pytest.raises(KafkaUnavailable):
        ask(KafkaConsumerLag(NOWHERE))


def test_a_message_the_producer_does_not_take() -> None:
    outbox = KafkaOutbox(NOWHERE)
    with pytest.raises(KafkaUnavailable) as raised:
        outbox.send(CLEAN, 0, bytes(CLEAN_SIZE_MAX + 20_000), None, lambda result: None)
    assert raised.value.name == "MSG_SIZE_TOO_LARGE"
    outbox.close(0)
