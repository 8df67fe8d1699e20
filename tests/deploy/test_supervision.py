"""Supervision with real processes that do nothing: restart, order, orphans, and never somebody else's process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.supervisor.run_folder import MARK
from deploy.supervisor.starts import count_quick_ends, delay_s
from tests.deploy.dummies import Dummies
from tests.deploy.dummy_up import NAMES, STOP_ORDER
from tests.processes import REPO, await_that


@pytest.fixture
def dummies(tmp_path: Path) -> Iterator[Dummies]:
    one = Dummies(tmp_path)
    yield one
    one.platform.stop(lambda line: None)
    if one.foreground is not None:
        one.foreground.wait(20)


def test_a_killed_program_is_back_by_itself(dummies: Dummies) -> None:
    assert dummies.up().returncode == 0
    before = dummies.pid("second")
    os.kill(before, signal.SIGKILL)
    await_that(
        lambda: dummies.looks()["second"].pid not in (None, before) and dummies.all_ok(), 10, "it is back"
    )


def test_a_program_killed_again_and_again_is_never_given_up(dummies: Dummies) -> None:
    dummies.up()
    for _ in range(5):
        pid = dummies.pid("first")
        os.kill(pid, signal.SIGKILL)
        await_that(lambda: dummies.looks()["first"].pid not in (None, pid), 10, "it is started again")  # noqa: B023
    await_that(dummies.all_ok, 15, "it answers again")


def test_programs_stop_one_after_the_other_in_order(dummies: Dummies) -> None:
    dummies.up()
    dummies.platform.stop(lambda line: None)
    assert dummies.noted("stop") == [f"{name} stop" for name in STOP_ORDER]


def test_a_frozen_program_is_replaced_and_an_unwell_one_stopped_in_order(dummies: Dummies) -> None:
    dummies.options = ("--third=--unwell-after 8",)  # seconds: well when it is asked first, unwell soon after
    dummies.up()
    frozen, unwell = dummies.pid("second"), dummies.pid("third")
    log = dummies.platform.folder.logs / "health.log"
    await_that(lambda: log.read_text().count("answers") == len(NAMES), 15, "all were asked once")
    os.kill(frozen, signal.SIGSTOP)
    await_that(lambda: dummies.looks()["second"].pid not in (None, frozen), 45, "the frozen one is replaced")
    await_that(lambda: dummies.looks()["third"].pid not in (None, unwell), 45, "the unwell one is replaced")
    assert not psutil.pid_exists(frozen)
    assert "third stop" in dummies.noted("stop")
    assert len([line for line in dummies.noted("start") if line.startswith("first")]) == 1


def test_when_the_supervisor_is_killed_its_programs_go_with_it(dummies: Dummies) -> None:
    dummies.up()
    pids = [dummies.pid(name) for name in NAMES]
    os.kill(dummies.platform.supervisor_pid() or 0, signal.SIGKILL)
    if sys.platform == "linux":
        await_that(lambda: not any(map(psutil.pid_exists, pids)), 10, "the orphans are gone")
    assert dummies.up().returncode == 0
    assert dummies.all_ok()
    assert not any(map(psutil.pid_exists, pids))


def test_the_next_up_ends_an_orphan_that_does_not_listen(dummies: Dummies) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    mark = {MARK: dummies.platform.folder.mark("first")}
    with subprocess.Popen(
        [sys.executable, "-c", deaf], env={**dummies.environ, **mark}, stdout=subprocess.PIPE
    ) as orphan:
        assert orphan.stdout is not None
        orphan.stdout.readline()
        done = dummies.up()
        assert done.returncode == 0, done.stderr
        assert f"first (pid {orphan.pid})" in done.stderr
        assert orphan.wait(1) == -signal.SIGKILL


def test_children_a_killed_program_left_are_ended_before_it_starts_again(dummies: Dummies) -> None:
    dummies.options = ("--first=--linger",)
    dummies.up()
    child = int(dummies.noted("child")[0].split()[2])
    os.kill(dummies.pid("first"), signal.SIGKILL)
    await_that(lambda: len(dummies.noted("child")) == 2, 15, "it is started again")
    assert not psutil.pid_exists(child)


def test_somebody_elses_process_is_never_touched(dummies: Dummies) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        dummies.platform.folder.create()
        for name in (*NAMES, "supervisord"):
            dummies.platform.folder.lock_file(name).write_text(f"{stranger.pid}\n")
        dummies.platform.folder.supervisor_pid.write_text(f"{stranger.pid}\n")
        assert dummies.up().returncode == 0
        dummies.platform.stop(lambda line: None)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_copy_of_a_program_refuses_to_run_on_the_same_data(dummies: Dummies) -> None:
    dummies.up()
    pid = dummies.pid("first")
    folder = dummies.platform.folder
    launcher = [sys.executable, "-m", "deploy.supervisor.child", str(folder.path), "first", "--", "true"]
    done = subprocess.run(
        launcher, cwd=REPO, env=dummies.environ, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode != 0
    assert "another copy" in done.stderr
    assert dummies.pid("first") == pid


def test_a_second_up_says_who_runs_and_where_to_look(dummies: Dummies) -> None:
    first = dummies.up_in_foreground()
    second = subprocess.run(
        dummies.command(),
        cwd=REPO,
        env=dummies.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert str(first.pid) in second.stderr
    assert "fairpixel status" in second.stderr
    assert dummies.all_ok()


def test_a_second_detached_up_finds_it_ready(dummies: Dummies) -> None:
    dummies.up()
    pids = [dummies.pid(name) for name in NAMES]
    again = dummies.up()
    assert again.returncode == 0
    assert "runs already" in again.stdout
    assert [dummies.pid(name) for name in NAMES] == pids


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_a_signal_stops_everything_in_order(
    dummies: Dummies, number: signal.Signals
) -> None:
    process = dummies.up_in_foreground()
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.rstrip().endswith("stopped")
    assert dummies.noted("stop") == [f"{name} stop" for name in STOP_ORDER]


@pytest.mark.skipif(
    sys.platform != "linux", reason="the kernel tells children of a dead parent on Linux only"
)
def test_when_up_itself_is_killed_everything_stops_in_order(dummies: Dummies) -> None:
    process = dummies.up_in_foreground()
    process.kill()
    await_that(lambda: dummies.platform.supervisor_pid() is None, 20, "the supervisor ends")
    assert dummies.noted("stop") == [f"{name} stop" for name in STOP_ORDER]


def test_down_is_idempotent(dummies: Dummies) -> None:
    dummies.up()
    assert dummies.platform.stop(lambda line: None)
    assert not dummies.platform.stop(lambda line: None)


def test_a_path_too_long_for_a_socket_gets_a_private_short_one(tmp_path: Path) -> None:
    deep = Dummies(tmp_path / ("a" * 60) / ("b" * 60))
    deep.folder.mkdir(parents=True)
    try:
        assert deep.up().returncode == 0
        socket = deep.platform.folder.socket
        assert len(str(socket)) < 100
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        assert deep.all_ok()
    finally:
        deep.platform.stop(lambda line: None)


def test_status_gives_the_lag_a_program_tells(dummies: Dummies) -> None:
    dummies.up()
    assert {one.consumer_lag for one in dummies.looks().values()} == {7}


def test_before_anything_runs_everything_is_stopped(dummies: Dummies) -> None:
    assert {one.health for one in dummies.looks().values()} == {"stopped"}


def test_a_program_that_cannot_live_is_named_with_the_end_of_its_log(dummies: Dummies) -> None:
    dummies.options = ("--second=--crash",)
    done = dummies.up()
    assert done.returncode == 1
    assert "Not ready" in done.stderr
    assert "second:\n    I cannot live" in done.stderr
    assert "third:" not in done.stderr
    assert dummies.looks()["second"].health == "unhealthy"


def test_waits_between_starts_grow_with_quick_ends_only() -> None:
    assert count_quick_ends([]) == 0
    assert count_quick_ends([100.0]) == 0
    assert count_quick_ends([10.0, 100.0, 101.0, 103.0]) == 2
    assert count_quick_ends([100.0, 101.0, 160.0]) == 0
    assert [delay_s(count) for count in (0, 1, 99)] == [0, 0, 5]
