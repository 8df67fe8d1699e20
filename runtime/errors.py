"""The one error a person sees: what happened, where, and what to do about it."""

from __future__ import annotations

import errno

# What a system says of a disk that does not take what it should: full, over its quota, only to be read, broken.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


class UserError(Exception):
    """An expected condition that stops a command; printed without a traceback, exit code 1.

    what: one sentence of what is wrong and where. hint: one sentence of what to do.
    """

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}\n  {hint}")
        self.what = what
        self.hint = hint
