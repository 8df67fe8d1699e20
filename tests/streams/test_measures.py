"""What a worker counts is what its metrics say."""

from __future__ import annotations

from prometheus_client import REGISTRY

from runtime.metrics import STREAMS_PACKS, STREAMS_STEP_SECONDS
from streams import measures
from streams.pipeline import build_pipeline, step_name
from tests.streams.make import batch_of, decided, nothing_stored, page_view, rules, sealed


def seconds_of(step: str) -> float:
    return REGISTRY.get_sample_value(STREAMS_STEP_SECONDS.name, {"step": step}) or 0.0


def test_the_time_of_each_step_is_added_up() -> None:
    steps = tuple(build_pipeline(rules(), nothing_stored))
    before = {name: seconds_of(name) for name in map(step_name, steps)}
    measures.run_steps(batch_of(page_view()), steps)
    assert all(seconds_of(name) > before[name] for name in before)


def test_a_decided_pack_is_counted_with_its_time() -> None:
    labels = {"outcome": "decided"}
    packs, seconds = REGISTRY.get_sample_value(STREAMS_PACKS.name, labels) or 0, seconds_of("whole_pack")
    measures.pack_decided(decided(sealed([page_view()])).pack, 0.5)
    assert REGISTRY.get_sample_value(STREAMS_PACKS.name, labels) == packs + 1
    assert seconds_of("whole_pack") == seconds + 0.5
