"""What happens to an event between the raw and the clean topic: one list of steps, each `CleanBatch -> CleanBatch`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from streams.columns.batch import CleanBatch
from streams.rules import Rules
from streams.steps.anonymous import forget_persons
from streams.steps.bots import score_bots
from streams.steps.consent import require_consent
from streams.steps.devices import read_devices
from streams.steps.duplicates import LookUp, drop_duplicates
from streams.steps.hashes import hash_identifiers
from streams.steps.ip import truncate_ips
from streams.steps.names import name_events, refuse_impossible
from streams.steps.oversize import drop_oversize
from streams.steps.scrub import scrub_texts
from streams.steps.times import correct_times
from streams.steps.urls import split_urls

Step = Callable[[CleanBatch], CleanBatch]


class MakeRoom(Protocol):
    """A step that drops about `excess` bytes of events, and none for 0."""

    def __call__(self, batch: CleanBatch, /, excess: int = 0) -> CleanBatch: ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The steps, in order: what is done once, and the two that are done again while the pack is too large."""

    clean: tuple[Step, ...]
    drop_oversize: MakeRoom
    drop_duplicates: Step

    def __iter__(self) -> Iterator[Step]:
        """Every step, as a pack that has room meets it."""
        yield from self.clean
        yield self.drop_oversize
        yield self.drop_duplicates


def build_pipeline(rules: Rules, look_up: LookUp) -> Pipeline:
    """The steps in order; `len(batch) + len(batch.drops)` stays the same from the first to the last."""
    return Pipeline(
        clean=(
            partial(name_events, rules),  # key and fingerprint, while the sender's words are all there
            refuse_impossible,
            partial(correct_times, rules),  # drops what is older than the retention
            partial(require_consent, rules),  # early: later steps meet only events they may see
            truncate_ips,  # from here on nobody has an address
            partial(score_bots, rules),
            partial(hash_identifiers, rules),  # from here on nobody has an identifier
            partial(split_urls, rules),  # from here on nobody has a whole query string
            read_devices,
            scrub_texts,
            forget_persons,  # what the anonymous basis does not cover
        ),
        drop_oversize=drop_oversize,  # before the last: an event left out for want of room must hide no copy
        drop_duplicates=partial(
            drop_duplicates, rules, look_up
        ),  # last: only what is really stored may hide a copy
    )


def step_name(step: Step) -> str:
    """The name of a step, as metrics show it."""
    return step.func.__name__ if isinstance(step, partial) else step.__name__


def clean(batch: CleanBatch, steps: Iterable[Step]) -> CleanBatch:
    """Run the steps one after the other."""
    for step in steps:
        batch = step(batch)
    return batch
