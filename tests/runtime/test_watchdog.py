"""A program that stands still is given up, one that moves is not, and a thread that hangs is noticed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from runtime.watchdog import UNSEEN_S_MAX, Standstill, WatchThread
from tests.processes import REPO, await_that


def test_nothing_may_stand_still_for_so_long() -> None:
    standstill = Standstill(10, since_s=3)
    assert not standstill.is_over(12.9, moved=False)
    assert standstill.is_over(13, moved=False)
    assert not standstill.is_over(14, moved=True)
    assert not standstill.is_over(23.9, moved=False)
    assert standstill.is_over(24, moved=False)


def test_a_program_is_given_up_for_the_reason_of_a_look() -> None:
    stop, reasons = threading.Event(), iter(["", "", "it stands still"])
    given_up: list[str] = []

    def give_up(reason: str) -> None:
        given_up.append(reason)
        stop.set()

    WatchThread(lambda: next(reasons), give_up, 0.001).start(stop)
    await_that(lambda: given_up, 10, "it is given up")
    assert given_up == ["it stands still"]


def test_a_program_that_stops_is_not_given_up_any_more() -> None:
    stop = threading.Event()
    given_up: list[str] = []

    def look() -> str:
        stop.set()
        return "it stands still"

    WatchThread(look, given_up.append, 0.001).run(stop)
    assert given_up == []


def test_looks_begin_when_they_should_and_come_at_even_distances() -> None:
    pauses: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            return len(pauses) > 3

    WatchThread(lambda: time.sleep(0.02) or "", pytest.fail, 0.5, first_s=7.0).run(Stop())  # type: ignore[func-returns-value]
    assert pauses[0] == 7.0
    assert all(0 <= pause <= 0.48 for pause in pauses[1:])


def test_a_thread_that_hangs_in_a_look_is_blind(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, forever = threading.Event(), threading.Event()

    def look() -> str:
        hanging.set()
        forever.wait()
        return ""

    watching = WatchThread(look, pytest.fail, 0.001)
    watching.start(threading.Event())
    assert hanging.wait(10)
    assert not watching.is_blind
    later = time.monotonic() + UNSEEN_S_MAX + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert watching.is_blind
    forever.set()


def test_the_end_is_at_once_and_has_a_line_in_the_log() -> None:
    code = (
        "import atexit; from runtime.logs import configure_logs; from runtime.watchdog import end_process\n"
        "atexit.register(print, 'on the way out'); configure_logs('test')\n"
        "end_process('program_ends', reason='it stands still')"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert '"event": "program_ends"' in ended.stderr
    assert '"reason": "it stands still"' in ended.stderr
