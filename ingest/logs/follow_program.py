"""Follows one log until a signal, waits while Kafka is away, and rotates nginx's log (`fairpixel logs follow`)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from ingest.logs.access_log import LineReader
from ingest.logs.dependencies import Dependencies, collect_rarely, find_format, name_of_format
from ingest.logs.follower import LINES_LOOKED_AT, FollowDependencies, LogFollow, Rotation
from ingest.logs.formats import PIXEL_QUEUE
from ingest.logs.formats.pattern_text import Pattern
from ingest.logs.formats.pixel_queue import PixelQueueFormat
from ingest.logs.importer import Imported, ImportFailed, LogImport
from ingest.logs.position import FollowTaken, PositionFile
from ingest.logs.readings import Reading
from ingest.reloadable import ReloadableConfiguration
from runtime.errors import UserError
from schemas.ring import RingError

LOOK_S = 0.1  # between two looks at a log in which nothing stands
AGAIN_S = 1.0  # after a failure
REFRESH_S = 2.0  # between two looks at configuration and keys
METADATA_S_MAX = 5.0


class Follower:
    """One log followed until SIGTERM or SIGINT."""

    def __init__(
        self,
        dependencies: Dependencies,
        path: Path,
        site: str,
        host: str,
        format: str | Pattern,
        remove_acknowledged: bool,
    ) -> None:
        """Raises UserError where another program follows the same log into the same site."""
        self._path, self._site, self._host, self._format = path, site, host, format
        self._dependencies = dependencies
        self._found = format
        self._reading: Reading | None = None  # of the generation at hand, until something was said of it
        self._tell: Callable[[str], None] = lambda _: None
        self._reloadable = ReloadableConfiguration(dependencies.settings, os.environ)
        self._refreshed_at = time.monotonic()
        self._outbox = dependencies.producer()
        self._bootstrap = dependencies.settings.bootstrap
        self._partitions: int | None = None
        self._rejects = dependencies.rejects()
        self._rotation: Rotation | None = None
        self._stopped = threading.Event()
        name = blake2b(f"{path}\0{site}".encode(), digest_size=8).hexdigest()
        try:
            positions = PositionFile(dependencies.settings.data / "ingest" / "follow" / f"{name}.json")
        except FollowTaken:
            raise UserError(
                f"{path} is followed already.", "One `fairpixel logs follow` a log and site is enough."
            ) from None
        self._follow = LogFollow(
            path,
            positions,
            FollowDependencies(
                self._make_import, self._make_reader, dependencies.secret, on_taken=self._remark
            ),
            remove_acknowledged,
        )

    def rotate(self, pid_file: Path, bytes_max: int, seconds_max: float) -> None:
        """Rotate the log from now on, as nothing else does, and have nginx reopen it."""
        self._rotation = Rotation(
            self._path, bytes_max, seconds_max, lambda: reopen_nginx(pid_file), time.time_ns
        )

    def run(self, tell: Callable[[str], None]) -> Imported:
        """Until a signal; what was taken is acknowledged and its position kept. Raises UserError.

        tell: told in a sentence that it begins, and what it waits for.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopped.set())
        self._tell = tell
        tell(f"Following {self._path}. Ctrl-C stops it.")
        collect_rarely()
        logged = ""
        while not self._stopped.is_set():
            try:
                taken = self._turn()
                logged = ""
            except (ImportFailed, OSError, RingError) as error:
                problem = error.strerror or str(error) if isinstance(error, OSError) else str(error)
                if problem != logged:
                    with suppress(OSError):  # the disk that takes nothing may be that of this message, too
                        tell(f"Waiting: {problem}.")
                logged = problem
                self._follow.start_again()
                self._stopped.wait(AGAIN_S)
            else:
                if not taken:
                    self._stopped.wait(LOOK_S)
        self._follow.close()
        return self._follow.total

    def _turn(self) -> int:
        if time.monotonic() - self._refreshed_at > REFRESH_S:
            self._refreshed_at = time.monotonic()
            self._reloadable.refresh()
        if self._partitions is None:
            self._partitions = self._outbox.fetch_partition_count(METADATA_S_MAX)
            if self._partitions is None:
                raise ImportFailed(f"Kafka does not answer on {self._bootstrap}")
        taken = self._follow.turn()
        if self._rotation is not None:
            self._rotation.look(self._follow.live_offset)
        return taken

    def _make_import(self) -> LogImport:
        now_ms = time.time_ns() // 1_000_000
        assert self._partitions is not None
        return LogImport(
            self._outbox,
            self._partitions,
            self._site,
            self._reloadable.newest_key(now_ms),
            now_ms,
            os.urandom,
            self._rejects,
        )

    def _make_reader(self, first: Sequence[bytes], is_all: bool) -> LineReader | None:
        """A reader for a generation; None while its few lines do not tell the format."""
        now_ms = time.time_ns() // 1_000_000
        if self._format == PIXEL_QUEUE:
            return PixelQueueFormat(lambda key: self._reloadable.sites.find(key), now_ms)
        if not self._format:
            try:
                self._found = find_format(first, self._path.name)
            except UserError:
                if not is_all and len(first) < LINES_LOOKED_AT:
                    return None
                if not self._found:
                    raise
        reader = self._dependencies.build_reader(self._found, self._site, self._host)
        self._reading = Reading(self._path.name, name_of_format(self._found), not self._format, reader)
        return reader

    def _remark(self, result: Imported, first_invalid: Sequence[tuple[int, bytes]]) -> None:
        """Say once a generation that its format does not fit."""
        reading = self._reading
        if reading is None:
            return
        reading.lines += result.lines - result.skipped
        reading.invalid += result.invalid
        reading.first_invalid = first_invalid
        for remark in reading.remarks():
            self._reading = None
            with suppress(OSError):
                self._tell(remark)


def reopen_nginx(pid_file: Path) -> None:
    """Have nginx open its logs anew (SIGUSR1 to its master); nothing where it does not run. Raises UserError."""
    try:
        pid = int(pid_file.read_text("ascii"))
        if Path(f"/proc/{pid}/comm").read_text("ascii").strip() == "nginx":
            os.kill(pid, signal.SIGUSR1)
    except PermissionError:
        raise UserError(
            f"The nginx of {pid_file} takes no signal from this user.",
            "Run the follower as the user of nginx's master, or rotate the log yourself and leave out --nginx-pid.",
        ) from None
    except (OSError, ValueError):
        return
