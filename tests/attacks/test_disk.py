"""A disk that takes nothing, in any way a disk can: the supervisor lives on, and what it runs comes back."""

from __future__ import annotations

import errno
import mmap
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

import pytest
from supervisor.loggers import LevelsByName, LogRecord

from deploy.checks import disk_problem
from deploy.start import DISPLAY_S
from deploy.supervisor import bounded_log, run_folder
from deploy.supervisor.bounded_log import BoundedLog, lost_lines
from deploy.supervisor.look import lost_log_lines
from deploy.supervisor.run_folder import holder, take_lock
from tests.deploy.dummies import Dummies
from tests.deploy.dummy_up import NAMES
from tests.processes import REPO, await_that
from tests.small_disk import fill, filled, remount, small_disk

DISK_MB = 1_100  # a start wants 1,024 MB free
CHAT = tuple(f"--{name}=--chat" for name in NAMES)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 1) as one:
        yield one


@pytest.fixture
def dummies(tmp_path: Path) -> Iterator[Dummies]:
    with small_disk(tmp_path / "disk", DISK_MB) as disk:
        one = Dummies(disk, CHAT)
        # What the dummies themselves write lies elsewhere: here it is the supervisor that is tried.
        one.journal_folder = tmp_path
        yield one
        one.platform.stop(lambda line: None)


def test_programs_come_back_while_the_disk_is_full_and_the_supervisor_stays(dummies: Dummies) -> None:
    assert dummies.up().returncode == 0
    supervisor = dummies.platform.supervisor_pid()
    with filled(dummies.folder):
        await_that(lambda: lost_log_lines(dummies.platform.folder) > 10, 20, "log lines are lost and counted")
        for name in NAMES:
            before = dummies.pid(name)
            os.kill(before, signal.SIGKILL)
            await_that(_other_pid(dummies, name, before), 30, f"{name} is back on the full disk")
        await_that(dummies.all_ok, 30, "all answer on the full disk")
        said = disk_problem(dummies.platform.settings)
        assert said is not None
        assert "0 MB left" in said.what
        assert "comes back by itself" in said.hint
    log = dummies.platform.folder.logs / "first.log"
    await_that(lambda: b"lines are missing here" in log.read_bytes(), 20, "the log says what is missing")
    assert dummies.platform.supervisor_pid() == supervisor
    assert disk_problem(dummies.platform.settings) is None


def test_status_doctor_and_down_work_on_a_full_disk(dummies: Dummies) -> None:
    dummies.up()
    with filled(dummies.folder):
        for command, words in (("status", "No room on the disk of"), ("doctor", "No room on the disk of")):
            done = _fairpixel(dummies, command)
            assert words in " ".join((done.stdout + done.stderr).split())
            assert "Traceback" not in done.stderr
        assert dummies.platform.stop(lambda line: None)
    assert dummies.platform.supervisor_pid() is None
    assert not dummies.platform.folder.supervisor_pid.exists()


def test_up_in_the_foreground_outlives_the_full_disk_it_prints_to(dummies: Dummies) -> None:
    said = dummies.folder / "up.log"
    with said.open("ab") as output:
        process = subprocess.Popen(
            dummies.command(), cwd=REPO, env=dummies.environ, stdout=output, stderr=output
        )
    try:
        await_that(dummies.all_ok, 30, "the dummies run")
        await_that(lambda: b"Ctrl-C" in said.read_bytes(), 30, "it stays in the foreground")
        with filled(dummies.folder):
            with said.open("ab") as page:  # what is left of its last page is no room either
                page.write(b"." * (-said.stat().st_size % mmap.PAGESIZE))
            dummies.platform.supervisor.stop("first")  # something to tell about
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3 * DISPLAY_S)
            dummies.platform.supervisor.start("first")
            await_that(dummies.all_ok, 30, "all answer on the full disk")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 120)  # 120: Python could not write its last lines
    finally:
        process.kill()
        process.wait()


def test_up_on_a_full_disk_says_so_and_leaves_nothing_running(dummies: Dummies) -> None:
    with filled(dummies.folder):
        done = dummies.up()
        assert done.returncode == 1
        assert "0 MB left" in done.stderr
        assert "Traceback" not in done.stderr
        assert dummies.platform.supervisor_pid() is None
    assert dummies.up().returncode == 0


