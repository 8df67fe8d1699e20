"""Silence is noticed, a broker that is away is not blamed on the worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from runtime.kafka_access import KafkaAccess
from runtime.watchdog import UNSEEN_S_MAX
from streams.kafka.consumer_lag import KafkaConsumerLag
from streams.watchdog import Patience, Watchdog
from tests.broker import make_topics_anew
from tests.processes import await_that
from tests.streams.workers import Workers

AWAY = KafkaAccess("127.0.0.1:9")


def test_patience_ends_when_packs_wait_and_nothing_happens() -> None:
    patience = Patience(10, since=0)
    assert not patience.is_over(5, progress=1, consumer_lag=3)
    assert not patience.is_over(14, progress=1, consumer_lag=3)
    assert patience.is_over(15.1, progress=1, consumer_lag=3)


@pytest.mark.parametrize("consumer_lag", [0, None])
def test_nothing_to_do_or_no_broker_is_no_silence(consumer_lag: int | None) -> None:
    patience = Patience(10, since=0)
    assert not patience.is_over(100, progress=0, consumer_lag=consumer_lag)
    assert not patience.is_over(109, progress=0, consumer_lag=5)
    assert patience.is_over(111, progress=0, consumer_lag=5)


def test_progress_renews_patience() -> None:
    patience = Patience(10, since=0)
    assert not any(patience.is_over(second, progress=second, consumer_lag=5) for second in range(0, 100, 5))


class Silent:
    """A worker that has both partitions and does nothing."""

    def progress(self) -> int:
        return 7

    def next_raw(self) -> Mapping[int, int]:
        return {0: 0, 1: 0}

    def ready(self) -> bool:
        return True


@pytest.mark.timeout(60)
def test_a_silent_worker_is_given_up(kafka: str, tmp_path: Path) -> None:
    make_topics_anew(kafka)
    workers = Workers(kafka, tmp_path)
    workers.send_bytes(0, b"junk")
    workers.flush()
    ended = threading.Event()
    lags: list[int] = []
    watchdog = Watchdog(
        KafkaConsumerLag(KafkaAccess(kafka)), Silent(), 2, lambda reason: ended.set(), lags.append
    )
    assert ended.wait(20)
    assert watchdog.health().status == "stuck"
    assert not watchdog.health().alive
    assert max(lags) >= 1


class PacksWait:
    """Kafka with packs behind everybody; whether the clean log grows, the test says."""

    def __init__(self, *, others_work: bool) -> None:
        self._clean_end, self._growth = 0, 1 if others_work else 0

    def behind(self, positions: Mapping[int, int]) -> int:
        return 5 if positions else 0

    def clean_end(self) -> int:
        self._clean_end += self._growth
        return self._clean_end

    def behind_group(self) -> int:
        return 5


class Idle(Silent):
    """A worker without a partition, because others have them all."""

    def next_raw(self) -> Mapping[int, int]:
        return {}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("others_work", "given_up"), [(True, False), (False, True)])
def test_a_worker_without_a_partition_is_needed_only_when_nobody_works(
    others_work: bool, given_up: bool
) -> None:
    ended = threading.Event()
    Watchdog(
        PacksWait(others_work=others_work), Idle(), 1, lambda reason: ended.set(), lambda consumer_lag: None
    )
    assert ended.wait(5) is given_up


@pytest.mark.timeout(60)
def test_a_broker_that_is_away_is_waited_for() -> None:
    ended = threading.Event()
    watchdog = Watchdog(
        KafkaConsumerLag(AWAY), Silent(), 1, lambda reason: ended.set(), lambda consumer_lag: None
    )
    await_that(
        lambda: watchdog.health().status == "waiting_for_kafka", 20, "the watchdog says what it waits for"
    )
    assert not ended.wait(5)
    assert watchdog.health().alive


@pytest.mark.timeout(60)
def test_a_watchdog_that_hangs_in_a_call_is_no_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen after the machine stood still for 3 s: a call to librdkafka never came back, and the page said ok."""
    hanging, forever = threading.Event(), threading.Event()

    def hang(self: Watchdog) -> int:
        hanging.set()
        forever.wait()
        return 0

    monkeypatch.setattr(Watchdog, "_consumer_lag", hang)
    watchdog = Watchdog(KafkaConsumerLag(AWAY), Silent(), 1, lambda reason: None, lambda consumer_lag: None)
    assert hanging.wait(20)
    assert watchdog.health().alive
    later = time.monotonic() + UNSEEN_S_MAX + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not watchdog.health().alive
    forever.set()
