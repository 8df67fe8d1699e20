"""Small tools for tests that start real programs: free ports, awaiting a condition."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil

REPO = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        port: int = attempt.getsockname()[1]
        return port


def await_that(condition: Callable[[], object], within_s: float, what: str) -> None:
    """Return as soon as `condition()` is true; fail with `what` when it is not within `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within_s:g} s in vain until {what}")
        time.sleep(0.02)


def edge_workers(pid: int) -> list[int]:
    """The processes of an edge that answer requests; Python's multiprocessing keeps a tracker beside them."""
    return [one.pid for one in psutil.Process(pid).children() if "spawn_main" in " ".join(one.cmdline())]
