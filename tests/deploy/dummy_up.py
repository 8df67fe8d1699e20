"""`fairpixel up` with dummy programs: `python -m tests.deploy.dummy_up JOURNAL [--detach] [--NAME=OPTIONS]...`"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from deploy.local import Platform
from deploy.start import go_up
from deploy.supervisor.programs import Program
from runtime.errors import UserError

RANKS = {"first": 20, "second": 30, "third": 10}  # not in the order of names, which supervisord falls back to
NAMES = tuple(RANKS)
STOP_ORDER = ("second", "first", "third")


def dummy_platform(environ: dict[str, str], journal: Path, options: dict[str, list[str]]) -> Platform:
    """Three dummies on the ports of streams, sinks and alerts; Kafka and ClickHouse count as being elsewhere."""
    platform = Platform.from_env(
        {**environ, "FAIRPIXEL_KAFKA_BOOTSTRAP": "nowhere:1", "FAIRPIXEL_CLICKHOUSE_URL": "http://x"}
    )
    settings = platform.settings
    ports = (settings.streams_port, settings.sinks_port, settings.alerts_port)
    programs = []
    for name, port in zip(NAMES, ports, strict=True):
        command = (
            sys.executable,
            "-m",
            "tests.deploy.dummy",
            str(port),
            str(journal),
            name,
            *options.get(name, []),
        )
        url = f"http://127.0.0.1:{port}/healthz"
        programs.append(Program(name, command, RANKS[name], 10, url, url))
    return replace(platform, programs=tuple(programs))


def main() -> None:
    journal, *rest = sys.argv[1:]
    options = {word[2:].split("=")[0]: word.split("=", 1)[1].split() for word in rest if "=" in word}
    try:
        go_up(dummy_platform(dict(os.environ), Path(journal), options), detach="--detach" in rest)
    except UserError as problem:
        sys.exit(f"fairpixel: {problem}")


if __name__ == "__main__":
    main()
