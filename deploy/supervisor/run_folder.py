"""The folder `run` inside the data folder: who runs on this data, proven by locks that die with their holder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from runtime.errors import UserError

# Bytes; the system allows 103 to 107, and supervisord adds its pid while it makes the socket.
SOCKET_PATH_MAX = 90
SUPERVISOR = "supervisord"
PID_WIDTH = 10  # digits a pid takes in a lock file
MARK = "_FAIRPIXEL_PROGRAM"  # environment variable of every process started here: `<run folder>:<program>`


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run folder; always absolute and without links, so that its text names it alone."""

    path: Path
    logs: Path

    @classmethod
    def of(cls, data: Path) -> RunFolder:
        """The run folder of a data folder; makes nothing."""
        real = data.resolve()
        return cls(real / "run", real / "logs")

    @property
    def config(self) -> Path:
        return self.path / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        return self.path / "supervisord.pid"

    @property
    def socket(self) -> Path:
        """supervisord's control socket: here, or in a private temporary folder where this path is too long."""
        here = self.path / "control.sock"
        if len(os.fsencode(here)) <= SOCKET_PATH_MAX:
            return here
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        # Not tempfile.gettempdir(): that tries to write, and on a full disk names another folder or none.
        return Path(os.environ.get("TMPDIR") or "/tmp") / f"fairpixel-{os.getuid()}-{name}" / "control.sock"

    def lock_file(self, name: str) -> Path:
        """The pid file of one program; whoever holds its lock is that program."""
        return self.path / f"{name}.lock"

    def mark(self, name: str) -> str:
        """What MARK holds in the environment of a program started from here."""
        return f"{self.path}:{name}"

    def create(self) -> None:
        """Make the folders, readable by their owner alone. Raises UserError."""
        try:
            for folder in (self.path.parent, self.path, self.logs):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with suppress(FileExistsError):  # made by us, or by somebody before us: that is looked at next
                os.mkdir(self.socket.parent, mode=0o700)
        except OSError as error:
            raise UserError(
                f"The folder {error.filename} cannot be used: {error.strerror}.",
                "Allow writing there, or set FAIRPIXEL_DATA to a folder that is yours.",
            ) from None
        check_private(self.socket.parent)


def check_private(folder: Path) -> None:
    """Raises UserError where a folder is not ours alone, or is a link: whoever made it first may have others' in mind.

    Of the folder itself, never of what a link leads to. Once it is ours, nobody else can exchange it in a folder such
    as /tmp, whose entries only their owners may remove.
    """
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return  # nothing is there to be fooled by
    except OSError as error:
        raise UserError(
            f"The folder {folder} cannot be looked at: {error.strerror}.",
            "Allow reading there, or set FAIRPIXEL_DATA to a folder that is yours.",
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise UserError(
            f"The folder {folder} is not private to you, so it cannot hold the control socket.",
            "Remove it, or set FAIRPIXEL_DATA to a shorter path.",
        )


def take_lock(path: Path) -> IO[str] | None:
    """Take the lock and write this pid into its file; None when another living process holds it.

    The lock lies on the open file: it passes to a program this process turns into, and ends with it however it ends.
    A disk that takes no pid is no reason not to hold it: `holder` asks the kernel first. Raises OSError where there is
    no file yet and none can be made.
    """
    file = _open(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        raise
    line = f"{os.getpid():>{PID_WIDTH}}\n".encode()
    try:
        # In place and always as long: on a full disk the block that is there can be written again.
        if os.pwrite(file.fileno(), line, 0) != len(line):
            os.ftruncate(file.fileno(), 0)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file.fileno(), 0)  # rather no pid than another one's
    return file


def holder(path: Path) -> int | None:
    """The pid of the living process that holds the lock; None when nobody does."""
    try:
        with path.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return _locker(os.fstat(file.fileno())) or int(file.readline().strip() or 0)
    except (OSError, ValueError):
        return None
    return None


def _open(path: Path) -> IO[str]:
    # Not to append: Linux appends then whatever place a write names.
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return path.open("r")  # a lock needs no writing


def _locker(found: os.stat_result) -> int:
    """The pid the kernel knows as the holder of a lock on this file; 0 where it does not say (other than Linux)."""
    file = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1:2] == ["FLOCK"] and words[3] == "WRITE" and words[5:6] == [file]:
                return int(words[4])
    except (OSError, ValueError):
        return 0
    return 0
