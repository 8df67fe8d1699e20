"""How the worker ends when something is broken: at once, with a line that repeats nothing people sent."""

from __future__ import annotations

import traceback
from pathlib import Path

from runtime import watchdog


class BrokenDependency(Exception):
    """Disk, deduplication store or broker failed: no outcome of a message, but the end of this worker."""


def where(error: BaseException) -> str:
    """The error's kind and the places it passed, without its text, which may repeat what people sent."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(frames))
    return f"{type(error).__name__} at {places}"


def end_process(reason: str) -> None:
    """Broken infrastructure ends the worker at once: nothing unfinished may be acknowledged on the way out."""
    watchdog.end_process("worker_ends", reason=reason, advice="the supervisor starts it again")
