"""`python -m sinks.alerts` as a process: it waits for what is not there yet, says so, and stops when asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from sinks.alerts.health import STUCK_MS, Health
from sinks.alerts.loop import Standing
from tests.processes import REPO, await_that, free_port


def ask(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def test_without_kafka_and_clickhouse_it_waits_says_so_and_stops_on_sigterm(tmp_path: Path) -> None:
    port = free_port()
    environ = {
        **os.environ,
        "FAIRPIXEL_DATA": str(tmp_path),
        "FAIRPIXEL_ALERTS_PORT": str(port),
        "FAIRPIXEL_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}",
        "FAIRPIXEL_CLICKHOUSE_PORT": str(free_port()),
        "FAIRPIXEL_EDGE_PORT": str(free_port()),
        "FAIRPIXEL_CLICKHOUSE_PASSWORD": "correct horse",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "sinks.alerts"], cwd=REPO, env=environ, stderr=subprocess.PIPE
    )
    try:
        await_that(lambda: b"does not answer" in ask(port, "/healthz")[1], 20, "it says what it waits for")
        status, body = ask(port, "/healthz")
        assert (status, json.loads(body)["minutes_not_judged"]) == (200, 0)
        assert ask(port, "/readyz")[0] == 503
        metrics = ask(port, "/metrics")[1]
        assert b"fairpixel_alerts_open 0.0" in metrics
        assert b"fairpixel_alerts_judged_age_seconds" in metrics
        assert ask(port, "/other")[0] == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        log = process.stderr.read()
        process.stderr.close()
    assert b'"event": "stopped"' in log
    assert b"correct horse" not in log


def test_a_missing_secret_is_said_and_ends_the_program(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "FAIRPIXEL_CLICKHOUSE_PASSWORD"}
    environ |= {"FAIRPIXEL_DATA": str(tmp_path), "FAIRPIXEL_ALERTS_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "-m", "sinks.alerts"],
        cwd=REPO,
        env=environ,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert b"secrets.toml" in done.stderr


def test_health_tells_a_stuck_loop_from_a_waiting_one() -> None:
    now = [1_000_000]
    health = Health(lambda: now[0])
    health.came_round(Standing(judged=800), problem="Kafka does not answer")
    assert (health.healthz()[0], health.readyz()[0]) == (200, 503)
    health.came_round(Standing(judged=800))
    assert (health.healthz()[0], health.readyz()[0]) == (200, 200)
    assert health.healthz()[1]["minutes_not_judged"] == 2, "minutes that ended and are not judged"
    now[0] += STUCK_MS + 1
    assert (health.healthz()[0], health.readyz()[0]) == (503, 503)