def test_up_where_the_disk_takes_no_more_files_says_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", DISK_MB, inode_count=3) as disk:
        done = _fairpixel(Dummies(disk), "up", "--detach")
        assert done.returncode == 1
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_full_disk_of_logs_alone_keeps_nothing_from_starting_or_living(tmp_path: Path) -> None:
    one = Dummies(tmp_path, CHAT)
    logs = one.platform.folder.logs
    with small_disk(logs, 1, inode_count=2) as disk:
        fill(disk / "hog")  # the only file there can be: a log cannot even be opened
        try:
            assert one.up().returncode == 0
            assert lost_log_lines(one.platform.folder) > 0
            (disk / "hog").unlink()
            remount(disk, "nr_inodes=100")
            await_that(lambda: (logs / "third.log").exists(), 20, "the log begins when there is room")
        finally:
            one.platform.stop(lambda line: None)


def test_a_disk_filled_again_and_again_costs_lines_and_nothing_else(disk: Path) -> None:
    log = BoundedLog(str(disk / "one.log"), maxBytes=100_000, backupCount=1)
    before = lost_lines[log.baseFilename]
    written = 0
    for round_ in range(5):
        with filled(disk):
            for _ in range(400):
                log.emit(_line(f"round {round_} is a line of some length that fills a block at last"))
                written += 1
        log.emit(_line("room"))
        written += 1
    text = (disk / "one.log").read_text()
    lost = lost_lines[log.baseFilename] - before
    assert lost > 100
    assert text.count("lines are missing here") == 5
    kept = [line for line in text.splitlines() if line.startswith(("round", "room")) and "at last" in line]
    assert len(kept) + text.count("room\n") + lost == written


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("call", ["open", "write", "replace", "close"])
def test_no_failure_of_a_disk_leaves_the_log(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {call}

    def fail(name: str) -> None:
        if name in broken:
            raise OSError(number, os.strerror(number))

    class Broken(FileIO):
        def __init__(self, *arguments: object) -> None:
            fail("open")
            super().__init__(*arguments)  # type: ignore[arg-type]

        def write(self, data: bytes) -> int:  # type: ignore[override]
            fail("write")
            return super().write(data)

        def close(self) -> None:
            super().close()
            fail("close")

    def replace(source: str, target: str) -> None:
        fail("replace")
        os.rename(source, target)

    monkeypatch.setattr(bounded_log, "FileIO", Broken)
    monkeypatch.setattr(bounded_log.os, "replace", replace)
    now = [0.0]
    log = BoundedLog(str(tmp_path / "one.log"), maxBytes=1000, backupCount=1, now=lambda: now[0])
    for _ in range(100):
        log.emit(_line("x" * 50))
        now[0] += 1
    log.reopen()
    log.close()
    broken.clear()
    now[0] += 10
    log.emit(_line("whole again"))
    assert (tmp_path / "one.log").read_text().endswith("whole again\n")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * 1100
    assert (lost_lines[log.baseFilename] > 0) == (call != "close")


def test_a_lock_is_held_and_its_holder_known_without_room_for_a_pid(disk: Path) -> None:
    path = disk / "program.lock"
    path.touch()
    with filled(disk):
        lock = take_lock(path)
        assert lock is not None
        assert holder(path) == os.getpid()
        lock.close()
        assert holder(path) is None


def test_the_folder_of_a_socket_does_not_depend_on_room(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = run_folder.RunFolder(Path("/", *["a" * 60] * 3), Path("/logs"))
    monkeypatch.setenv("TMPDIR", str(disk))
    monkeypatch.setattr("tempfile.tempdir", None)  # as in a new process
    before = deep.socket
    monkeypatch.setattr("tempfile.tempdir", None)
    with filled(disk):
        assert deep.socket == before


def test_no_program_and_no_command_leaves_a_core(tmp_path: Path) -> None:
    one = Dummies(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        one.up()
        pids = [one.platform.supervisor_pid() or 0, *(one.pid(name) for name in NAMES)]
        if sys.platform == "linux":
            assert {resource.prlimit(pid, resource.RLIMIT_CORE) for pid in pids} == {(0, 0)}
        told = "import atexit, resource; atexit.register(lambda: print(resource.getrlimit(resource.RLIMIT_CORE)))"
        command = [sys.executable, "-c", f"{told}; from deploy.cli import main; main(['--help'])"]
        done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.endswith("(0, 0)\n")
    finally:
        one.platform.stop(lambda line: None)
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def _other_pid(dummies: Dummies, name: str, before: int) -> Callable[[], bool]:
    return lambda: dummies.looks()[name].pid not in (None, before)


def _fairpixel(dummies: Dummies, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *words],
        cwd=REPO, env=dummies.environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def _line(text: str) -> LogRecord:
    return LogRecord(LevelsByName.INFO, f"{text}\n".encode())
