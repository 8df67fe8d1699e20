"""`make bench`: every part alone, then all together, then the cost of each load, in rounds; prints a table of medians
and writes bench.json."""

from __future__ import annotations

import argparse
import json
import os
import platform as host
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil
from rich.console import Console
from rich.table import Table

from runtime.settings import PlatformSettings
from tests.platform import Platform
from tests.speed import cost, hostile, parts, together
from tests.speed.goals import goal_of, in_order, show
from tests.speed.loads import LOADS, Load, parse_loads
from tests.speed.machine import kafka, program, ready
from tests.speed.wire import wire

Figures = dict[str, float]
ALONE = ("edge", "wire", "streams", "loader", "import")
PARTS = (*ALONE, "together", "hostile", "cost")


def main() -> None:
    """Run what was asked for; everything by default."""
    asked = _arguments().parse_args()
    wanted = asked.only or list(PARTS)
    console = Console()
    rounds: list[Figures] = []
    try:
        _run_rounds(wanted, asked, rounds, console)
    except Exception:  # whatever was measured before is shown and written
        console.print_exception(max_frames=3)
    names = in_order(name for one in rounds for name in one)
    figures = {name: median(one[name] for one in rounds if name in one) for name in names}
    _show(console, figures)
    _write(figures, rounds, console)


def _arguments() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
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
    arguments.add_argument("--row", type=float, default=20, help="seconds a row of that table is measured")
    return arguments


def _loads(text: str) -> tuple[Load, ...]:
    try:
        return parse_loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@contextmanager
def _platform(console: Console) -> Iterator[Platform]:
    """A platform in a folder of its own, set up and stopped."""
    with tempfile.TemporaryDirectory(prefix="fairpixel-bench-") as folder:
        # Limits are on, and higher than one machine can send.
        platform = Platform(Path(folder), env={"FAIRPIXEL_INGEST_NETWORK_RATE_MAX": "1000000"})
        console.print("setting up …")
        platform.up()
        platform.down()
        parts.limit_site(platform)
        yield platform


def _run_rounds(
    wanted: list[str], asked: argparse.Namespace, rounds: list[Figures], console: Console
) -> None:
    if set(wanted) - {"cost"}:
        with _platform(console) as platform:
            _run_parts(platform, wanted, asked, rounds, console)
    if "cost" in wanted:
        _run_cost(asked, rounds, console)


def _run_cost(asked: argparse.Namespace, rounds: list[Figures], console: Console) -> None:
    """All rows, and then all again: what the machine does meanwhile meets each row alike."""
    # A platform of its own: bytes on disk an event are those of this traffic alone.
    with _platform(console) as platform:
        platform.up()
        try:
            cost.warm_up(platform)
            for number in range(asked.rounds):
                console.print(f"round {number + 1} of {asked.rounds}, the cost of each load")
                rounds.append({})
                for load in asked.loads:
                    console.print(f"  {load.title}")
                    rounds[-1] |= cost.cost(platform, load, asked.row)
                rounds[-1] |= cost.disk(platform)
        finally:
            platform.down()


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
