"""The highest rate that one machine holds, load generator included: raised until the backlog grows, answers come late,
or requests fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.platform import Platform
from tests.speed.loads import Load
from tests.speed.machine import send_load
from tests.speed.wrk import has_wrk, wrk_load

Figures = dict[str, float]
CONNECTIONS = {"pixel": 256, "batch": 64}
STEP, PRECISION = 1.25, 0.05
TRIALS_MAX = 16
P99_MS_MAX = 250
# Of what was due: the rest may have been under way when the time was up.
ANSWERED_SHARE_MIN = 0.99
# The backlog of the last third over that of the first, in seconds of packs. The loader's own pace makes it go up and
# down by a second; means of some samples differ by a fifth of that.
BACKLOG_GROWTH_S_MAX = 0.5
SAMPLE_EVERY_S = 2.0


@dataclass(frozen=True)
class Trial:
    """What a rate did. due, answered, failed: requests; backlog: packs sent and not loaded, from first to last sample;
    packs_per_second: how many were sent."""

    due: int
    answered: int
    failed: int
    p99_ms: float
    backlog: Sequence[int]
    packs_per_second: float

    def backlog_growth_s(self) -> float:
        """Seconds by which the platform fell behind, from the first third of the time to the last."""
        third = max(1, len(self.backlog) // 3)
        grown = sum(self.backlog[-third:]) / third - sum(self.backlog[:third]) / third
        return grown / max(1.0, self.packs_per_second)

    def problem(self) -> str:
        """Why the rate is not held, or ""."""
        if self.failed:
            return f"{self.failed} requests failed"
        if self.answered < self.due * ANSWERED_SHARE_MIN:
            return f"{self.answered / max(1, self.due):.0%} of what was due was answered"
        if self.p99_ms > P99_MS_MAX:
            return f"p99 is {self.p99_ms:.0f} ms"
        if self.backlog_growth_s() > BACKLOG_GROWTH_S_MAX:
            return f"the backlog grew by {self.backlog_growth_s():.1f} s"
        return ""


def highest_held(
    holds: Callable[[float], bool],
    start: float,
    *,
    step: float = STEP,
    precision: float = PRECISION,
    trials_max: int = TRIALS_MAX,
) -> float:
    """The highest rate that held; 0.0 where none did.

    From `start` by `step` upwards while rates hold, or downwards until one does; then the gap between the last that
    held and the first that did not is halved until it is `precision` of the former. A rate that does not hold is tried
    once more: on a shared machine one bad moment is no answer. At most `trials_max` trials.
    """
    held, broken, rate = 0.0, 0.0, start
    trials = 0
    while trials < trials_max:
        trials += 1
        good = holds(rate)
        if not good and trials < trials_max:
            trials += 1
            good = holds(rate)
        if good:
            held = rate
        else:
            broken = rate
        if held and broken:
            if broken - held <= held * precision:
                break
            rate = (held + broken) / 2
        else:
            rate = held * step if held else broken / step
    return held


def highest(platform: Platform, kind: str, start: float, seconds: float, say: Callable[[str], None]) -> float:
    """Requests a second of a kind that the whole platform holds for so long."""

    def holds(rate: float) -> bool:
        problem = attempt(platform, Load(kind, round(rate)), seconds).problem()
        say(f"    {Load(kind, round(rate)).title}: {problem or 'held'}")
        platform.settle(300)
        return not problem

    return round(highest_held(holds, start))


def attempt(platform: Platform, load: Load, seconds: float) -> Trial:
    """Send a load for so long and watch what is sent and not loaded."""
    backlog: list[int] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE_EVERY_S):
            with suppress(OSError):
                backlog.append(platform.backlog())

    sampler = threading.Thread(target=sample)
    first, start = sum(platform.raw_ends().values()), time.perf_counter()
    sampler.start()
    try:
        told = send(platform, load, seconds)
    finally:
        over.set()
        sampler.join()
    packs = sum(platform.raw_ends().values()) - first
    return Trial(
        told["due"], told["requests"], told["failed"], told["p99_ms"], backlog or [0],
        packs / (time.perf_counter() - start),
    )  # fmt: skip


def send(platform: Platform, load: Load, seconds: float) -> dict[str, Any]:
    """Pixels by wrk, which leaves the cores to the platform; batches by our own generator, which sends few requests."""
    if load.kind == "pixel":
        port = int(platform.env["FAIRPIXEL_EDGE_PORT"])
        return wrk_load(port, CONNECTIONS["pixel"], seconds, load.per_second, platform.folder)
    return send_load(platform, load, seconds, CONNECTIONS[load.kind])


def figures(platform: Platform, seconds: float, say: Callable[[str], None]) -> Figures:
    """The highest rates of one round, and how pixels are answered at half of theirs."""
    found: Figures = {}
    if has_wrk():
        rate = highest(platform, "pixel", 8_000, seconds, say)
        found["highest_pixels_per_second"] = rate
        if rate:
            found["highest_half_rate_p99_ms"] = send(platform, Load("pixel", rate // 2), seconds)["p99_ms"]
            platform.settle(300)
    else:
        say("    left out: wrk is not installed")
    found["highest_batched_events_per_second"] = 100 * highest(platform, "batch", 100, seconds, say)
    return found
