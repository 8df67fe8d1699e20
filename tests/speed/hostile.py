"""Hostile events beside ordinary traffic: how soon an ordinary hit is queryable, and whether every event is accounted
for.

Run as `python -m tests.speed.hostile PORT COUNT RATE SEED` it is their sender: it makes all requests first, says
`ready`, waits for a line, sends, and prints what came of it.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from math import inf
from typing import Any

from tests.attacks.hostile_events import HostileRequest, hostile_requests
from tests.platform import Platform
from tests.speed.http_load import Connection
from tests.speed.loads import Load
from tests.speed.machine import ROOT
from tests.speed.together import queryable

Figures = dict[str, float]
HOSTILE_PER_SECOND, ORDINARY = 500, Load("pixel", 100)
CONNECTIONS = 16
LOOK_EVERY_S = 0.2  # both cores are busy: looking all the time would take half of one
ANSWER_SECONDS_MAX = 30
SAME_KEY = "BENCH_KEY"  # of the site; not an argument: those are for everybody to see


def beside_ordinary(platform: Platform, count: int, seed: int) -> Figures:
    """Send so many hostile events at 500 a second, and meanwhile ordinary ones at 100 with probes among them."""
    dead_before = len(platform.dead_letter_offsets())
    with _credential(platform, count, seed) as (sending, told):
        waits = queryable(platform, ORDINARY, count / HOSTILE_PER_SECOND, sending, look_every_s=LOOK_EVERY_S)
    start, settled_s = time.perf_counter(), inf
    with suppress(AssertionError):  # it never settled, and the table says so
        platform.settle(300)
        settled_s = time.perf_counter() - start
    ledger = json.loads(platform.run("ledger", "--json", check=False).stdout)
    answered = sum(told["statuses"].values())
    return {
        "hostile_events_per_second": told["events"] / told["seconds"],
        "hostile_accepted_percent": told["statuses"].get("2", 0) / max(1, answered) * 100,
        "hostile_unanswered": told["unanswered"],
        **{f"hostile_{name}": value for name, value in waits.items()},
        "hostile_settled_after_s": settled_s,
        "hostile_ledger_difference": sum(abs(int(one["difference"])) for one in ledger["differences"])
        + len(ledger["drops"])
        + len(ledger["rollups"]),
        "hostile_dead_letters": len(platform.dead_letter_offsets()) - dead_before,
    }


@contextmanager
def _credential(
    platform: Platform, count: int, seed: int
) -> Iterator[tuple[AbstractContextManager[None], dict[str, Any]]]:
    """(what sends while it is entered, what came of it afterwards)."""
    told: dict[str, Any] = {}
    port = platform.env["FAIRPIXEL_EDGE_PORT"]
    command = [
        sys.executable,
        "-m",
        "tests.speed.hostile",
        port,
        str(count),
        str(HOSTILE_PER_SECOND),
        str(seed),
    ]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, SAME_KEY: "demo"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        @contextmanager
        def sending() -> Iterator[None]:
            process.stdin.write("go\n")
            process.stdin.flush()
            try:
                yield
            finally:
                told.update(json.loads(process.stdout.readline()))

        try:
            yield sending(), told
        finally:
            process.kill()


def make_requests(count: int, seed: int, key: str) -> list[HostileRequest]:
    """Requests that hold at least so many events."""
    found, events = [], 0
    for one in hostile_requests(seed, key, prefix=f"hostile-{os.urandom(4).hex()}"):
        if events >= count:
            return found
        found.append(one)
        events += one.events
    return found


def send(port: int, requests: list[HostileRequest], rate: float) -> dict[str, Any]:
    """Send all at a rate of events a second over a few connections; statuses by their first digit."""
    waiting: queue.SimpleQueue[tuple[float, bytes] | None] = queue.SimpleQueue()
    start, events = time.perf_counter(), 0
    for one in requests:
        waiting.put((start + events / rate, one.as_bytes()))
        events += one.events
    statuses: Counter[str] = Counter()
    threads = [
        threading.Thread(target=_send_some, args=(port, waiting, statuses)) for _ in range(CONNECTIONS)
    ]
    for thread in threads:
        waiting.put(None)
        thread.start()
    for thread in threads:
        thread.join()
    unanswered = statuses.pop("unanswered", 0)
    return {
        "events": events, "seconds": time.perf_counter() - start, "statuses": dict(statuses), "unanswered": unanswered,
    }  # fmt: skip


def _send_some(
    port: int, waiting: queue.SimpleQueue[tuple[float, bytes] | None], statuses: Counter[str]
) -> None:
    connection: Connection | None = None
    while (due := waiting.get()) is not None:
        at, request = due
        time.sleep(max(0.0, at - time.perf_counter()))
        status = None
        for _ in range(2):  # a connection that the edge ended after an answer is no lost request
            used, connection = connection, connection or Connection(port)
            connection.socket.settimeout(ANSWER_SECONDS_MAX)
            with suppress(OSError):  # a ConnectionError is one
                connection.send(request)
                while (status := connection.receive()) is None:
                    pass
            if status is not None:
                break
            connection.socket.close()
            connection = None
            if used is None:
                break
        statuses["unanswered" if status is None else str(status)[0]] += 1


if __name__ == "__main__":
    port_text, count_text, rate_text, seed_text = sys.argv[1:]
    made = make_requests(int(count_text), int(seed_text), os.environ.get(SAME_KEY, "demo"))
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(send(int(port_text), made, float(rate_text))), flush=True)
