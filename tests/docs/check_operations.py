"""Checks of the commands on docs/operations.md, and of those for operators on other pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from deploy.doctor import CHECKS
from tests.docs.checks import checks
from tests.docs.terminal import Terminal
from tests.platform import PROGRAMS, await_that
from tests.processes import free_port

FOREGROUND, DETACH, DOWN = "make up", "make up ARGS=--detach", "make down"
GROWN = "FAIRPIXEL_KAFKA_PARTITIONS=4 make up"
MOVED = "FAIRPIXEL_EDGE_PORT=9000 make up"
READY = "Ctrl-C stops everything in order."


@contextmanager
def running_platform(terminal: Terminal) -> Iterator[None]:
    """The platform, which was started and stopped before by each command of its own; the terminal keeps their words."""
    with in_foreground(terminal, FOREGROUND, FOREGROUND):
        pass
    for command in (DETACH, DOWN):
        terminal.printed[command] = terminal.run(command)
    with in_foreground(terminal, GROWN, GROWN):
        pass
    port = terminal.platform.env["FAIRPIXEL_EDGE_PORT"]
    elsewhere = {"FAIRPIXEL_EDGE_PORT": str(free_port())}
    with in_foreground(terminal, MOVED, MOVED.replace("9000", port), elsewhere):
        yield


@contextmanager
def in_foreground(
    terminal: Terminal, key: str, command: str, more: dict[str, str] | None = None
) -> Iterator[None]:
    """A platform that runs in a terminal of its own until Ctrl-C is pressed there."""
    output = terminal.path("/foreground")
    with terminal.start(command, output, more) as printed:
        await_that(lambda: READY in printed.read_text(), "the platform is up", 120)
        terminal.printed[key] = printed.read_text()
        yield
    assert printed.read_text().splitlines()[-1] == "stopped"


@checks(FOREGROUND)
def stays_in_the_foreground(terminal: Terminal, command: str) -> None:
    assert "Ready after" in terminal.printed[command]
    assert terminal.platform.secret_key in terminal.printed[command]


@checks(DETACH)
def returns_when_all_is_ready(terminal: Terminal, command: str) -> None:
    assert "Ready after" in terminal.printed[command]
    assert terminal.platform.secret_key not in terminal.printed[command]


@checks(DOWN)
def stops_in_order(terminal: Terminal, command: str) -> None:
    lines = [line.strip() for line in terminal.printed[command].splitlines()]
    stopped = [line.removeprefix("stopped ") for line in lines if line.startswith("stopped ")]
    assert stopped == ["ingest", "streams", "sinks", "alerts", "clickhouse", "kafka"]


@checks(GROWN)
def has_more_partitions_from_then_on(terminal: Terminal, command: str) -> None:
    assert "Ready after" in terminal.printed[command]
    assert len(terminal.platform.raw_ends()) == 4
    told = " ".join(terminal.run(".venv/bin/fairpixel doctor").split())
    assert "partitions 4 (2 cores, partitions as an earlier start made them)" in told


@checks(MOVED)
def moves_a_port(terminal: Terminal, command: str) -> None:
    assert f"{terminal.platform.edge}/p.gif" in terminal.printed[command]
    terminal.platform.get(f"{terminal.platform.edge}/healthz")


@checks("fairpixel status")
def says_how_each_program_does(terminal: Terminal, command: str) -> None:
    await_that(terminal.platform.healthy, "all is well")
    printed = terminal.run(command)
    assert [name for name in (*PROGRAMS, "consumer lag") if name not in printed] == []


@checks("fairpixel doctor")
def finds_nothing_wrong(terminal: Terminal, command: str) -> None:
    await_that(terminal.platform.healthy, "all is well")
    found = re.findall(r"^(ok|warn|wrong) +(\w+)", terminal.run(command), re.MULTILINE)
    assert [name for _, name in found] == [name for name, _ in CHECKS]
    assert "wrong" not in dict(found)


@checks("kill <pid>")
def the_supervisor_starts_it_again(terminal: Terminal, command: str) -> None:
    before = terminal.platform.pid("alerts")
    terminal.run(command.replace("<pid>", str(before)))
    await_that(lambda: terminal.platform.programs()["alerts"]["pid"] not in (None, before), "it runs again")
    await_that(terminal.platform.healthy, "all is well")


@checks("python -m streams", "python -m sinks", "python -m sinks.alerts")
def is_what_the_supervisor_runs(terminal: Terminal, command: str) -> None:
    module = command.split()[-1]
    name = {"sinks.alerts": "alerts"}.get(module, module)
    assert psutil.Process(terminal.platform.pid(name)).cmdline()[1:] == ["-m", module]


@checks("python -m deploy.topics", "python -m deploy.topics --access")
def changes_nothing_where_all_is_as_declared(terminal: Terminal, command: str) -> None:
    assert terminal.run(command) == ""


@checks("fairpixel config check")
def says_that_the_configuration_is_usable(terminal: Terminal, command: str) -> None:
    assert "usable. Sites: demo" in terminal.run(command)


@checks("curl http://127.0.0.1:8000/metrics")
def shows_metrics(terminal: Terminal, command: str) -> None:
    assert "fairpixel_ingest_" in terminal.run(command)
