"""`make bench`: every part alone, then all together, in rounds; prints a table of medians and writes bench.json."""

from __future__ import annotations

import argparse
import json
import os
import platform as host
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil
from rich.console import Console
from rich.table import Table

from runtime.settings import PlatformSettings
from tests.platform import Platform
from tests.speed import hostile, parts, together
from tests.speed.machine import kafka, program, ready
from tests.speed.wire import wire

Figures = dict[str, float]

# name: what it is, the figure to reach, and whether more is better
GOALS: dict[str, tuple[str, float | None, bool]] = {
    "edge_us_per_pixel": ("edge: server CPU a pixel, acknowledged by Kafka (µs)", 45, False),
    "edge_over_nginx": ("edge: the same, over nginx empty_gif with a log", None, False),
    "nginx_us_per_gif": ("nginx: CPU a GIF, with a log (µs)", None, False),
    "edge_pixels_per_second": ("edge: pixels a second, one worker", None, True),
    "edge_p99_ms": ("edge: p99 under full load (ms)", None, False),
    "edge_p99_half_rate_ms": ("edge: p99 at half of the highest rate (ms)", 50, False),
    "edge_us_per_batched_event": ("edge: CPU an event in batches of 100 (µs)", 12, False),
    "edge_us_per_beacon": ("edge: CPU a beacon of the tag, two events (µs)", None, False),
    "edge_idle_connections": ("edge: idle connections held while others send", 5_000, True),
    "edge_idle_errors": ("  errors of either", 0, False),
    "edge_memory_growth_percent": ("edge: memory, from a tenth of the time to its end (%)", 5, False),
    "edge_failed": ("edge: requests without a 200", 0, False),
    "streams_events_per_second": ("streams: events a second, one worker", 35_000, True),
    "streams_us_per_event": ("streams: CPU an event (µs)", None, False),
    "streams_resident_mb": ("streams: memory (MB)", None, False),
    "loader_events_per_second": ("loader: events a second into events and rollups", 150_000, True),
    "loader_rows_per_second": ("loader: rows a second", None, True),
    "loader_us_per_event": ("loader: CPU of our Python an event (µs)", 1, False),
    "clickhouse_us_per_event": ("ClickHouse: CPU an event (µs)", None, False),
    "loader_resident_mb": ("loader: memory (MB)", None, False),
    "import_lines_per_second": ("log import: lines a second, the command whole", 100_000, True),
    "import_us_per_line": ("log import: CPU a line (µs)", None, False),
    "wire_us_per_pixel": ("nginx ingestion: nginx's CPU a pixel (µs)", None, False),
    "wire_plain_us_per_gif": ("  nginx: CPU a GIF with a log, interleaved with it (µs)", None, False),
    "wire_over_nginx": ("  the one over the other, median of pairs", 1.1, False),
    "wire_pixels_per_second": ("  pixels a second, one worker, follower beside it", None, True),
    "wire_follow_us_per_line": ("  follower: CPU a line (µs)", None, False),
    "wire_lost": ("  answered hits that Kafka does not have", 0, False),
    "held_events_per_second": ("all on one machine: events a second, held", 15_000, True),
    "held_lag_packs_first_third": ("  lag in packs, first third", None, False),
    "held_lag_packs_last_third": ("  lag in packs, last third", None, False),
    "held_settled_after_s": ("  all loaded after the load stopped (s)", None, False),
    "held_failed": ("  requests without a 200", 0, False),
    "held_p99_ms": ("  p99 of a batch (ms)", None, False),
    "queryable_p50_s": ("a hit is queryable, 2,000 events/s: p50 (s)", 1, False),
    "queryable_p99_s": ("a hit is queryable, 2,000 events/s: p99 (s)", 2, False),
    "queryable_never": ("  probes never seen", 0, False),
    "hostile_events_per_second": (
        "hostile events beside 100 ordinary ones a second: sent a second",
        450,
        True,
    ),
    "hostile_accepted_percent": ("  requests of theirs the edge took (%)", None, True),
    "hostile_unanswered": ("  requests of theirs without an answer", 0, False),
    "hostile_queryable_p50_s": ("  an ordinary hit is queryable: p50 (s)", None, False),
    "hostile_queryable_p99_s": ("  an ordinary hit is queryable: p99 (s)", 2, False),
    "hostile_queryable_never": ("  ordinary hits never seen", 0, False),
    "hostile_settled_after_s": ("  all loaded after the last of them (s)", None, False),
    "hostile_ledger_difference": ("  events the ledger cannot account for", 0, False),
    "hostile_dead_letters": ("  dead letters", 0, False),
    "warm_start_s": ("ready after a warm `make up` (s)", 20, False),
    "idle_resident_mb": ("idle memory of everything (MB)", 1_500, False),
}


