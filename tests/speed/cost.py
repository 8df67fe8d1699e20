"""What every load costs: CPU and memory of each program at open loads from nothing to 15,000 events a second, how
soon a hit is queryable at each, and bytes on disk an event.

All programs are counted by the kernel's own account, children included; the load generator is not.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import inf
from typing import Any

import psutil
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table

from tests.platform import Platform, await_that
from tests.speed.goals import DISK, show
from tests.speed.loads import LOADS, PROGRAMS, Load
from tests.speed.machine import cpu_seconds, resident_bytes, send_load, wait_seconds
from tests.speed.together import queryable

Figures = dict[str, float]
CONNECTIONS = 64
WARM_UP = Load("pixel", 200)
# Each row begins while its load already runs, and ends before it does.
ROW_WARM_UP_S, ROW_COOL_DOWN_S = 5.0, 1.0
QUERYABLE_S, QUERYABLE_WARM_UP_S = 15.0, 2.0
MERGES_SECONDS_MAX = 30


def warm_up(platform: Platform, seconds: float = 10) -> None:
    """Traffic before the first row: until then the broker's machine compiles what it runs."""
    send_load(platform, WARM_UP, seconds)


def cost(platform: Platform, load: Load, seconds: float) -> Figures:
    """The figures of one row: the platform at this load, alone with the load generator."""
    rest(platform)
    running = _processes(platform)
    with ThreadPoolExecutor(1) as pool:
        if load.per_second:
            sending = pool.submit(
                send_load, platform, load, ROW_WARM_UP_S + seconds + ROW_COOL_DOWN_S, CONNECTIONS
            )
        wait_seconds(ROW_WARM_UP_S)
        before, start = _cpu(running), time.perf_counter()
        wait_seconds(seconds)
        after, took = _cpu(running), time.perf_counter() - start
        sent = sending.result() if load.per_second else None
    percent = {name: (after[name] - before[name]) / took * 100 for name in running}
    resident = {name: resident_bytes(process) / 1e6 for name, process in running.items() if name in PROGRAMS}
    figures = row(load, percent, resident, sent)
    if load.per_second:
        waits = queryable(platform, load, QUERYABLE_S, warm_up_s=QUERYABLE_WARM_UP_S)
        figures |= {f"cost_{load.name}_{name}": value for name, value in waits.items()}
    return figures


def row(
    load: Load, percent: dict[str, float], resident: dict[str, float], sent: dict[str, Any] | None
) -> Figures:
    """Named figures of a row.

    percent: of one core, by program; resident: MB, by program; sent: what the load generator printed, None at idle.
    """
    together = sum(percent[name] for name in PROGRAMS)
    figures = {
        "cpu_percent": together, **{f"{name}_percent": value for name, value in percent.items()},
        "mb": sum(resident.values()), **{f"{name}_mb": value for name, value in resident.items()},
    }  # fmt: skip
    if sent is not None:
        per_second = sent["requests"] / sent["seconds"]
        figures |= {
            "us_per_event": together / 100 * 1e6 / (per_second * load.events) if per_second else inf,
            "answered_per_second": per_second,
            "unanswered": max(0, sent["due"] - sent["requests"]), "late_p99_ms": sent["late_p99_ms"],
            "p50_ms": sent["p50_ms"], "p99_ms": sent["p99_ms"],
        }  # fmt: skip
    return {f"cost_{load.name}_{name}": value for name, value in figures.items()}


def rest(platform: Platform) -> None:
    """Wait until everything is loaded and ClickHouse merges nothing, so that no row pays for the one before."""
    platform.settle(300)
    with suppress(AssertionError):  # a merge of minutes is part of what it costs
        await_that(
            lambda: platform.count("SELECT count() FROM system.merges") == 0,
            "merges end",
            MERGES_SECONDS_MAX,
            every=0.5,
        )


def disk(platform: Platform) -> Figures:
    """Bytes on disk an event, of each table and of all, once everything is loaded."""
    rest(platform)
    events = platform.count("SELECT count() FROM fairpixel.events")
    rows = platform.query(
        "SELECT table, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = 'fairpixel' "
        "GROUP BY table"
    )
    each = {f"{DISK}{one['table']}": one["bytes"] / max(1, events) for one in rows}
    return {"disk_bytes_per_event": sum(each.values()), **each}


# The lines of the table of costs: what stands in front, and the end of the figure's name; None begins a section.
LINES: tuple[tuple[str, str | None], ...] = (
    ("CPU (% of a core)", None), *((f"  {name}", f"{name}_percent") for name in PROGRAMS),
    ("  all", "cpu_percent"), ("  supervisor (beside)", "supervisor_percent"),
    ("  µs an event", "us_per_event"),
    ("answers", None), ("  a second", "answered_per_second"), ("  unanswered", "unanswered"),
    ("  p50 (ms)", "p50_ms"), ("  p99 (ms)", "p99_ms"), ("  sent late, p99 (ms)", "late_p99_ms"),
    ("a hit is queryable", None), ("  p50 (s)", "queryable_p50_s"), ("  p99 (s)", "queryable_p99_s"),
    ("  never", "queryable_never"),
    ("memory (MB)", None), *((f"  {name}", f"{name}_mb") for name in PROGRAMS), ("  all", "mb"),
)  # fmt: skip


def tables(figures: Figures) -> list[Table]:
    """What each load costs, one column a load that was measured; and bytes on disk an event."""
    made = []
    loads = [load for load in LOADS if f"cost_{load.name}_cpu_percent" in figures]
    if loads:
        made.append(
            Table(Column("requests a second", no_wrap=True), *(load.name for load in loads), box=SIMPLE_HEAD)
        )
        for title, name in LINES:
            made[-1].add_row(title, *(cells(figures, loads, name) if name else ()))
    disk_names = sorted(
        (name for name in figures if name.startswith(DISK)), key=figures.__getitem__, reverse=True
    )
    if disk_names:
        made.append(Table("table", "bytes on disk an event"))
        for name in disk_names:
            made[-1].add_row(name.removeprefix(DISK), show(figures[name]))
    return made


def cells(figures: Figures, loads: list[Load], name: str) -> list[str]:
    """One figure at each load; "–" where there is none."""
    found = [figures.get(f"cost_{load.name}_{name}") for load in loads]
    return ["–" if value is None else show(value) for value in found]


def _processes(platform: Platform) -> dict[str, psutil.Process]:
    """The programs, and the supervisor that started them."""
    known = platform.programs()
    running = {name: psutil.Process(known[program]["pid"]) for name, program in PROGRAMS.items()}
    supervisor = running["edge"].parent()
    assert supervisor is not None
    return {**running, "supervisor": supervisor}


def _cpu(running: dict[str, psutil.Process]) -> dict[str, float]:
    """Seconds so far; of the supervisor without what it started."""
    own = running["supervisor"].cpu_times()
    used = {name: cpu_seconds(process) for name, process in running.items() if name != "supervisor"}
    return {**used, "supervisor": own.user + own.system}
