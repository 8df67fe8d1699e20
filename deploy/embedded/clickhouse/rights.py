"""Who asks, and where their names are looked up: what one text may do depends on both."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rights:
    """`reader` may only read, and of `system` only what allowed.py lists; `database` completes names without one."""

    reader: bool
    database: str = "default"


WRITER = Rights(reader=False)
READER = Rights(reader=True)