def main() -> None:
    """Run what was asked for; everything by default."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument(
        "--only",
        choices=["edge", "wire", "streams", "loader", "import", "together", "hostile"],
        action="append",
    )
    arguments.add_argument(
        "--packs", type=int, default=1_600, help="raw packs of 500 events for streams and loader, a round"
    )
    arguments.add_argument(
        "--memory",
        type=float,
        default=60,
        help="seconds over which the edge's memory is watched; 600 for the goal",
    )
    arguments.add_argument(
        "--hostile", type=int, default=10_000, help="hostile events that are sent, a round"
    )
    arguments.add_argument("--hold", type=float, default=120, help="seconds the common rate is held")
    asked = arguments.parse_args()
    wanted = asked.only or ["edge", "wire", "streams", "loader", "import", "together", "hostile"]
    console = Console()
    rounds: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="fairpixel-bench-") as folder:
        # Limits are on, and higher than one machine can send.
        platform = Platform(Path(folder), env={"FAIRPIXEL_INGEST_NETWORK_RATE_MAX": "1000000"})
        console.print("setting up …")
        platform.up()
        platform.down()
        parts.limit_site(platform)
        try:
            _run_rounds(platform, wanted, asked, rounds, console)
        except Exception:  # whatever was measured before is shown and written
            console.print_exception(max_frames=3)
    figures = {
        name: median(r[name] for r in rounds if name in r) for name in GOALS if any(name in r for r in rounds)
    }
    _show(console, figures)
    _write(figures, rounds, console)


def _run_rounds(
    platform: Platform, wanted: list[str], asked: argparse.Namespace, rounds: list[Figures], console: Console
) -> None:
    if {"edge", "wire", "streams", "loader", "import"} & set(wanted):
        with kafka(platform):
            for number in range(asked.rounds):
                console.print(f"round {number + 1} of {asked.rounds}, each part alone")
                rounds.append({})
                _parts(platform, wanted, asked, number, console.print, rounds[-1])
    if "together" in wanted:
        for number in range(asked.rounds):
            console.print(f"round {number + 1} of {asked.rounds}, all together")
            rounds.append({})
            _together(platform, asked.hold if number == 0 else min(asked.hold, 30), console.print, rounds[-1])
    if "hostile" in wanted:
        for number in range(asked.rounds):
            console.print(f"round {number + 1} of {asked.rounds}, hostile events beside ordinary ones")
            platform.up()
            try:
                rounds.append(hostile.beside_ordinary(platform, asked.hostile, seed=number))
            finally:
                platform.down()


def _parts(
    platform: Platform,
    wanted: list[str],
    asked: argparse.Namespace,
    number: int,
    say: Callable[[str], None],
    figures: Figures,
) -> None:
    pack_count = asked.packs
    if "edge" in wanted:
        say("  edge")
        figures |= parts.edge(platform)
        if number == 0:
            say(f"  edge, {asked.memory:g} s")
            figures |= parts.edge_memory(platform, figures["edge_pixels_per_second"] / 2, asked.memory)
    if "wire" in wanted:
        say("  nginx ingestion")
        figures |= wire(platform)
    if {"streams", "loader"} & set(wanted):
        if "edge" in wanted or number == 0:
            parts.drain(platform)
        say("  streams")
        parts.fill_raw(platform, pack_count, seed=number)
        figures |= parts.streams(platform, pack_count)
    if "loader" in wanted:
        say("  loader")
        with program(platform, "deploy.embedded.clickhouse") as clickhouse:
            ready(platform, "FAIRPIXEL_CLICKHOUSE_PORT", "/ping")
            figures |= parts.loader(platform, clickhouse, pack_count * parts.PACK_EVENTS)
    if "import" in wanted:
        say("  log import")
        figures |= parts.log_import(platform, 500_000)


def _together(platform: Platform, hold: float, say: Callable[[str], None], figures: Figures) -> None:
    say("  warm start")
    figures |= together.warm_start(platform)
    try:
        platform.settle(300)
        say("  idle memory")
        figures |= together.idle_memory(platform)
        say("  queryable")
        figures |= together.queryable(platform, 2_000, 30)
        say("  held rate")
        figures |= together.held_rate(platform, 15_100, hold)  # a little above the goal
    finally:
        platform.down()


def _show(console: Console, figures: Figures) -> None:
    table = Table("part", "median", "goal", "")
    for name, value in figures.items():
        meaning, goal, more = GOALS[name]
        held = "" if goal is None else "yes" if (value >= goal if more else value <= goal) else "NO"
        table.add_row(
            meaning,
            f"{value:,.2f}" if value < 100 else f"{value:,.0f}",
            "" if goal is None else f"{'≥' if more else '≤'} {goal:,g}",
            held,
        )
    console.print(table)


def _write(figures: Figures, rounds: list[Figures], console: Console) -> None:
    target = PlatformSettings.from_env(os.environ).data / "bench.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    machine = {
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "python": host.python_version(),
    }
    target.write_text(json.dumps({"machine": machine, "medians": figures, "rounds": rounds}, indent=1))
    console.print(f"written to {target}")


if __name__ == "__main__":
    main()
