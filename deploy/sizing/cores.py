"""Seam: how many cores this process may use, by its affinity and by the limits of its cgroups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def find_cores(mount: Path = CGROUPS, own: Path = OWN_CGROUPS) -> int:
    """Whole cores, at least 1: what the kernel lets this process run on, or fewer where a cgroup gives less time."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        allowed = os.cpu_count() or 1
    return max(1, int(min([allowed, *_limits(mount, own)])))


def cgroup_paths(text: str) -> list[tuple[str, PurePosixPath]]:
    """(controllers, path) of each line of /proc/self/cgroup; the second version has no controllers there."""
    lines = (line.split(":", 2) for line in text.splitlines())
    return [(parts[1], PurePosixPath(parts[2])) for parts in lines if len(parts) == 3]


def quota(limit: str, period: str) -> float | None:
    """Cores of a time limit and its period, both in µs; None: no limit."""
    try:
        time, every = int(limit), int(period)
    except ValueError:  # "max"
        return None
    return time / every if time > 0 and every > 0 else None


def _limits(mount: Path, own: Path) -> Iterator[float]:
    """Cores of each limit that holds for this process: its own cgroup's, and those of the ones around it."""
    for controllers, path in cgroup_paths(_text(own)):
        if controllers and "cpu" not in controllers.split(","):
            continue
        for part in (path, *path.parents):
            here = str(part).lstrip("/")
            if controllers:
                folder = mount / "cpu" / here
                found = quota(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))
            else:
                limit, _, period = _text(mount / here / "cpu.max").partition(" ")
                found = quota(limit, period)
            if found is not None:
                yield found


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
