"""The bound of work that every input has: a slow input is a finding, as it stops all others that wait behind it."""

from __future__ import annotations

import time
from collections.abc import Callable


class TooSlow(AssertionError):
    """An input took more CPU time than any input may."""


def run_bounded(fuzz: Callable[[bytes], None], data: bytes, seconds_max: float) -> None:
    """Run one input. Raises TooSlow where it takes more CPU time than `seconds_max`, three times in a row: the first
    time may have been a cache that fills or the collector of garbage."""
    took: list[float] = []
    for _ in range(3):
        start = time.thread_time()
        fuzz(data)
        took.append(time.thread_time() - start)
        if took[-1] <= seconds_max:
            return
    raise TooSlow(
        f"{len(data)} bytes took {min(took):.2f} s of CPU time; at most {seconds_max:g} s are allowed"
    )
