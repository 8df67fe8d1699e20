"""Seam: which cross-domain tokens were used, in a folder that all workers of one data folder share.

A used token is a symbolic link that leads nowhere: its name is the token's keyed hash, its target says by which page
and when. The kernel makes name and content at once and only once, so of several workers exactly one is the first, and
a killed one leaves nothing half written. Where it cannot be made, the link names nobody.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from ingest.visitors.crossdomain import Use, is_forgotten
from runtime.logs import get_logger

USED_MAX = 100_000  # in the folder; 100,000 x about 300 bytes = 30 MB. Beyond it links name nobody until some are old
FORGET_S = 60.0  # between two looks for what is old
TELL_MS_MIN = 60_000  # between two lines of the log on the same trouble
_NAME = re.compile(r"[0-9a-f]{32}")

log = get_logger()


class UsedLinks:
    """A `crossdomain.Uses` on disk. About 20 µs a use: nothing is synced, as a killed process loses nothing by that."""

    def __init__(self, folder: Path, used_max: int = USED_MAX) -> None:
        """Call `forget` before the first use."""
        self._folder = folder
        self._used_max = used_max
        # As of the last look, with our own since; the other workers' are known at the next look.
        self._count = 0
        self._told_at = 0
        self._is_ours = True

    def begin(self, token: str, use: Use) -> bool:
        """See crossdomain.Uses."""
        if not self._is_ours:
            return False
        if self._count >= self._used_max:
            self._tell("so many were used within ten minutes", use.at_ms)
            return False
        try:
            os.symlink(f"{use.page}.{use.at_ms}", self._folder / token)
        except FileExistsError:
            return False
        except OSError as error:
            self._tell(error.strerror or type(error).__name__, use.at_ms)
            return False
        self._count += 1
        return True

    def find(self, token: str) -> Use | None:
        """See crossdomain.Uses."""
        try:
            page, _, at_ms = os.readlink(self._folder / token).partition(".")
        except OSError:
            return None
        return Use(page, int(at_ms)) if at_ms.isdecimal() else None

    def forget(self, now_ms: int) -> None:
        """Make the folder where there is none, and remove what is old from it.

        For a thread of its own, as a full folder takes a second; several workers may do it at the same time.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._is_ours = not self._folder.is_symlink()
            if not self._is_ours:  # whoever made it may read and end what is in it
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            names = [name for name in os.listdir(self._folder) if _NAME.fullmatch(name)]
            self._count = sum(not self._end(name, now_ms) for name in names)
        except OSError as error:
            self._tell(error.strerror or type(error).__name__, now_ms)

    def _end(self, name: str, now_ms: int) -> bool:
        """Whether this use is gone, because it was old."""
        use = self.find(name)
        if use is None or not is_forgotten(use, now_ms):
            return False
        (self._folder / name).unlink(missing_ok=True)
        return True

    def _tell(self, reason: str, now_ms: int) -> None:
        if now_ms - self._told_at >= TELL_MS_MIN:
            self._told_at = now_ms
            log.warning(
                "used_links_not_kept", reason=reason, now="links from other domains of a site name nobody"
            )
