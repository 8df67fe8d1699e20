"""Restart programs that run but no longer do their work: an event listener of supervisord, asking every 5 seconds.

superlance's httpok does this for one address a process; one process here asks all, knows Kafka's protocol, gives a
fresh program time to start, and kills one that is frozen, which a polite stop would wait 30 seconds for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum

from supervisor import childutils

from deploy.supervisor.ask import ask
from deploy.supervisor.client import Process, Supervisor
from runtime.errors import UserError

ASK_S_MAX = 4.0  # below the 5 s of a tick
GRACE_S = 60  # a program that never answered is left alone this long: it may be reading a large state
STRIKES_TO_STOP = 3  # asked in vain this often in a row: 10 to 15 s
STRIKES_TO_KILL = 4


class Action(Enum):
    """What to do about a program."""

    NOTHING = ""
    STOP = "TERM"
    KILL = "KILL"


@dataclass(frozen=True, slots=True)
class Patient:
    """What is remembered of a program between two ticks."""

    pid: int = 0
    was_well: bool = False  # since this pid started
    strikes: int = 0


def judge(before: Patient, process: Process, alive: bool) -> tuple[Patient, Action]:
    """One tick of one program: what to remember, and what to do.

    A stop is asked for first and a kill follows a tick later, so a program that still can ends in order.
    """
    if process.state != "RUNNING" or not process.pid:
        return Patient(), Action.NOTHING
    now = before if before.pid == process.pid else Patient(process.pid)
    if alive:
        return Patient(process.pid, was_well=True), Action.NOTHING
    if not now.was_well and process.age_s < GRACE_S:
        return now, Action.NOTHING
    now = replace(now, strikes=now.strikes + 1)
    if now.strikes >= STRIKES_TO_KILL:
        return now, Action.KILL
    return now, Action.STOP if now.strikes == STRIKES_TO_STOP else Action.NOTHING


def check_all(
    supervisor: Supervisor, urls: dict[str, str], patients: dict[str, Patient], pool: ThreadPoolExecutor
) -> None:
    """Ask every program at once and act; says each action in one line on stderr."""
    processes = {process.name: process for process in supervisor.processes() if process.name in urls}
    answers = dict(zip(processes, pool.map(lambda name: ask(urls[name], ASK_S_MAX), processes), strict=True))
    for name, process in processes.items():
        before = patients.get(name, Patient())
        patients[name], action = judge(before, process, answers[name].alive)
        if patients[name].was_well and (before.pid != process.pid or not before.was_well):
            print(f"{name} (pid {process.pid}) answers", file=sys.stderr, flush=True)
        if action is not Action.NOTHING:
            print(f"{name} (pid {process.pid}) does not answer: {action.value}", file=sys.stderr, flush=True)
            supervisor.signal(name, action.value)


def main(arguments: Sequence[str]) -> None:
    """`python -m deploy.supervisor.health NAME=URL...`, started by supervisord as a listener to TICK_5."""
    urls = dict(argument.split("=", 1) for argument in arguments)
    control = os.environ["SUPERVISOR_SERVER_URL"].removeprefix("unix://")
    from pathlib import Path

    supervisor, patients = Supervisor(Path(control)), dict[str, Patient]()
    with ThreadPoolExecutor(max(1, len(urls))) as pool:
        while True:
            childutils.listener.wait(sys.stdin, sys.stdout)
            try:
                check_all(supervisor, urls, patients, pool)
            except UserError as problem:  # for a moment, or because all is being stopped
                print(problem.what, file=sys.stderr, flush=True)
            childutils.listener.ok(sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
