"""The file of a bench: every round, and of which commit, day and machine it is."""

from __future__ import annotations

import json
import platform as host
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from runtime.errors import UserError
from tests.speed.goals import in_order

Figures = dict[str, float]
ROOT = Path(__file__).parents[2]
# What makes two machines comparable; the memory decides little.
SAME_MACHINE = ("cores", "model", "kernel")


@dataclass(frozen=True)
class Results:
    """rounds: each with the figures it measured, by name. commit, date: "" in files of before they were written.

    machine: cores, model of the CPU, kernel, memory_gb, python.
    """

    rounds: Sequence[Figures]
    machine: dict[str, Any] = field(default_factory=dict)
    commit: str = ""
    date: str = ""

    @property
    def medians(self) -> Figures:
        """The median of each figure over the rounds that measured it, in the order of the table."""
        names = in_order(name for one in self.rounds for name in one)
        return {name: median(self.values(name)) for name in names}

    def values(self, name: str) -> list[float]:
        """A figure in each round that measured it."""
        return [one[name] for one in self.rounds if name in one]

    @property
    def unsaid(self) -> list[str]:
        """What the file does not say of itself."""
        of_itself = [name for name in ("commit", "date") if not getattr(self, name)]
        return of_itself + [name for name in SAME_MACHINE if name not in self.machine]


def results_now(rounds: Sequence[Figures]) -> Results:
    """Rounds of this commit on this machine, now."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Results(rounds, machine_here(), commit_here(), date)


def machine_here() -> dict[str, Any]:
    """This machine; model "" where the system does not name it."""
    return {
        "cores": psutil.cpu_count(), "model": _model(), "kernel": host.release(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9), "python": host.python_version(),
    }  # fmt: skip


def commit_here() -> str:
    """The commit that is measured, with `+changes` where files differ from it; "" outside of a repository."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return f"{commit}+changes" if _git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return ""


def read_results(path: Path) -> Results:
    """A file that an earlier bench wrote, also one that says nothing of its commit. UserError says what is wrong."""
    hint = "Name a bench.json that `make bench` wrote."
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", hint) from None
    except ValueError:
        raise UserError(f"{path}: is no JSON", hint) from None
    rounds = content.get("rounds") if isinstance(content, dict) else None
    if not isinstance(rounds, list) or not all(map(_are_figures, rounds)):
        raise UserError(f"{path}: has no rounds of a bench", hint)
    if not any(rounds):
        raise UserError(f"{path}: nothing was measured in any of its rounds", hint)
    machine = content.get("machine")
    commit, date = (
        one if isinstance(one, str) else "" for one in (content.get("commit"), content.get("date"))
    )
    return Results(rounds, machine if isinstance(machine, dict) else {}, commit, date)


def write_results(path: Path, results: Results) -> None:
    """Write the file; one that is there already becomes NAME-earlier.json, in place of an older one of that name."""
    content = {
        "machine": results.machine, "commit": results.commit, "date": results.date, "medians": results.medians,
        "rounds": list(results.rounds),
    }  # fmt: skip
    if path.exists():
        path.replace(path.with_stem(f"{path.stem}-earlier"))
    path.write_text(json.dumps(content, indent=1), "utf-8")


def check_writable(path: Path) -> None:
    """UserError where results could not be written later: before an hour of measuring, not behind it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        present = path.exists()
        with path.open("ab"):
            pass
        if not present:
            path.unlink()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: {error.strerror}", "Name another file with --to."
        ) from None


def add_rounds(earlier: Results, now: Results, path: Path) -> Results:
    """The rounds of both, as one file of the same commit on the same machine. UserError where they differ."""
    hint = "Give another file with --to, or leave --add out."
    if earlier.commit != now.commit:
        raise UserError(
            f"{path}: its rounds are of commit {earlier.commit or 'unknown'}, these are of {now.commit or 'unknown'}",
            hint,
        )
    other = [name for name in SAME_MACHINE if earlier.machine.get(name) != now.machine.get(name)]
    if other:
        raise UserError(f"{path}: its rounds are of another machine ({', '.join(other)})", hint)
    return Results([*earlier.rounds, *now.rounds], now.machine, now.commit, now.date)


def _are_figures(one: object) -> bool:
    return isinstance(one, dict) and all(
        isinstance(value, int | float) and not isinstance(value, bool) and value == value
        for value in one.values()
    )


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return host.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, host.processor())


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
