"""Two files of a bench side by side: a figure is better or worse when it moved further than its rounds differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import inf
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tests.speed.goals import goal_of, in_order, is_known, show
from tests.speed.results import SAME_MACHINE, Results

BETTER, WORSE, WITHIN_NOISE, ONE_ROUND = "better", "worse", "within noise", "noise unknown"
# Of the earlier median. Rounds that agree to the digit say little of the next one.
NOISE_SHARE_MIN = 0.01


class Comparison(NamedTuple):
    """One figure before and now, as medians. ratio: now over before. noise: a share of before, as the ratio is."""

    name: str
    before: float
    now: float
    ratio: float
    noise: float | None
    verdict: str


def compare(before: Results, now: Results) -> list[Comparison]:
    """Every figure that both files have, in the order of the table."""
    shared = before.medians.keys() & now.medians.keys()
    return [
        compare_figure(name, before.values(name), now.values(name), goal_of(name).more)
        for name in in_order(shared)
        if is_known(name)
    ]


def compare_figure(name: str, before: Sequence[float], now: Sequence[float], more: bool) -> Comparison:
    """One figure in the rounds of two files; more: whether more is better.

    The noise is the distance from the lowest round to the highest, in the file where that is larger. With one round
    in both there is none to be seen, and no verdict.
    """
    first, second = median(before), median(now)
    ratio = 1.0 if first == second else second / first if first else inf
    # Endless is a time that never came.
    spreads = [max(values) - min(values) for values in (before, now) if len(values) > 1 and min(values) < inf]
    least = NOISE_SHARE_MIN * abs(first) if abs(first) < inf else 0.0
    noise = max(*spreads, least) if spreads else None
    if first == second:
        verdict = WITHIN_NOISE
    elif noise is None:
        verdict = ONE_ROUND
    elif abs(second - first) <= noise:
        verdict = WITHIN_NOISE
    else:
        verdict = BETTER if (second > first) == more else WORSE
    share = noise / abs(first) if noise is not None and 0 < abs(first) < inf else None
    return Comparison(name, first, second, ratio, share, verdict)


def remarks(before: Results, now: Results) -> Iterator[str]:
    """What to know before the figures are believed: how far the two files are comparable."""
    if before.unsaid:
        yield (
            f"The earlier file does not say its {', '.join(before.unsaid)}: a difference may be the machine's."
        )
    other = [
        f"{name} {before.machine[name]}, now {now.machine.get(name)}"
        for name in SAME_MACHINE
        if name in before.machine and before.machine[name] != now.machine.get(name)
    ]
    if other:
        yield f"Measured on another machine: {'; '.join(other)}. The ratios are the machine's as well."
    if before.commit and before.commit == now.commit:
        yield f"Both are of commit {now.commit}: what differs is noise."
    if not compare(before, now):
        yield "The two files have no figure in common."
    gone = [name for name in before.medians if not is_known(name)]
    if gone:
        yield f"Not compared, as this version has no such figures: {', '.join(gone)}."


def show_comparison(console: Console, before: Results, now: Results, source: str) -> None:
    """Print the table. Figures of detail stand in it when they moved further than the noise."""
    found = compare(before, now)
    table = Table("part", "before", "now", "ratio", "noise", "", title=f"now against {source}")
    for one in found:
        if one.verdict in (BETTER, WORSE) or not goal_of(one.name).detail:
            noise = "?" if one.noise is None else f"± {one.noise:.0%}"
            table.add_row(
                goal_of(one.name).meaning,
                show(one.before),
                show(one.now),
                f"{one.ratio:.2f}",
                noise,
                one.verdict,
            )
    if table.row_count:
        console.print(table)
    count = Counter(one.verdict for one in found)
    console.print(
        ", ".join(f"{count[verdict]} {verdict}" for verdict in (BETTER, WORSE, WITHIN_NOISE, ONE_ROUND))
    )
    for line in remarks(before, now):
        console.print(line, highlight=False)
