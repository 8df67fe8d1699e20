"""Counts what the worker does, in Prometheus form."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator
from functools import cache
from time import perf_counter, time

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from runtime.metrics import (
    STREAMS_CONSUMER_LAG,
    STREAMS_EVENTS,
    STREAMS_MASKED_WHOLE,
    STREAMS_PACKS,
    STREAMS_REFUSED,
    STREAMS_STEP_SECONDS,
    Metric,
)
from schemas.clean_pack import CleanPack
from schemas.consent import Basis
from schemas.drops import Disposition
from schemas.event import Flag
from streams.columns.batch import CleanBatch
from streams.pipeline import Step, step_name

_ID_COLLISION, _MASKED_WHOLE = int(Flag.ID_COLLISION), int(Flag.MASKED_WHOLE)


def _counter(metric: Metric) -> Counter:
    return Counter(metric.name.removesuffix("_total"), metric.meaning, metric.labels)


PACKS = _counter(STREAMS_PACKS)
EVENTS = _counter(STREAMS_EVENTS)
MASKED_WHOLE = _counter(STREAMS_MASKED_WHOLE)
REFUSED = _counter(STREAMS_REFUSED)
CONSUMER_LAG = Gauge(STREAMS_CONSUMER_LAG.name, STREAMS_CONSUMER_LAG.meaning)


class _StepSeconds(Collector):
    """The seconds of each step, added up without a lock: 3 µs a pack, where 13 Counters cost 9."""

    def __init__(self) -> None:
        self.of: dict[str, float] = {}  # written by the event loop alone
        self._since = time()

    def collect(self) -> Iterator[CounterMetricFamily]:
        """As a Counter says it; on the thread of whoever asks."""
        metric = STREAMS_STEP_SECONDS
        family = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for step, seconds in list(self.of.items()):
            family.add_metric((step,), seconds, self._since)
        yield family


STEP_SECONDS = _StepSeconds()
REGISTRY.register(STEP_SECONDS)


def run_steps(batch: CleanBatch, steps: tuple[Step, ...]) -> CleanBatch:
    """Run the steps and count the time of each."""
    seconds_of = STEP_SECONDS.of
    before = perf_counter()
    for step in steps:
        batch = step(batch)
        name, now = step_name(step), perf_counter()
        seconds_of[name] = seconds_of.get(name, 0.0) + now - before
        before = now
    return batch


@cache
def _labelled(counter: Counter, label: str) -> Counter:
    """`labels` takes 2 µs each time."""
    return counter.labels(label)


def pack_decided(pack: CleanPack, seconds: float) -> None:
    """Count the packs of a run and their events by outcome."""
    head = pack.head
    for one in head.answers:
        _labelled(PACKS, "dead" if one.dead else "repeat" if one.repeat else "decided").inc()
    STEP_SECONDS.of["whole_pack"] = STEP_SECONDS.of.get("whole_pack", 0.0) + seconds
    outcomes = Tally(str(drop.reason) for drop in pack.drops)
    bases = Tally(pack.columns.get("basis", ()))
    anonymous = bases.pop(str(Basis.ANONYMOUS), 0)
    outcomes[Disposition.STORED_ANONYMOUS] = anonymous
    outcomes[Disposition.STORED] = pack.count - anonymous
    flags = pack.columns.get("flags", ())
    if any(flags):
        outcomes[Disposition.ID_COLLISION] = sum(1 for one in flags if one & _ID_COLLISION)
        MASKED_WHOLE.inc(sum(1 for one in flags if one & _MASKED_WHOLE))
    outcomes[Disposition.DEAD] = sum(
        one.count for answer in head.answers if answer.dead for one in answer.accepted
    )
    for outcome, count in outcomes.items():
        if count:
            _labelled(EVENTS, str(outcome)).inc(count)
