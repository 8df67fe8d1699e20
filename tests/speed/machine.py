"""Programs of a bench: started one by one, measured by the kernel's own account of their CPU time and memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.platform import Platform, await_that, free_ports
from tests.speed.loads import Load

ROOT = Path(__file__).parents[2]


@contextmanager
def program(platform: Platform, *command: str) -> Iterator[psutil.Process]:
    """Run one program of the platform by itself; its output goes to a file in the platform's folder."""
    with (platform.folder / "bench.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", *command], env=platform.env, stdout=log, stderr=log, cwd=ROOT
        )
    try:
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(60)


@contextmanager
def kafka(platform: Platform) -> Iterator[None]:
    """The broker with its topics."""
    with program(platform, "deploy.embedded.kafka"):
        subprocess.run(
            [sys.executable, "-m", "deploy.topics"],
            env=platform.env,
            check=True,
            cwd=ROOT,
            capture_output=True,
            timeout=60,
        )
        yield


def ready(platform: Platform, port_variable: str, path: str = "/readyz") -> None:
    """Wait until a program says that it is ready."""
    url = f"http://127.0.0.1:{platform.env[port_variable]}{path}"
    await_that(lambda: platform.get(url), f"{url} answers", 60)


def consumer_lag(platform: Platform, port_variable: str) -> int:
    """The packs that wait for a program, as it says itself."""
    return int(
        json.loads(platform.get(f"http://127.0.0.1:{platform.env[port_variable]}/healthz"))["consumer_lag"]
    )


def family(process: psutil.Process) -> list[psutil.Process]:
    """The process and all it started."""
    return [process, *process.children(recursive=True)]


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and all it started, user and system; also of children that ended."""
    used = 0.0
    for one in family(process):
        with suppress(psutil.NoSuchProcess):  # ended just now: its parent's account has it
            times = one.cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
    return used


def resident_bytes(process: psutil.Process) -> int:
    """Memory that would be free if the process and all it started were gone (proportional set size)."""
    return sum(one.memory_full_info().pss for one in family(process))


def http_load(
    port: int, connections: int, seconds: float, rate: float, kind: str, key: str = "demo"
) -> dict[str, Any]:
    """Run the load generator as a process of its own."""
    command = [
        sys.executable,
        "-m",
        "tests.speed.http_load",
        str(port),
        str(connections),
        str(seconds),
        str(rate),
        kind,
    ]
    env = {**os.environ, "BENCH_KEY": key}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=seconds + 60, env=env, check=False
    )
    if done.stderr:
        print(f"  {done.stderr.strip().splitlines()[-1]}")
    done.check_returncode()
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def send_load(platform: Platform, load: Load, seconds: float, connections: int = 16) -> dict[str, Any]:
    """Send an open load to the edge for so long; what the load generator prints of it."""
    key = platform.secret_key if load.kind == "batch" else "demo"
    port = int(platform.env["FAIRPIXEL_EDGE_PORT"])
    return http_load(port, connections, seconds, load.per_second, load.kind, key)


@contextmanager
def nginx(folder: Path) -> Iterator[tuple[psutil.Process, int] | None]:
    """nginx answering a GIF and writing its log, one worker; None where it is not installed."""
    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if binary is None:
        yield None
        return
    (port,) = free_ports(1)
    home = folder / "nginx"
    home.mkdir(exist_ok=True)
    temporary = "".join(
        f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (home / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log; events {{}}"
        f"http {{ {temporary} access_log {home}/access.log combined; keepalive_requests 100000000;"
        f"server {{ listen 127.0.0.1:{port}; location = /p.gif {{ empty_gif; }} }} }}"
    )
    child = subprocess.Popen(
        [binary, "-p", str(home), "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")]
    )
    try:
        await_that(
            lambda: psutil.Process(child.pid).children() and http_load(port, 1, 0.1, 0, "gif"),
            "nginx answers",
            20,
        )
        yield psutil.Process(child.pid), port
    finally:
        child.terminate()
        child.wait(20)


def measure_cpu(
    process: psutil.Process, port: int, kind: str, seconds: float, connections: int = 64, warm_up: float = 0
) -> dict[str, float]:
    """CPU microseconds a request of a server under full load, after so many seconds of warm-up."""
    if warm_up:
        http_load(port, connections, warm_up, 0, kind)
    before = cpu_seconds(process)
    result = http_load(port, connections, seconds, 0, kind)
    used = cpu_seconds(process) - before
    return {
        "cpu_us": used / result["requests"] * 1e6, "per_second": result["requests"] / result["seconds"],
        "failed": result["failed"], "p99_ms": result["p99_ms"],
    }  # fmt: skip


def wait_seconds(seconds: float) -> None:
    """The length of a measurement."""
    time.sleep(seconds)
