"""The programs of the platform: how each is started, asked how it does, and in which order they stop."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.sizing.sizes import SMALLEST, Sizes
from deploy.supervisor.run_folder import MARK, RunFolder
from runtime.settings import PlatformSettings
from schemas.topics import PARTITIONS_DEFAULT

LOG_SIZE_MAX = 10 * 1024 * 1024  # bytes a file; the one before it is kept: 20 MB a program at most
HEALTH = "health"
TOPICS = "topics"


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised program. Lower ranks stop later: what feeds others stops before them."""

    name: str
    command: tuple[str, ...]
    rank: int
    stop_s_max: int  # after that it is killed, which loses nothing
    # 200 when alive and making progress; kafka://host:port: asked for its metadata; "": not asked.
    health_url: str = ""
    ready_url: str = ""
    once: bool = False  # runs to its end, and again only when it failed
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def listed(self) -> bool:
        """True for programs people know by name."""
        return not self.once


def platform_programs(settings: PlatformSettings, sizes: Sizes = SMALLEST) -> tuple[Program, ...]:
    """Every program of the platform; Kafka and ClickHouse only where no other one is configured."""
    loopback = "http://127.0.0.1"
    kafka = f"kafka://127.0.0.1:{settings.kafka_programs_port}"
    warehouse = f"{loopback}:{settings.clickhouse_port}/healthz"
    partitions = (("FAIRPIXEL_KAFKA_PARTITIONS", str(sizes.partitions)),)
    embedded = []
    if not settings.kafka_bootstrap:
        embedded.append(Program("kafka", _module("deploy.embedded.kafka"), 10, 30, kafka, kafka))
    if not settings.clickhouse_url:
        embedded.append(
            Program("clickhouse", _module("deploy.embedded.clickhouse"), 20, 30, warehouse, warehouse)
        )
    return (
        *embedded,
        Program(TOPICS, _module("deploy.topics"), 30, 5, once=True, environment=partitions),
        replace(
            _ours("ingest", "ingest", 70, settings.edge_url),
            environment=(("FAIRPIXEL_INGEST_WORKERS", str(sizes.edge_workers)), *partitions),
        ),
        *(
            replace(
                _ours(_numbered("streams", number), "streams", 60, f"{loopback}:{port}"),
                environment=(
                    ("FAIRPIXEL_STREAMS_INSTANCE", _instance(number, sizes.partitions)),
                    ("FAIRPIXEL_STREAMS_PORT", str(port)),
                    *partitions,
                ),
            )
            for number, port in enumerate(streams_ports(settings, sizes.streams_workers), start=1)
        ),
        _ours("sinks", "sinks", 50, f"{loopback}:{settings.sinks_port}"),
        _ours("alerts", "sinks.alerts", 40, f"{loopback}:{settings.alerts_port}"),
    )


def streams_ports(settings: PlatformSettings, workers: int) -> list[int]:
    """The health port of each streams worker."""
    return [settings.streams_port, *(settings.streams_more_port + more for more in range(workers - 1))]


def _instance(number: int, partitions: int) -> str:
    """The lasting name of a streams worker in its group: one that was killed has its partitions back in 3 s, not in 6.

    The broker gives a worker that comes back under its name the partitions it had and no others, so topics that have
    grown need other names.
    """
    return f"streams-{number}" if partitions == PARTITIONS_DEFAULT else f"streams-{number}-of-{partitions}"


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _ours(name: str, module: str, rank: int, address: str) -> Program:
    return Program(name, _module(module), rank, 30, f"{address}/healthz", f"{address}/readyz")


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)


def supervisor_config(folder: RunFolder, programs: Sequence[Program], directory: Path) -> str:
    """supervisord.conf. Programs run in `directory`."""
    parts = [
        f"""\
[supervisord]
nodaemon=true
silent=true
pidfile={_text(folder.supervisor_pid)}
logfile={_text(folder.logs / "supervisord.log")}
logfile_maxbytes={LOG_SIZE_MAX}
logfile_backups=1
childlogdir={_text(folder.logs)}
identifier=fairpixel
umask=077
minfds=1024
user={os.getuid()}

[unix_http_server]
file={_text(folder.socket)}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[rpcinterface:fairpixel]
supervisor.rpcinterface_factory=deploy.supervisor.daemon:make_losses
""",
        *(_program(folder, program, directory) for program in programs),
        _listener(folder, programs, directory),
    ]
    return "\n".join(parts)


def _program(folder: RunFolder, program: Program, directory: Path) -> str:
    # startsecs=0: an early end is an end like any other and is followed by a start, for ever. Otherwise supervisord
    # gives a program up after some tries; deploy.supervisor.child keeps a broken one from burning the processor.
    return f"""\
[program:{program.name}]
command={_command(folder, program.name, program.command)}
directory={_text(directory)}
environment={_environment(folder, program)}
priority={program.rank}
autostart=true
autorestart={"unexpected" if program.once else "true"}
exitcodes=0
startsecs=0
startretries=1000000
stopsignal=TERM
stopwaitsecs={program.stop_s_max}
killasgroup=true
redirect_stderr=true
stdout_logfile={_text(folder.logs / f"{program.name}.log")}
stdout_logfile_maxbytes={LOG_SIZE_MAX}
stdout_logfile_backups=1
"""


def _environment(folder: RunFolder, program: Program) -> str:
    own = ((MARK, folder.mark(program.name)), ("PYTHONUNBUFFERED", "1"), *program.environment)
    return ",".join(f'{name}="{_text(value)}"' for name, value in own)


def _listener(folder: RunFolder, programs: Sequence[Program], directory: Path) -> str:
    # The highest rank: it stops first, so that it does not take a program that is stopping for a sick one.
    asked = [f"{program.name}={program.health_url}" for program in programs if program.health_url]
    command = (sys.executable, "-m", "deploy.supervisor.health", *asked)
    return f"""\
[eventlistener:{HEALTH}]
command={_command(folder, HEALTH, command)}
directory={_text(directory)}
environment={MARK}="{_text(folder.mark(HEALTH))}"
events=TICK_5
buffer_size=1
priority=1000
autorestart=true
startsecs=0
startretries=1000000
stopwaitsecs=5
stdout_logfile=NONE
stderr_logfile={_text(folder.logs / f"{HEALTH}.log")}
stderr_logfile_maxbytes={LOG_SIZE_MAX}
stderr_logfile_backups=1
"""


def _command(folder: RunFolder, name: str, command: Sequence[str]) -> str:
    launcher = (
        sys.executable,
        "-m",
        "deploy.supervisor.child",
        str(folder.path),
        name,
        "--with-parent",
        "--",
    )
    return _text(shlex.join([*launcher, *command]))


def _text(value: object) -> str:
    return str(value).replace("%", "%%")  # supervisord expands %(name)s
