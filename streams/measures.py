"""Counts what the worker does, in Prometheus form."""

from __future__ import annotations

from collections import Counter as Tally
from functools import cache
from time import perf_counter

from prometheus_client import Counter, Gauge

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
STEP_SECONDS = _counter(STREAMS_STEP_SECONDS)
REFUSED = _counter(STREAMS_REFUSED)
CONSUMER_LAG = Gauge(STREAMS_CONSUMER_LAG.name, STREAMS_CONSUMER_LAG.meaning)


def run_steps(batch: CleanBatch, steps: tuple[Step, ...]) -> CleanBatch:
    """Run the steps and count the time of each: 12 clocks a pack, 0.01 µs an event."""
    for step in steps:
        started = perf_counter()
        batch = step(batch)
        _seconds_of(step_name(step)).inc(perf_counter() - started)
    return batch


@cache
def _seconds_of(step: str) -> Counter:
    """The counter of one step: `labels` takes 2 µs each time."""
    return STEP_SECONDS.labels(step)


def pack_decided(pack: CleanPack, seconds: float) -> None:
    """Count the packs of a run and their events by outcome."""
    head = pack.head
    for one in head.answers:
        PACKS.labels("dead" if one.dead else "repeat" if one.repeat else "decided").inc()
    _seconds_of("whole_pack").inc(seconds)
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
            EVENTS.labels(str(outcome)).inc(count)
