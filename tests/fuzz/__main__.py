"""`make fuzz`: each target with atheris for some minutes; a finding is saved, and its line says how to repeat it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.bounds import run_bounded
from tests.fuzz.targets import NAMES, Target, load

ROOT = Path(__file__).resolve().parent.parent.parent
WORK = ROOT / ".fuzz"  # what the fuzzer learnt, its findings and its logs; no part of the project
INSTRUMENTED = [
    "ingest",
    "streams",
    "schemas",
    "runtime",
    "deploy.embedded.clickhouse",
    "uvicorn.protocols.http",
    "email",
    "ipaddress",
]
# Instrumented code is slower by some ten times than what runs for people, and two targets share the cores.
SECONDS_MAX = 5.0
HANG_SECONDS_MAX = 30  # for what never comes back: libFuzzer ends it and keeps the input
MEMORY_MB_MAX = 2_048
SHOW_EVERY_S = 15


@dataclass
class Running:
    """One target under way in a process of its own: what crashes it takes nobody along."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    started: float = field(default_factory=time.monotonic)

    def progress(self) -> str:
        """The fuzzer's last line about itself."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return next(
            (line.strip() for line in reversed(lines) if line[:1] == "#" and line[1:2].isdigit()), "starting"
        )


def main() -> int:
    """Fuzz what was asked for, everything by default; 1 where something was found."""
    arguments = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    arguments.add_argument("--minutes", type=float, default=2, help="of each target")
    arguments.add_argument(
        "--only", choices=NAMES, action="append", help="a target; may be given more than once"
    )
    arguments.add_argument(
        "--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="targets at once"
    )
    arguments.add_argument("--repeat", nargs=2, metavar=("TARGET", "FILE"), help="run one saved input")
    arguments.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.repeat:
        name, file = asked.repeat
        run_bounded(load(name).fuzz, Path(file).read_bytes(), SECONDS_MAX)
        print(f"{name}: {file} does no harm")
        return 0
    try:
        import atheris  # noqa: F401
    except ImportError:
        print(
            "make fuzz needs atheris, which is there for Linux on x86_64 with Python 3.11 to 3.13 only. "
            "`make test` runs the seeds and all past findings everywhere.",
            file=sys.stderr,
        )
        return 2
    if asked.worker:
        _work(asked.worker[0], float(asked.worker[1]))
        return 0
    return _run(list(asked.only or NAMES), asked.minutes * 60, asked.jobs)


def _run(names: list[str], seconds: float, jobs: int) -> int:
    waiting, running, failed = names[::-1], list[Running](), list[str]()
    shown = time.monotonic()
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(_start(waiting.pop(), seconds))
            print(f"{running[-1].name}: {seconds / 60:g} minutes", flush=True)
        time.sleep(0.2)
        for one in [one for one in running if one.process.poll() is not None]:
            running.remove(one)
            found = _findings(one.name, one.started)
            if one.process.returncode or found:
                failed.append(one.name)
                _explain(one, found)
            else:
                print(f"{one.name}: nothing found; {one.progress()}", flush=True)
        if time.monotonic() > shown + SHOW_EVERY_S:
            shown = time.monotonic()
            for one in running:
                print(f"  {one.name}: {shown - one.started:.0f} s, {one.progress()}", flush=True)
    print(
        f"{len(names) - len(failed)} of {len(names)} targets without a finding"
        + (f"; not: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


def _start(name: str, seconds: float) -> Running:
    for folder in ("corpus", "findings", "logs"):
        (WORK / folder).mkdir(parents=True, exist_ok=True)
    log = WORK / "logs" / f"{name}.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz", "--worker", name, str(seconds)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    return Running(name, process, log)


def _findings(name: str, since: float) -> list[Path]:
    age = time.monotonic() - since
    fresh = time.time() - age - 1
    found = (WORK / "findings").glob(f"{name}-*")
    return sorted(path for path in found if path.stat().st_mtime >= fresh)


def _explain(one: Running, found: list[Path]) -> None:
    print(f"\n{one.name}: FOUND SOMETHING (the log: {one.log.relative_to(ROOT)})", flush=True)
    lines = one.log.read_text("utf-8", "replace").splitlines()
    told = [line for line in lines if not line.startswith(("#", "INFO:", "\tNEW_FUNC", "NEW_FUNC"))]
    print("\n".join(f"    {line[:200]}" for line in told[-25:]))
    for path in found:
        shown = path.relative_to(ROOT)
        print(f"  repeat it:  .venv/bin/python -m tests.fuzz --repeat {one.name} {shown}")
        print(
            f"  keep it:    cp {shown} tests/fuzz/corpus/{one.name}/  (under a name that says what it is)\n",
            flush=True,
        )


def _work(name: str, seconds: float) -> None:
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        target = load(name)
    for _, data in target.inputs():  # what is built on first use is no input's fault
        target.fuzz(data)
    with tempfile.TemporaryDirectory(prefix="fairpixel-fuzz-") as folder:
        seeds, words = _write_seeds(target, Path(folder))
        learnt = WORK / "corpus" / name
        learnt.mkdir(parents=True, exist_ok=True)
        options = [
            f"-max_total_time={max(1, round(seconds))}", f"-max_len={target.length_max}",
            f"-timeout={HANG_SECONDS_MAX}",
            f"-rss_limit_mb={MEMORY_MB_MAX}", f"-artifact_prefix={WORK / 'findings'}/{name}-", f"-dict={words}",
            "-print_final_stats=1", "-len_control=20", "-report_slow_units=5", str(learnt), str(seeds),
        ]  # fmt: skip
        atheris.Setup([name, *options], lambda data: run_bounded(target.fuzz, data, SECONDS_MAX))
        atheris.Fuzz()


def _write_seeds(target: Target, folder: Path) -> tuple[Path, Path]:
    """(folder of inputs, dictionary) in libFuzzer's forms."""
    seeds, words = folder / "seeds", folder / "words"
    seeds.mkdir()
    for name, data in target.inputs():
        (seeds / name).write_bytes(data)
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    words.write_text("".join(f'"{one}"\n' for one in quoted))
    return seeds, words


if __name__ == "__main__":
    sys.exit(main())
