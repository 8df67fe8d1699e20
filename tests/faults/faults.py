"""Each fault as a function: what dies, when, and what a person would do about it (at most: `make up` again)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import psutil

from tests.load import Load
from tests.platform import Platform, await_that, free_ports
from tests.processes import edge_workers

RECOVERY_SECONDS_MAX = 90
Fault = Callable[[Platform, Load, Random], None]
# A frozen member's partitions are given to another after 6 s; the rest is this machine's load.
SESSION_SECONDS_MAX = 40


def moment(load: Load, rng: Random) -> None:
    """Wait a random moment under load, so that the kill meets the programs anywhere."""
    load.run_for(rng.uniform(0.5, 3))


def kill(platform: Platform, name: str) -> None:
    """kill -9 and wait until the supervisor has another one running."""
    pid = platform.signal(name, signal.SIGKILL)
    await_that(lambda: platform.programs()[name]["pid"] not in (None, pid), f"{name} is started again")


def kill_edge_worker(platform: Platform, load: Load, rng: Random) -> None:
    """The process that answers requests; what started it goes on."""
    worker = rng.choice(edge_workers(platform.pid("ingest")))
    os.kill(worker, signal.SIGKILL)


def kill_edge(platform: Platform, load: Load, rng: Random) -> None:
    """The edge as a whole, workers first or last."""
    main = psutil.Process(platform.pid("ingest"))
    family = [main, *main.children(recursive=True)]
    rng.shuffle(family)
    for process in family:
        if process.is_running():
            process.kill()


def kill_streams(platform: Platform, load: Load, rng: Random) -> None:
    kill(platform, "streams")


def kill_streams_and_lose_its_state(platform: Platform, load: Load, rng: Random) -> None:
    """Everything the worker keeps on this machine is gone."""
    with killed_and_stopped(platform, "streams"):
        shutil.rmtree(platform.data / "streams", ignore_errors=True)


def freeze_streams_until_another_took_over(platform: Platform, load: Load, rng: Random) -> None:
    _freeze_until_another_took_over(platform, load, "streams", "FAIRPIXEL_STREAMS_PORT")


def freeze_loader_until_another_took_over(platform: Platform, load: Load, rng: Random) -> None:
    _freeze_until_another_took_over(platform, load, "sinks", "FAIRPIXEL_SINKS_PORT")


def kill_loader(platform: Platform, load: Load, rng: Random) -> None:
    kill(platform, "sinks")


def kill_clickhouse(platform: Platform, load: Load, rng: Random) -> None:
    kill(platform, "clickhouse")


def kafka_away_5_s(platform: Platform, load: Load, rng: Random) -> None:
    with killed_and_stopped(platform, "kafka"):
        load.run_for(5)


def kafka_away_60_s(platform: Platform, load: Load, rng: Random) -> None:
    with killed_and_stopped(platform, "kafka"):
        load.run_for(60)


def kill_supervisor(platform: Platform, load: Load, rng: Random) -> None:
    """The supervisor dies; whatever it leaves behind, the next `make up` sorts it out."""
    supervisor_process(platform).kill()
    load.run_for(rng.uniform(0, 2))
    platform.up()


def kill_everything(platform: Platform, load: Load, rng: Random) -> None:
    """All at once, in random order, then `make up`."""
    supervisor = supervisor_process(platform)
    family = [supervisor, *supervisor.children(recursive=True)]
    rng.shuffle(family)
    for process in family:
        if process.is_running():
            process.kill()
    platform.up()


def freeze_everything(platform: Platform, load: Load, rng: Random) -> None:
    """The whole machine stands still for a few seconds, as virtual machines do; Kafka's controller then thinks its own
    broker dead, and every client is thrown out at once."""
    supervisor = supervisor_process(platform)
    family = [supervisor, *supervisor.children(recursive=True)]
    rng.shuffle(family)
    try:
        for process in family:
            process.suspend()
        load.run_for(rng.uniform(1, 5))
    finally:
        for process in family:
            if process.is_running():
                process.resume()


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_edge_worker, kill_edge, kill_streams, kill_streams_and_lose_its_state,
        freeze_streams_until_another_took_over,
        kill_loader, freeze_loader_until_another_took_over, kill_clickhouse, kafka_away_5_s, kafka_away_60_s,
        kill_supervisor, kill_everything, freeze_everything,
    )
}  # fmt: skip


@contextmanager
def killed_and_stopped(platform: Platform, name: str) -> Iterator[None]:
    """kill -9, and the supervisor does not start it again until the block ends.

    Frozen first, so that it never gets to see the polite signal of the supervisor's stop.
    """
    pid = platform.signal(name, signal.SIGSTOP)
    platform.supervise("stop", name)
    os.kill(pid, signal.SIGKILL)
    await_that(lambda: platform.programs()[name]["pid"] is None, f"{name} is gone")
    try:
        yield
    finally:
        platform.supervise("start", name)


def supervisor_process(platform: Platform) -> psutil.Process:
    """The supervisor of this platform: the parent of its programs."""
    return psutil.Process(psutil.Process(platform.pid("kafka")).ppid())


def _freeze_until_another_took_over(platform: Platform, load: Load, name: str, port_variable: str) -> None:
    """SIGSTOP at a random moment; a second process takes over; then the first goes on, and both live for a while."""
    pid = platform.signal(name, signal.SIGSTOP)
    (port,) = free_ports(1)
    env = {**platform.env, port_variable: str(port)}
    log = (platform.folder / f"second-{name}.log").open("ab")
    second = subprocess.Popen([sys.executable, "-m", name], env=env, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/healthz"

        def took_over() -> bool:
            import json

            health = json.loads(platform.get(url))
            return (
                bool(health.get("partitions"))
                and health["consumer_lag"] is not None
                and health["consumer_lag"] < 50
            )

        await_that(took_over, f"a second {name} takes over", SESSION_SECONDS_MAX)
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGCONT)  # it wakes in the middle of what it was doing
        load.run_for(5)
    finally:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGCONT)
        second.terminate()
        second.wait(60)
        log.close()


def seconds_until_a_hit_is_a_row(platform: Platform) -> float:
    """From now, just after the fault, until an event sent now stands in ClickHouse."""
    start, event_id = time.monotonic(), f"probe-{uuid.uuid4().hex}"
    url = f"{platform.edge}/p.gif?k=demo&e=probe&consent=all&id={event_id}"
    await_that(lambda: platform.get(url, timeout=3), "the edge answers", RECOVERY_SECONDS_MAX)
    sql = f"SELECT count() FROM fairpixel.events WHERE event_id = '{event_id}'"
    await_that(lambda: platform.count(sql), "the hit is a row", RECOVERY_SECONDS_MAX)
    return time.monotonic() - start
