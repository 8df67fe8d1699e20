"""The examination behind `fairpixel doctor`: independent checks, each with one finding, none changes anything."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import psutil

from deploy import bootstrap, checks
from deploy.data_folder import SUBFOLDERS
from deploy.local import REPO, Platform
from deploy.sizing.record import sizes_of_next_start
from deploy.supervisor.look import look
from runtime.errors import UserError

CLOCK_S_MAX = 5.0
CLOCK_YEAR_MIN = 2025
ANSWER_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    subject: str
    sign: str  # ok, warn, wrong
    found: str
    hint: str = ""


def examine(platform: Platform) -> Iterator[Finding]:
    """Run every check; one that breaks is a finding, too."""
    for subject, check in CHECKS:
        try:
            yield check(platform)
        except UserError as problem:
            yield Finding(subject, "wrong", problem.what, problem.hint)
        except Exception as error:  # a doctor that falls ill over one organ still looks at the others
            yield Finding(
                subject,
                "wrong",
                f"could not be checked: {type(error).__name__}: {error}",
                "Please report this.",
            )


def _python(platform: Platform) -> Finding:
    del platform
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.maxsize < 2**32:
        return Finding("python", "wrong", f"{version}, 32 bits", "Use a 64-bit Python.")
    return Finding("python", "ok", version)


def _packages(platform: Platform) -> Finding:
    del platform
    wanted = bootstrap.read(str(REPO / "requirements.lock"))
    import hashlib

    digest = hashlib.sha256(wanted.encode()).hexdigest()
    stamp = bootstrap.read(bootstrap.stamp_path(sys.prefix))
    if not stamp:
        return Finding(
            "packages",
            "warn",
            f"{sys.prefix} was not set up by make",
            "Use make up, or compare with requirements.lock.",
        )
    if stamp.splitlines()[0] != digest:
        return Finding("packages", "wrong", "older than requirements.lock", "Run: make setup")
    return Finding("packages", "ok", "as requirements.lock says")


def _disk(platform: Platform) -> Finding:
    if problem := checks.disk_problem(platform.settings):
        return Finding("disk", "wrong", problem.what, problem.hint)
    free = checks.free_mb(platform.settings.data)
    found = f"{free / 1024:.1f} GB free for {platform.settings.data}"
    if free < checks.FREE_MB_MIN and platform.supervisor_pid() is None:
        return Finding(
            "disk", "wrong", found, f"Make room: at least {checks.FREE_MB_MIN} MB are needed to start."
        )
    if free < checks.FREE_MB_LOW:
        return Finding("disk", "warn", found, "Make room soon: a full disk stops Kafka until there is some.")
    return Finding("disk", "ok", found)


def _logs(platform: Platform) -> Finding:
    if platform.supervisor_pid() is None:
        return Finding("logs", "ok", f"in {platform.folder.logs}")
    if lost := platform.supervisor.lost_log_lines():
        named = ", ".join(f"{name} {count}" for name, count in sorted(lost.items()))
        found = f"lost {sum(lost.values())} lines the disk did not take since the start: {named}"
        return Finding(
            "logs", "warn", found, "The lines are gone, no event is; a line in each log says where."
        )
    return Finding("logs", "ok", "no line was lost since the start")


def _memory(platform: Platform) -> Finding:
    available = psutil.virtual_memory().available // (1 << 20)
    running = platform.supervisor_pid() is not None
    if available < checks.MEMORY_MB_MIN and not running:
        return Finding(
            "memory",
            "warn",
            f"{available} MB available",
            f"The platform needs about {checks.MEMORY_MB_MIN} MB.",
        )
    return Finding("memory", "ok", f"{available} MB available")


def _sizes(platform: Platform) -> Finding:
    sizes, next_time = platform.sizes, "chosen"
    if platform.supervisor_pid() is None:
        sizes, next_time = sizes_of_next_start(platform.settings, os.environ), "the next start chooses"
    return Finding(
        "sizes",
        "ok",
        f"{next_time}: edge workers {sizes.edge_workers}, streams workers {sizes.streams_workers}, "
        f"partitions {sizes.partitions} ({sizes.why})",
    )


def _ports(platform: Platform) -> Finding:
    if platform.supervisor_pid() is not None:
        return Finding("ports", "ok", "held by the running platform")
    checks.require_free_ports(platform.settings, platform.sizes.streams_workers)
    return Finding("ports", "ok", "all free")


def _java(platform: Platform) -> Finding:
    from deploy.embedded.kafka import java_path

    if platform.settings.kafka_bootstrap:
        return Finding("java", "ok", "not needed: Kafka runs elsewhere")
    done = subprocess.run(
        [str(java_path()), "-version"], capture_output=True, text=True, timeout=20, check=False
    )
    if done.returncode != 0:
        return Finding("java", "wrong", "the bundled Java does not run", "Remove .venv and run: make setup")
    return Finding("java", "ok", done.stderr.splitlines()[0])


def _jars(platform: Platform) -> Finding:
    from deploy.embedded import kafka_jars

    if platform.settings.kafka_bootstrap:
        return Finding("jars", "ok", "not needed: Kafka runs elsewhere")
    jars = kafka_jars.read_lock()
    version = kafka_jars.kafka_version(jars)
    folder = kafka_jars.cache_folder() / "kafka" / version
    bad = [jar for jar in jars if not kafka_jars.is_intact(folder / jar.file_name, jar)]
    if bad:
        found = f"{len(bad)} of {len(jars)} jars of Kafka {version} are missing or changed in {folder}"
        return Finding("jars", "warn", found, "The next start downloads them again.")
    return Finding("jars", "ok", f"Kafka {version}, {len(jars)} jars, every SHA-256 right")


def _clock(platform: Platform) -> Finding:
    if time.gmtime().tm_year < CLOCK_YEAR_MIN:
        return Finding("clock", "wrong", time.strftime("%Y-%m-%d", time.gmtime()), "Set the system's clock.")
    if platform.supervisor_pid() is not None and not platform.settings.clickhouse_url:
        before = time.time()
        with urllib.request.urlopen(f"{platform.settings.warehouse_url}/ping", timeout=3) as answer:
            date = answer.headers.get("Date")
        if date and abs(parsedate_to_datetime(date).timestamp() - before) > CLOCK_S_MAX:
            return Finding(
                "clock",
                "wrong",
                "programs disagree about the time",
                "Set the system's clock; restart the platform.",
            )
    return Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def _private_files(platform: Platform) -> Finding:
    settings = platform.settings
    folders = [settings.keys, *(settings.data / name for name in SUBFOLDERS)]
    paths = [
        *folders,
        settings.secrets_path,
        settings.config_path,
        *settings.keys.glob("*.key"),
        *settings.kafka_logins.glob("*"),
    ]
    open_ones = [path for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_ones:
        named = ", ".join(str(path) for path in open_ones[:3])
        return Finding(
            "private",
            "wrong",
            f"others can read {named}",
            f"Run: chmod -R go= {settings.data} {settings.keys}",
        )
    if not settings.secrets_path.exists():
        return Finding("private", "ok", "nothing made yet; the first start does")
    return Finding("private", "ok", "secrets, configuration and keys are yours alone")


def _configuration(platform: Platform) -> Finding:
    from runtime.config import ConfigError, read_config

    path = platform.settings.config_path
    if not path.exists():
        return Finding("config", "ok", "not made yet; the first start does")
    try:
        config = read_config(path)
    except ConfigError as error:
        return Finding("config", "wrong", str(error), f"Correct {path}; the last good one stays live.")
    return Finding("config", "ok", f"{len(config.sites)} sites in {path}")


def _programs(platform: Platform) -> Finding:
    if platform.supervisor_pid() is None:
        from deploy.supervisor.leftovers import find_leftovers

        left = find_leftovers(platform.folder)
        if left:
            named = ", ".join(f"{name} (pid {process.pid})" for name, process in left)
            return Finding(
                "programs", "wrong", f"left by a killed supervisor: {named}", "Run: make down (or make up)"
            )
        return Finding("programs", "ok", "nothing runs")
    looks = look(platform.folder, platform.programs)
    bad = [f"{one.name} {one.health}" for one in looks if one.health != "ok"]
    if bad:
        return Finding("programs", "wrong", ", ".join(bad), f"See the logs in {platform.folder.logs}")
    return Finding("programs", "ok", f"{len(looks)} run and answer")


def _topics(platform: Platform) -> Finding:
    if platform.supervisor_pid() is None and not platform.settings.kafka_bootstrap:
        return Finding("topics", "ok", "not checked: Kafka does not run")
    from deploy.topics import differences
    from runtime.kafka_access import operator_access
    from schemas.topics import all_topics

    wrong = differences(operator_access(platform.settings), all_topics(platform.sizes.partitions))
    if wrong:
        return Finding("topics", "wrong", "; ".join(wrong), "Run: .venv/bin/python -m deploy.topics")
    return Finding("topics", "ok", "all as declared")


def _clickhouse(platform: Platform) -> Finding:
    if platform.supervisor_pid() is None and not platform.settings.clickhouse_url:
        return Finding("clickhouse", "ok", "not checked: it does not run")
    from runtime.clickhouse import ClickHouseClient, ClickHouseError

    query = "SELECT count() FROM system.tables WHERE database = 'fairpixel'"
    client = ClickHouseClient(platform.settings.warehouse_url)
    try:
        tables = int(client.query(query, seconds_max=ANSWER_S_MAX, database="default"))
    except (ClickHouseError, ValueError) as error:
        return Finding(
            "clickhouse",
            "wrong",
            f"does not answer a query: {error}",
            f"See {platform.folder.logs}/clickhouse.log",
        )
    if tables == 0:
        return Finding(
            "clickhouse",
            "wrong",
            "has no tables",
            f"The loader makes them; see {platform.folder.logs}/sinks.log",
        )
    return Finding("clickhouse", "ok", f"{tables} tables and views")


def _walls(platform: Platform) -> Finding:
    """What the kernel enforces on the running engine, as the engine itself says."""
    if platform.settings.clickhouse_url:
        return Finding("walls", "ok", "not needed: ClickHouse runs elsewhere")
    if platform.supervisor_pid() is None:
        return Finding("walls", "ok", "not checked: ClickHouse does not run")
    with urllib.request.urlopen(f"{platform.settings.warehouse_url}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    walls = dict(re.findall(r'^fairpixel_clickhouse_confined\{wall="(\w+)"\} ([01])', text, re.MULTILINE))
    missing = [name for name, kept in walls.items() if kept == "0"]
    if missing or not walls:
        return Finding(
            "walls",
            "warn",
            f"the kernel does not confine ClickHouse in: {', '.join(missing) or 'anything'}",
            f"Its log says what that means ({platform.folder.logs}/clickhouse.log); Linux 6.12 has all walls.",
        )
    return Finding("walls", "ok", f"the kernel confines ClickHouse: {', '.join(walls)}")


def _user(platform: Platform) -> Finding:
    owner = platform.settings.data.stat().st_uid if platform.settings.data.exists() else os.getuid()
    if owner != os.getuid():
        return Finding(
            "user",
            "wrong",
            f"{platform.settings.data} belongs to somebody else",
            "Run as that user, or chown it.",
        )
    return Finding("user", "ok", "the data folder is yours")


CHECKS: tuple[tuple[str, Callable[[Platform], Finding]], ...] = (
    ("python", _python),
    ("packages", _packages),
    ("user", _user),
    ("disk", _disk),
    ("logs", _logs),
    ("memory", _memory),
    ("sizes", _sizes),
    ("ports", _ports),
    ("java", _java),
    ("jars", _jars),
    ("private", _private_files),
    ("config", _configuration),
    ("clock", _clock),
    ("programs", _programs),
    ("topics", _topics),
    ("clickhouse", _clickhouse),
    ("walls", _walls),
)
