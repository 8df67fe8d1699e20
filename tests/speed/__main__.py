"""`make bench`: every part alone, all together, the cost of each load and the highest rate, in rounds; prints medians
and writes bench.json, and compares with an earlier one."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from runtime.errors import UserError
from runtime.settings import PlatformSettings
from tests.platform import Platform
from tests.speed import cost, highest, hostile, parts, together
from tests.speed.compare import show_comparison
from tests.speed.goals import goal_of, show
from tests.speed.loads import LOADS, Load, parse_loads
from tests.speed.machine import kafka, program, ready
from tests.speed.results import Results, add_rounds, check_writable, read_results, results_now, write_results
from tests.speed.wire import wire

Figures = dict[str, float]
ALONE = ("edge", "wire", "streams", "loader", "import")
PARTS = (*ALONE, "together", "hostile", "cost", "highest")


def main() -> None:
    """Run what was asked for; everything by default."""
    asked = _arguments().parse_args()
    try:
        _bench(asked, Console())
    except UserError as error:
        sys.exit(f"make bench: {error}")


def _bench(asked: argparse.Namespace, console: Console) -> None:
    """Measure, show, write and compare. UserError where a file cannot be used, before anything is measured."""
    target = asked.to or PlatformSettings.from_env(os.environ).data / "bench.json"
    before = read_results(asked.against) if asked.against else None
    # Rounds 0 measure nothing: what the file has is shown and compared.
    kept = read_results(target) if not asked.rounds or (asked.add and target.exists()) else None
    if kept and not asked.rounds:
        results = kept
    else:
        check_writable(target)
        if kept:
            add_rounds(kept, results_now([]), target)
        results = _measure(asked, console)
        if not any(results.rounds):
            raise UserError("nothing was measured", "See above what went wrong.")
        results = add_rounds(kept, results, target) if kept else results
        write_results(target, results)
        console.print(f"written to {target}")
    _show(console, results.medians)
    if before:
        show_comparison(console, before, results, str(asked.against))


def _measure(asked: argparse.Namespace, console: Console) -> Results:
    rounds: list[Figures] = []
    # Taken first: who changes files meanwhile does not change what runs.
    this = results_now(rounds)
    try:
        _run_rounds(asked.only or list(PARTS), asked, rounds, console)
    except Exception:  # whatever was measured before is shown and written
        console.print_exception(max_frames=3)
    return this


def _arguments() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument(
        "--rounds", type=_whole, default=3, help="0: only show and compare what was written"
    )
    arguments.add_argument("--only", choices=PARTS, action="append")
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
    arguments.add_argument(
        "--loads",
        type=_loads,
        default=LOADS,
        metavar="LOAD[,LOAD]",
        help=f"rows of the table of costs: some of {','.join(load.name for load in LOADS)}",
    )
    arguments.add_argument("--row", type=_seconds, default=20, help="seconds a row of that table is measured")
    arguments.add_argument(
        "--trial", type=_seconds, default=20, help="seconds of each rate while the highest one is looked for"
    )
    arguments.add_argument(
        "--to", type=Path, metavar="FILE", help="where results are written; bench.json in the data folder"
    )
    arguments.add_argument(
        "--add", action="store_true", help="add the rounds to those that the file has of the same commit"
    )
    arguments.add_argument("--against", type=Path, metavar="FILE", help="earlier results to compare with")
    return arguments


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds from 1 to a day, got {text!r}")
    return seconds


def _loads(text: str) -> tuple[Load, ...]:
    try:
        return parse_loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@contextmanager
def _new_platform(console: Console) -> Iterator[Platform]:
    """A platform that runs, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="fairpixel-bench-") as folder:
        # Limits are on, and higher than one machine can send.
        # With the sizes that this machine gets, and no limit for the one network that all load comes from.
        platform = Platform(
            Path(folder),
            env={
                "FAIRPIXEL_INGEST_NETWORK_RATE_MAX": "1000000",
                "FAIRPIXEL_CORES": "0",
                "FAIRPIXEL_KAFKA_PARTITIONS": "0",
            },
        )
        console.print("setting up …")
        with _running(platform):
            # The edge reads its configuration again while it runs, long before a warm-up is over.
            parts.limit_site(platform)
            yield platform


@contextmanager
def _running(platform: Platform) -> Iterator[None]:
    try:
        platform.up()
        yield
    finally:
        platform.down()


def _run_rounds(
    wanted: list[str], asked: argparse.Namespace, rounds: list[Figures], console: Console
) -> None:
    if set(wanted) - {"cost", "highest"}:
        with _new_platform(console) as platform:
            platform.down()
            _run_parts(platform, wanted, asked, rounds, console)
    # Platforms of their own: what others left behind costs them nothing, and the bytes on disk are of known traffic.
    if "cost" in wanted:
        with _new_platform(console) as platform:
            _run_cost(platform, asked, rounds, console)
    if "highest" in wanted:
        with _new_platform(console) as platform:
            cost.warm_up(platform)
            for number in range(asked.rounds):
                console.print(f"round {number + 1} of {asked.rounds}, the highest rate")
                rounds.append({})
                rounds[-1] |= highest.figures(platform, asked.trial, console.print)


def _run_cost(platform: Platform, asked: argparse.Namespace, rounds: list[Figures], console: Console) -> None:
    """All rows, and then all again: what the machine does meanwhile meets each row alike."""
    cost.warm_up(platform)
    for number in range(asked.rounds):
        console.print(f"round {number + 1} of {asked.rounds}, the cost of each load")
        rounds.append({})
        for load in asked.loads:
            console.print(f"  {load.title}")
            rounds[-1] |= cost.cost(platform, load, asked.row)
        rounds[-1] |= cost.disk(platform)


def _run_parts(
    platform: Platform, wanted: list[str], asked: argparse.Namespace, rounds: list[Figures], console: Console
) -> None:
    if set(ALONE) & set(wanted):
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
            with _running(platform):
                rounds.append(hostile.beside_ordinary(platform, asked.hostile, seed=number))


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
        parts.drain(platform)
        say("  streams")
        parts.fill_raw(platform, pack_count, seed=number)
        figures |= parts.streams(platform, pack_count)
    if "loader" in wanted:
        say("  loader")
        with program(platform, "deploy.embedded.clickhouse") as clickhouse:
            ready(platform, "FAIRPIXEL_CLICKHOUSE_PORT", "/ping")
            figures |= parts.loader(platform, clickhouse, pack_count * parts.PACK_EVENTS)
    if "streams" in wanted:
        say("  streams, small packs")
        # Four times as many packs, of a tenth of the events; seeds of their own, as equal ids would be repeats.
        figures |= parts.streams_small_packs(platform, pack_count * 4, seed=1_000 + number)
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
        figures |= together.queryable(platform, Load("pixel", 2_000), 30)
        say("  held rate")
        figures |= together.held_rate(platform, 15_100, hold)  # a little above the goal
    finally:
        platform.down()


def _show(console: Console, figures: Figures) -> None:
    table = Table("part", "median", "goal", "")
    for name, value in figures.items():
        goal = goal_of(name)
        if not goal.detail:
            aim = "" if goal.figure is None else f"{'≥' if goal.more else '≤'} {goal.figure:,g}"
            table.add_row(
                goal.meaning, show(value), aim, {None: "", True: "yes", False: "NO"}[goal.reached(value)]
            )
    for one in (*cost.tables(figures), table):
        console.print(one)


if __name__ == "__main__":
    main()
