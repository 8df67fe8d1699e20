"""Become a supervised program: `python -m deploy.supervisor.child RUN_FOLDER NAME [--with-parent] -- COMMAND...`

Before that it makes sure that the program dies with its parent (`--with-parent`), that no other copy works on the
same data, that nothing an earlier copy left behind is in its way, and that one that cannot live does not burn the
processor.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO

from deploy.supervisor.core_dumps import leave_no_core
from deploy.supervisor.leftovers import end, find_leftovers
from deploy.supervisor.run_folder import SUPERVISOR, RunFolder, holder, take_lock
from deploy.supervisor.starts import delay_s, record_start

PR_SET_PDEATHSIG = 1  # linux/prctl.h
LEFTOVER_PATIENCE_S = 3.0
LOCK_WAIT_S = 5.0
NO_DISK_WAIT_S = 5.0  # before the supervisor may try again what failed for want of a disk that can be written


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGTERM when the supervisor dies, however it dies. Linux only; kept across exec.

    Elsewhere the next `fairpixel up` finds and ends what was left.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was asked
            sys.exit("the supervisor is gone")


def take_place(folder: RunFolder, name: str) -> IO[str]:
    """Take the program's lock, ending what an earlier copy left; exits with a message when a living copy keeps it.

    Only the supervisor's own child may end a process that holds the lock: it knows that its predecessor is dead.
    """
    supervised = os.getppid() == holder(folder.lock_file(SUPERVISOR))
    lock = take_lock(folder.lock_file(name))
    if lock is None and not supervised:
        sys.exit(f"{name}: another copy works on {folder.path.parent}; stop it first (fairpixel down)")
    left = [process for _, process in find_leftovers(folder, {name})]
    if left:
        print(f"{name}: ending {len(left)} processes an earlier copy left", file=sys.stderr, flush=True)
        end(left, LEFTOVER_PATIENCE_S)
    deadline = time.monotonic() + LOCK_WAIT_S
    while lock is None and (lock := take_lock(folder.lock_file(name))) is None:
        if time.monotonic() > deadline:
            sys.exit(
                f"{name}: another copy works on {folder.path.parent} and cannot be ended; see fairpixel doctor"
            )
        time.sleep(0.05)
    return lock


def main(arguments: list[str]) -> None:
    """Do all that and become the command; never returns."""
    parent = os.getppid()
    options, command = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    run, name = options[:2]
    folder = RunFolder(Path(run), Path(run).parent / "logs")
    if "--with-parent" in options:
        die_with_parent(parent)
    leave_no_core()
    os.umask(
        0o077
    )  # supervisord sets its own umask only where it becomes a daemon: logs are its owner's alone, too
    try:
        lock = take_place(folder, name)
    except OSError as error:
        time.sleep(NO_DISK_WAIT_S)
        sys.exit(f"{name}: {error.filename or folder.path} cannot be written: {error.strerror}; tried again")
    time.sleep(delay_s(record_start(folder, name, time.time())))
    os.set_inheritable(lock.fileno(), True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
