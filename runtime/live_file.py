"""Seam: files that change while a program runs. What was read well last stays until something better can be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

Value = TypeVar("Value")
# Inode and time of change catch what keeps time and size of the content: a copy put in place with its old times.
Stamp = tuple[tuple[str, int, int, int, int], ...]  # name, inode, ctime ns, mtime ns, size of each file


class ReloadableFile(Generic[Value]):
    """The value that was read from one or more files, and read again as they change. Used by one thread.

    A file that is broken or gone is refused, told once, and the value from before stays in force.
    """

    def __init__(
        self,
        find: Callable[[], Iterable[Path]],
        read: Callable[[], Value],
        refuse: Callable[[Exception], None],
        first: Value | None = None,
    ) -> None:
        """find: the files there are or should be. read: opens and parses them; raises ValueError or OSError.

        refuse: told what is wrong with what cannot be used. first: holds until the first `look`; without it the files
        are read now, and what `read` raises passes through, as there is nothing to stay with.
        """
        self._find = find
        self._read = read
        self._refuse = refuse
        self._told = ""
        self._again = False
        self._stamp: Stamp | None = None
        if first is None:
            self._stamp = stamp_of(find())
            first = read()
        self.value: Value = first

    def look(self) -> bool:
        """Take what changed; whether there is a new value. A few stat calls where nothing changed."""
        try:
            stamp = stamp_of(self._find())
        # A folder that cannot be listed.
        except OSError as error:
            self._again = True
            self._tell(error, False)
            return False
        is_changed = stamp != self._stamp
        if not is_changed and not self._again:
            return False
        # Stamped before it is read: what is written meanwhile shows at the next look.
        self._stamp = stamp
        try:
            value = self._read()
        except (ValueError, OSError) as error:
            # A parser says the same until the file changes; the system may say something else without that.
            self._again = isinstance(error, OSError)
            self._tell(error, is_changed)
            return False
        self._again, self._told = False, ""
        self.value = value
        return True

    def _tell(self, error: Exception, is_changed: bool) -> None:
        about = f"{type(error).__name__} {error}"
        if is_changed or about != self._told:
            self._told = about
            self._refuse(error)


def stamp_of(paths: Iterable[Path]) -> Stamp:
    """What tells whether the content of these files may have changed; a missing file shows by not being listed."""
    found = []
    for path in sorted(paths):
        try:
            state = os.stat(path)
        except OSError:
            continue
        found.append((path.name, state.st_ino, state.st_ctime_ns, state.st_mtime_ns, state.st_size))
    return tuple(found)


def reason_of(error: Exception) -> str:
    """Why a file cannot be used, for people; no byte of what it holds unless its parser says so."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return str(error)
