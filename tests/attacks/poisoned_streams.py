"""A streams worker with a bug nobody knows yet: an event with a certain id ends it, or keeps it for ever."""

from __future__ import annotations

import os
import runpy
from dataclasses import replace

import streams.decide
from streams.columns.batch import CleanBatch
from streams.pipeline import Pipeline, build_pipeline
from streams.rules import Rules
from streams.steps.duplicates import LookUp

FATAL, ENDLESS = "fatal-", "endless-"


def meet_the_bug(batch: CleanBatch) -> CleanBatch:
    """The step that is broken."""
    if any(one.startswith(FATAL) for one in batch.event_id):
        os.abort()
    while any(one.startswith(ENDLESS) for one in batch.event_id):
        pass
    return batch


def build_broken(rules: Rules, look_up: LookUp) -> Pipeline:
    """The pipeline with that step."""
    sound = build_pipeline(rules, look_up)
    return replace(sound, clean=(meet_the_bug, *sound.clean))


if __name__ == "__main__":
    streams.decide.build_pipeline = build_broken  # type: ignore[attr-defined]
    runpy.run_module("streams", run_name="__main__")
