"""Every seed and every past finding of the fuzzer runs through its target, in bounded time, without the fuzzer."""

from __future__ import annotations

import pytest

from tests.fuzz.bounds import run_bounded
from tests.fuzz.targets import CORPUS, NAMES, load

# CPU time of an input: the slowest seed takes 0.1 s, what was quadratic took 2 and more.
SECONDS_MAX = 1.0


@pytest.mark.parametrize("name", NAMES)
def test_every_seed_and_every_past_finding_is_taken_in_bounded_time(name: str) -> None:
    target = load(name)
    inputs = list(target.inputs())
    assert inputs, f"{name} has no seed"
    for label, data in inputs:
        try:
            run_bounded(target.fuzz, data, SECONDS_MAX)
        except Exception as error:
            raise AssertionError(f"{name}, {label}: {error!r}") from error


def test_every_folder_of_findings_belongs_to_a_target() -> None:
    assert {path.parent.name for path in CORPUS.glob("*/*")} <= set(NAMES)
