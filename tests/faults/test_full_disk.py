"""A full disk under load: everything acknowledged is kept once, and everything comes back by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.test_faults import seconds_until_a_hit_is_a_row
from tests.load import Load, check_books
from tests.platform import Platform, await_that
from tests.small_disk import fill, small_disk

DISK_MB = 1_700  # a start wants 1,024 MB free, and the first seconds take a few hundred
FULL_S = 20
EVENTS_PER_SECOND = 200
RECOVERY_S_MAX = 180


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", DISK_MB) as one:
        yield one


@pytest.mark.timeout(600)
def test_a_disk_that_was_full_under_load_costs_no_event_and_nobody_types_anything(
    disk: Path, fault_seed: int
) -> None:
    platform = Platform(disk)
    platform.up()
    try:
        before = supervisor_pid(platform)
        with Load(platform, fault_seed, EVENTS_PER_SECOND) as load:
            load.await_answers()
            hog = disk / "hog"
            fill_for(hog, FULL_S)
            hog.unlink()
            freed = time.monotonic()
            await_that(platform.healthy, "every program is well again", RECOVERY_S_MAX, every=0.5)
            print(f"well again {time.monotonic() - freed:.1f} s after there was room")
            seconds_until_a_hit_is_a_row(platform)
            load.run_for(3)
        platform.settle()
        check_books(platform, load.books, prefix=f"{load.seed}-")
        assert supervisor_pid(platform) == before
    finally:
        platform.down()


def supervisor_pid(platform: Platform) -> int | None:
    from deploy.supervisor.look import supervisor_pid as pid
    from deploy.supervisor.run_folder import RunFolder

    return pid(RunFolder.of(platform.data))


def fill_for(hog: Path, seconds: float) -> None:
    """Take all room again and again: what a program gives back is gone at once."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        fill(hog)
        time.sleep(0.1)
