"""How often a program ended soon after its start: it is started again for ever, but not at once for ever."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.supervisor.run_folder import RunFolder

CALM_S = 15.0  # a program that lived this long has not ended quickly
DELAYS_S = (
    0.0,
    0.0,
    0.5,
    1.0,
    2.0,
    5.0,
)  # waits before a start, by the quick ends just before it; then the last
LOOPING = 3  # quick ends in a row from which a program counts as unhealthy while it is not ready


def record_start(folder: RunFolder, name: str, now: float) -> int:
    """Note a start at `now` (seconds since 1970); returns how many quick ends lie just before it.

    A disk that takes no note may be why the program ends: its starts count as many, so that each waits longest.
    """
    starts = [*_read(folder, name), now][-len(DELAYS_S) - 1 :]
    path = folder.path / f"{name}.starts"
    part = path.with_name(path.name + ".part")  # a failed write must not cost what is known
    try:
        part.write_text("\n".join(map(str, starts)))
        part.replace(path)
    except OSError:
        return len(DELAYS_S)
    return count_quick_ends(starts)


def quick_ends(folder: RunFolder, name: str) -> int:
    """How many quick ends lie just before the last start."""
    return count_quick_ends(_read(folder, name))


def count_quick_ends(starts: Sequence[float]) -> int:
    """Of starts in order: how many, from the last backwards, followed the one before within CALM_S."""
    count = 0
    for earlier, later in zip(reversed(starts[:-1]), reversed(starts), strict=False):
        if not 0 <= later - earlier < CALM_S:
            break
        count += 1
    return count


def delay_s(quick_end_count: int) -> float:
    """How long to wait before the next start."""
    return DELAYS_S[min(quick_end_count, len(DELAYS_S) - 1)]


def _read(folder: RunFolder, name: str) -> list[float]:
    try:
        return [float(line) for line in (folder.path / f"{name}.starts").read_text().split()]
    except (OSError, ValueError):
        return []
