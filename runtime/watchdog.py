"""What ends a program that stands still: a thread that looks at it, its patience, and the end itself."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from runtime.logs import get_logger

# A thread that looked no more for so long hangs itself: librdkafka does not keep every time limit, and a call to it may
# never return.
UNSEEN_S_MAX = 60.0


@dataclass(slots=True)
class Standstill:
    """How long nothing has moved (pure). The time is the caller's, in seconds.

    Who counts its looks instead of asking a clock forgives a process that was frozen: that one did not stand still.
    """

    limit_s: float
    since_s: float = 0.0

    def is_over(self, now_s: float, moved: bool) -> bool:
        """moved: something did, or nothing had to."""
        if moved:
            self.since_s = now_s
        return now_s - self.since_s >= self.limit_s


class WatchThread:
    """Looks every so often, and gives the program up for the reason that a look returns."""

    def __init__(
        self, look: Callable[[], str], give_up: Callable[[str], None], every_s: float, first_s: float = 0.0
    ) -> None:
        """look: the reason to end the program, or "". every_s: from one look to the next. first_s: until the first."""
        self._look = look
        self._give_up = give_up
        self._every_s = every_s
        self._first_s = first_s
        self._looked_at = time.monotonic()

    @property
    def is_blind(self) -> bool:
        """True when the thread itself hangs: then only a new process sees again."""
        return time.monotonic() - self._looked_at > UNSEEN_S_MAX

    def start(self, stop: threading.Event) -> None:
        """Look from a thread of its own, until `stop` or the end of the process."""
        threading.Thread(target=self.run, name="watchdog", args=(stop,), daemon=True).start()

    def run(self, stop: threading.Event) -> None:
        """Look until `stop`."""
        pause_s = self._first_s
        while not stop.wait(pause_s):
            self._looked_at = time.monotonic()
            reason = self._look()
            if reason and not stop.is_set():
                self._give_up(reason)
            pause_s = max(0.0, self._every_s - (time.monotonic() - self._looked_at))


def end_process(event: str, **fields: object) -> NoReturn:
    """End at once, with a line in the log: nothing unfinished may be acknowledged on the way out."""
    get_logger().error(event, **fields)
    sys.stderr.flush()
    os._exit(1)
