"""How the time of something grows with the length of what it is given; a busy machine changes no verdict."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMES_MAX = 12.0  # ten times the length may cost so many times the time
MATTERS_S = 0.004  # shorter is too short to tell, and of no use to an attacker
ENDLESS_S = 1.0
SHORT = 64  # characters; none may cost as much as matters
# Slowly first: what is exponential must not run for ever.
LENGTHS = (12, 16, 20, 24, 28, 64, 256, 1_000, 4_000, 16_000)
TRIES = 4


def grows_faster(run: Callable[[str], object], text: Callable[[int], str]) -> str:
    """ "" where the time grows with the length alone, else what was seen: lengths and seconds.

    Processor time of this thread, the least of several tries; what looks too fast is measured again before it counts.
    """
    for length in LENGTHS:
        spent = seconds(run, text(length), 3 if length < SHORT else 1)
        if spent > ENDLESS_S:
            return f"{length} characters cost {spent:.3f} s"
        if spent > MATTERS_S and length < SHORT:
            return f"{length} characters cost {spent:.3f} s"
        if spent > MATTERS_S:
            break
    if spent <= MATTERS_S:
        return ""
    seen = ""
    for _ in range(TRIES):
        short, long = seconds(run, text(length), 3), seconds(run, text(length * 10), 2)
        seen = f"{length} characters cost {short:.4f} s, ten times as many {long:.4f} s"
        if long <= TIMES_MAX * short:
            return ""
        if long > 10 * TIMES_MAX * short:
            break
    return seen


def seconds(run: Callable[[str], object], text: str, tries: int) -> float:
    """The least processor time of some tries."""
    least = float("inf")
    for _ in range(tries):
        started = time.thread_time()
        run(text)
        least = min(least, time.thread_time() - started)
    return least
