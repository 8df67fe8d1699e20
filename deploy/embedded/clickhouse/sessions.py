"""What SET said in a session, for as long as the session lives: named by its client, bounded in number, time and size.

A session holds settings and a database, no tables. Readers have one name space and the writer another; whoever
reads without a password may join any reader's session whose name it knows, as with one user of a ClickHouse server.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.request import Options

COUNT_MAX = 1000  # of readers, and as many of the writer
CHARS_MAX = 16 << 10  # names and values that one session holds
TIMEOUT_S = 60  # as in ClickHouse, unless the request says otherwise
TIMEOUT_S_MAX = 3600
NAME_CHARS_MAX = 200


@dataclass(eq=False, slots=True)
class Session:
    """Settings in the order they were set, and the database of a USE."""

    deadline: float
    settings: dict[str, str] = field(default_factory=dict)
    database: str = ""
    is_kept: bool = True

    @property
    def is_empty(self) -> bool:
        return not self.settings and not self.database


class Sessions:
    """All sessions that are alive."""

    def __init__(self, count_max: int = COUNT_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        self._count_max = count_max
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[bool, dict[str, Session]] = {True: {}, False: {}}

    def join(self, options: Options, *, is_reader: bool) -> tuple[Options, Session | None]:
        """The options with what their session holds below what they say themselves; None when they name no session.

        Raises ClickHouseError: 372 when session_check=1 and there is none, 374 for a timeout out of bounds, 36 for a
        name that is too long.
        """
        asked = options.session
        if asked is None:
            return options, None
        if len(asked.name) > NAME_CHARS_MAX:
            raise ClickHouseError(
                36, "BAD_ARGUMENTS", f"session_id is longer than {NAME_CHARS_MAX} characters"
            )
        seconds = _timeout(asked.timeout)
        with self._lock:
            now = self._clock()
            known = self._sessions[is_reader]
            session = known.pop(asked.name, None)
            if session is not None and session.deadline < now:
                session = None
            if session is None and asked.must_exist:
                raise ClickHouseError(372, "SESSION_NOT_FOUND", "session_check=1: there is no such session")
            session = session or Session(now)
            session.deadline = now + seconds
            if asked.ends:
                session.is_kept = False
            else:
                session.is_kept = self._make_room(known, now) or not session.is_empty
            if session.is_kept:
                known[asked.name] = session  # at the end: the order is that of the last use
            settings = {**session.settings, **options.settings}
            database = options.database or session.database
        return replace(options, settings=settings, database=database), session

    def _make_room(self, known: dict[str, Session], now: float) -> bool:
        """Forget what is over, and then one that holds nothing; False when all of them hold something."""
        if len(known) < self._count_max:
            return True
        for name in [name for name, one in known.items() if one.deadline < now]:
            del known[name]
        if len(known) >= self._count_max:
            idle = next((name for name, one in known.items() if one.is_empty), None)
            if idle is None:
                return False
            known.pop(idle).is_kept = False
        return True

    def check_room(self, session: Session, changes: Iterable[tuple[str, str | None]]) -> None:
        """Raise ClickHouseError when `remember` could not keep `changes`: before they are answered with 200."""
        with self._lock:
            if not session.is_kept:
                raise ClickHouseError(
                    202,
                    "TOO_MANY_SIMULTANEOUS_QUERIES",
                    f"The session cannot hold settings: it ends with this request, or {self._count_max} sessions hold "
                    "some already",
                )
            after = _changed(session.settings, changes)
            if sum(len(name) + len(value) for name, value in after.items()) > CHARS_MAX:
                raise ClickHouseError(
                    36,
                    "BAD_ARGUMENTS",
                    f"The session would hold more than {CHARS_MAX} characters of settings",
                )

    def remember(self, session: Session, changes: Iterable[tuple[str, str | None]]) -> None:
        """Keep what a SET that has run said; None takes a setting back."""
        with self._lock:
            session.settings = _changed(session.settings, changes)

    def use(self, session: Session, database: str) -> None:
        """Keep the database of a USE that has run."""
        with self._lock:
            session.database = database


def _changed(settings: dict[str, str], changes: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    after = dict(settings)
    for name, value in changes:
        after.pop(name, None)
        if value is not None:
            after[name] = value
    return after


def _timeout(text: str) -> int:
    if not text:
        return TIMEOUT_S
    if not text.isdecimal() or not text.isascii() or len(text) > 9 or not 0 < int(text) <= TIMEOUT_S_MAX:
        raise ClickHouseError(
            374,
            "INVALID_SESSION_TIMEOUT",
            f"session_timeout is a number of seconds from 1 to {TIMEOUT_S_MAX}",
        )
    return int(text)
