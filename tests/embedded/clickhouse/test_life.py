"""Start, stop, kill and start again: what was acknowledged stays, and trouble says what it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.health import Health
from deploy.embedded.clickhouse.settings import ClickHouseSettings, SettingsError
from tests.embedded.clickhouse.conftest import Server
from tests.processes import REPO, await_that


def test_killed_and_started_again_everything_acknowledged_is_there(own_clickhouse: Server) -> None:
    assert own_clickhouse.ask("CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n").status == 200
    for n in range(20):
        assert own_clickhouse.ask(f"INSERT INTO t VALUES ({n})").status == 200
    own_clickhouse.end(signal.SIGKILL)
    began = time.monotonic()
    own_clickhouse.start()
    assert time.monotonic() - began < 5
    assert own_clickhouse.ask("SELECT count() FROM t").text == "20\n"
    assert own_clickhouse.ask("CREATE TABLE u (n UInt32) ENGINE = Null").status == 200


def test_a_folder_whose_default_database_was_never_used_starts_again(own_clickhouse: Server) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        own_clickhouse.end(number)
        own_clickhouse.start()
    assert own_clickhouse.ask("CREATE TABLE t (n UInt32) ENGINE = Memory").status == 200


def test_told_to_stop_it_finishes_what_runs(own_clickhouse: Server) -> None:
    own_clickhouse.ask("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
    answers = []
    query = "INSERT INTO t SELECT number + sleepEachRow(0.02) FROM numbers(100) SETTINGS max_block_size = 1"
    running = threading.Thread(target=lambda: answers.append(own_clickhouse.ask(query)))
    running.start()
    await_that(lambda: "queries_running 1" in own_clickhouse.get("/metrics").text, 10, "the insert runs")
    assert own_clickhouse.end(signal.SIGTERM) == 0
    running.join()
    assert answers[0].status == 200
    own_clickhouse.start()
    assert own_clickhouse.ask("SELECT count() FROM t").text == "100\n"


def test_a_second_server_on_the_folder_says_who_holds_it(own_clickhouse: Server) -> None:
    assert own_clickhouse.process is not None
    second = own_clickhouse.spawn()
    _, shown = second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"another server (process {own_clickhouse.process.pid}) is using this folder".encode() in shown


def test_a_taken_port_is_named(own_clickhouse: Server, tmp_path: Path) -> None:
    other = Server(tmp_path / "other")
    other.port = own_clickhouse.port
    process = other.spawn()
    _, shown = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"FAIRPIXEL_CLICKHOUSE_PORT: port {other.port} cannot be used".encode() in shown


def test_without_a_password_it_says_what_to_set(tmp_path: Path) -> None:
    environment = {**os.environ, "FAIRPIXEL_DATA": str(tmp_path), "FAIRPIXEL_CLICKHOUSE_PASSWORD": ""}
    command = [sys.executable, "-m", "deploy.embedded.clickhouse"]
    ran = subprocess.run(
        command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 2
    assert "FAIRPIXEL_CLICKHOUSE_PASSWORD: not set" in ran.stderr


def test_the_password_may_lie_in_the_secrets_file(tmp_path: Path) -> None:
    (tmp_path / "secrets.toml").write_text('clickhouse_password = "abc"\n')
    assert ClickHouseSettings.from_env({"FAIRPIXEL_DATA": str(tmp_path)}).password == "abc"
    with pytest.raises(SettingsError, match="FAIRPIXEL_CLICKHOUSE_PORT"):
        ClickHouseSettings.from_env({"FAIRPIXEL_CLICKHOUSE_PORT": "x"})


def test_an_engine_that_does_not_answer_is_not_called_healthy() -> None:
    thaw = threading.Event()
    answers = iter([True, False])

    def ask() -> bytes:
        if not next(answers, True):
            thaw.wait(10)
        return b"1\n"

    health = Health(ask, answer_s_max=0.1)
    assert health.check() == ""
    assert health.check() == "the engine does not answer"
    thaw.set()
    await_that(lambda: health.check() == "", 5, "it answers again")


def test_an_engine_that_fails_is_not_called_healthy() -> None:
    def ask() -> bytes:
        raise ClickHouseError(241, "MEMORY_LIMIT_EXCEEDED", "no memory")

    assert Health(ask, answer_s_max=1).check() == "the engine fails with code 241"


def test_idle_it_is_small(own_clickhouse: Server) -> None:
    assert own_clickhouse.process is not None
    own_clickhouse.ask("SELECT 1")
    assert psutil.Process(own_clickhouse.process.pid).memory_info().rss < 400 << 20


def test_neither_log_nor_metrics_hold_what_was_asked(own_clickhouse: Server) -> None:
    own_clickhouse.ask("SELECT 'somebody@example.org', no_such_column")
    assert "somebody" not in own_clickhouse.get("/metrics").text
    process = own_clickhouse.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    _, shown = process.communicate(timeout=30)
    own_clickhouse.process = None
    assert b"clickhouse_stopped" in shown
    assert b"somebody" not in shown
