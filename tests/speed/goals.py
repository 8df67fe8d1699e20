"""Every figure of the bench by name: what it is, the figure to reach, and which way is better."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.speed.loads import LOADS, PROGRAMS, Load


class Goal(NamedTuple):
    """meaning: as a reader of the table sees it, with its unit. figure: the one to reach, or None.

    more: whether more is better. detail: stands in a table of its own, and in a comparison only when it changed.
    """

    meaning: str
    figure: float | None
    more: bool
    detail: bool = False

    def reached(self, value: float) -> bool | None:
        """Whether the figure is reached; None where there is none to reach."""
        if self.figure is None:
            return None
        return value >= self.figure if self.more else value <= self.figure


# All programs together, per cent of one core.
CPU_PERCENT_MAX = {"idle": 6, "200": 25, "2000": 55, "20x100": 20, "150x100": 100}
# A hit is queryable: (p50, p99) in seconds.
QUERYABLE_S_MAX = {"200": (0.6, 1.2), "2000": (0.6, 1.2)}


def cost_goals(load: Load) -> Iterator[tuple[str, Goal]]:
    """The figures of one row of the table of costs."""
    name, title = f"cost_{load.name}_", load.title
    yield (
        name + "cpu_percent",
        Goal(f"{title}: CPU of all programs (% of a core)", CPU_PERCENT_MAX.get(load.name), False),
    )
    for program in PROGRAMS:
        yield f"{name}{program}_percent", Goal(f"{title}: CPU of {program} (% of a core)", None, False, True)
    yield (
        name + "supervisor_percent",
        Goal(f"{title}: CPU of the supervisor, not in the sum", None, False, True),
    )
    for program in PROGRAMS:
        yield f"{name}{program}_mb", Goal(f"{title}: memory of {program} (MB)", None, False, True)
    yield name + "mb", Goal(f"{title}: memory of all programs (MB)", None, False, True)
    if not load.per_second:
        return
    p50, p99 = QUERYABLE_S_MAX.get(load.name, (None, None))
    yield name + "us_per_event", Goal(f"{title}: CPU an event (µs)", None, False, True)
    yield name + "answered_per_second", Goal(f"{title}: requests answered a second", None, True, True)
    yield name + "unanswered", Goal(f"{title}: requests due and not answered with a 200", 0, False)
    yield (
        name + "late_p99_ms",
        Goal(f"{title}: p99 of a request sent after it was due (ms)", None, False, True),
    )
    yield name + "p50_ms", Goal(f"{title}: p50 of an answer (ms)", None, False, True)
    yield name + "p99_ms", Goal(f"{title}: p99 of an answer (ms)", None, False, True)
    yield name + "queryable_p50_s", Goal(f"{title}: a hit is queryable, p50 (s)", p50, False, p50 is None)
    yield name + "queryable_p99_s", Goal(f"{title}: a hit is queryable, p99 (s)", p99, False, p99 is None)
    yield name + "queryable_never", Goal(f"{title}: probes never seen", 0, False, True)


GOALS: dict[str, Goal] = {
    "edge_full_us_per_pixel": Goal("edge at its highest rate (wrk): server CPU a pixel (µs)", 33, False),
    "edge_full_pixels_per_second": Goal("edge at its highest rate (wrk): pixels a second", None, True),
    "edge_us_per_pixel": Goal("edge: server CPU a pixel, acknowledged by Kafka (µs)", 33, False),
    "edge_over_nginx": Goal("edge: the same, over nginx empty_gif with a log", None, False),
    "nginx_us_per_gif": Goal("nginx: CPU a GIF, with a log (µs)", None, False),
    "edge_pixels_per_second": Goal("edge: pixels a second, one worker", None, True),
    "edge_p99_ms": Goal("edge: p99 under full load (ms)", None, False),
    "edge_p99_half_rate_ms": Goal("edge: p99 at half of the highest rate (ms)", 40, False),
    "edge_us_per_batched_event": Goal("edge: CPU an event in batches of 100 (µs)", 12, False),
    "edge_us_per_beacon": Goal("edge: CPU a beacon of the tag, two events (µs)", 80, False),
    "edge_idle_connections": Goal("edge: idle connections held while others send", 5_000, True),
    "edge_idle_errors": Goal("  errors of either", 0, False),
    "edge_memory_growth_percent": Goal("edge: memory, from a tenth of the time to its end (%)", 5, False),
    "edge_failed": Goal("edge: requests without a 200", 0, False),
    "streams_events_per_second": Goal("streams: events a second, one worker", 60_000, True),
    "streams_small_events_per_second": Goal("  in packs of 50 events", 45_000, True),
    "streams_us_per_event": Goal("streams: CPU an event (µs)", None, False),
    "streams_small_us_per_event": Goal("  in packs of 50 events", None, False),
    "streams_resident_mb": Goal("streams: memory (MB)", None, False),
    "loader_events_per_second": Goal("loader: events a second into events and rollups", 150_000, True),
    "loader_rows_per_second": Goal("loader: rows a second", None, True),
    "loader_us_per_event": Goal("loader: CPU of our Python an event (µs)", 1, False),
    "clickhouse_us_per_event": Goal("ClickHouse: CPU an event (µs)", None, False),
    "loader_resident_mb": Goal("loader: memory (MB)", None, False),
    "import_lines_per_second": Goal("log import: lines a second, the command whole", 100_000, True),
    "import_us_per_line": Goal("log import: CPU a line (µs)", None, False),
    "wire_us_per_pixel": Goal("nginx ingestion: nginx's CPU a pixel (µs)", None, False),
    "wire_plain_us_per_gif": Goal("  nginx: CPU a GIF with a log, interleaved with it (µs)", None, False),
    "wire_over_nginx": Goal("  the one over the other, median of pairs", 1.1, False),
    "wire_pixels_per_second": Goal("  pixels a second, one worker, follower beside it", None, True),
    "wire_follow_us_per_line": Goal("  follower: CPU a line (µs)", None, False),
    "wire_lost": Goal("  answered hits that Kafka does not have", 0, False),
    "held_events_per_second": Goal("all on one machine: events a second, held", 15_000, True),
    "held_lag_packs_first_third": Goal("  lag in packs, first third", None, False),
    "held_lag_packs_last_third": Goal("  lag in packs, last third", None, False),
    "held_settled_after_s": Goal("  all loaded after the load stopped (s)", None, False),
    "held_failed": Goal("  requests without a 200", 0, False),
    "held_p99_ms": Goal("  p99 of a batch (ms)", None, False),
    "queryable_p50_s": Goal("a hit is queryable, 2,000 events/s: p50 (s)", 0.6, False),
    "queryable_p99_s": Goal("a hit is queryable, 2,000 events/s: p99 (s)", 1.2, False),
    "queryable_never": Goal("  probes never seen", 0, False),
    "hostile_events_per_second": Goal(
        "hostile events beside 100 ordinary ones a second: sent a second",
        450,
        True,
    ),
    "hostile_accepted_percent": Goal("  requests of theirs the edge took (%)", None, True),
    "hostile_unanswered": Goal("  requests of theirs without an answer", 0, False),
    "hostile_queryable_p50_s": Goal("  an ordinary hit is queryable: p50 (s)", None, False),
    "hostile_queryable_p99_s": Goal("  an ordinary hit is queryable: p99 (s)", 2, False),
    "hostile_queryable_never": Goal("  ordinary hits never seen", 0, False),
    "hostile_settled_after_s": Goal("  all loaded after the last of them (s)", None, False),
    "hostile_ledger_difference": Goal("  events the ledger cannot account for", 0, False),
    "hostile_dead_letters": Goal("  dead letters", 0, False),
    "warm_start_s": Goal("ready after a warm `make up` (s)", 20, False),
    "idle_resident_mb": Goal("idle memory of everything (MB)", 1_500, False),
    "highest_pixels_per_second": Goal("highest rate held by all on one machine: pixels a second", 20_000, True),
    "highest_half_rate_p99_ms": Goal("  p99 of a pixel at half of it (ms)", 40, False),
    "highest_batched_events_per_second": Goal("highest rate held: events a second in batches of 100", 22_000, True),
    **{name: goal for load in LOADS for name, goal in cost_goals(load)},
    "disk_bytes_per_event": Goal("on disk: all tables (bytes an event)", None, False),
}  # fmt: skip
DISK = "disk_bytes_per_event_"


def goal_of(name: str) -> Goal:
    """What a figure is; also of a table's bytes on disk, and of one that this version does not know."""
    if name in GOALS:
        return GOALS[name]
    if is_known(name):
        return Goal(f"on disk: {name.removeprefix(DISK)} (bytes an event)", None, False, True)
    return Goal(name, None, False, True)


def is_known(name: str) -> bool:
    """Whether this version measures such a figure, and so knows which way is better."""
    return name in GOALS or name.startswith(DISK)


def in_order(names: Iterable[str]) -> list[str]:
    """The names in the order of the table, those it does not know behind it."""
    rank = {name: number for number, name in enumerate(GOALS)}
    return sorted(set(names), key=lambda name: (rank.get(name, len(rank)), name))


def show(value: float) -> str:
    """A figure for people."""
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
