"""supervisord that outlives a full disk: `python -m deploy.supervisor.daemon -n -c CONFIG`.

Everything that is changed in supervisord is changed here: its log files (BoundedLog), its stdout and stderr, the
longest wait before it tries to start a program again, and one more question it answers: how many log lines were lost.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TextIO

from supervisor import loggers, supervisord
from supervisor.options import ServerOptions
from supervisor.process import Subprocess

from deploy.supervisor.bounded_log import BoundedLog, lost_lines

COUNT_MAX = 2**31 - 1  # the largest number XML-RPC carries
# Starts supervisord could not even try (no process, no descriptors) follow each other after 1, 2, 3 ... seconds,
# without end: after an hour of that the next would be minutes away.
BACKOFF_S_MAX = 10


class DroppingText:
    """A text stream that loses what its file does not take: supervisord must not end of a message about its health."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            lost_lines["stderr"] += text.count("\n")
        return len(text)

    def flush(self) -> None:
        """Every write is flushed."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Losses:
    """Answers `fairpixel.lost_log_lines` on the control socket."""

    def lost_log_lines(self) -> dict[str, int]:
        """Return log lines lost since the supervisor began, by program

        @return struct result
        """
        return {
            Path(name).name.removesuffix(".log"): min(count, COUNT_MAX)
            for name, count in lost_lines.items()
            if count
        }


def make_losses(supervisord: Any, **config: Any) -> Losses:
    """What the configuration names as the factory of this interface."""
    del supervisord, config
    return Losses()


def outlive_a_full_disk() -> None:
    """Change supervisord as the module says; to be called once, before it starts."""
    loggers.FileHandler = loggers.RotatingFileHandler = BoundedLog
    # An exception that is caught with a traceback on stderr must stay caught.
    sys.stdout, sys.stderr = DroppingText(sys.stdout), DroppingText(sys.stderr)
    change_state = Subprocess.change_state

    def change_state_bounded(self: Any, new_state: Any, expected: bool = True) -> Any:
        self.backoff = min(self.backoff, BACKOFF_S_MAX - 1)
        return change_state(self, new_state, expected)

    Subprocess.change_state = change_state_bounded
    write_pidfile = ServerOptions.write_pidfile

    def write_pidfile_and_own_it(self: Any) -> None:
        write_pidfile(self)
        # Also the empty one a full disk left: it would say that the end was not orderly.
        self.unlink_pidfile = True

    ServerOptions.write_pidfile = write_pidfile_and_own_it


if __name__ == "__main__":
    outlive_a_full_disk()
    supervisord.main()
