"""A full disk under load: everything acknowledged is kept once, and everything comes back by itself."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.faults.faults import seconds_until_a_hit_is_a_row
from tests.load import Load, check_books
from tests.platform import Platform, await_that
from tests.small_disk import fill, remount, small_disk

DISK_MB = 1_700  # a start wants 1,024 MB free, and the first seconds take a few hundred
FULL_S = 20
EVENTS_PER_SECOND = 200
RECOVERY_S_MAX = 180


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", DISK_MB) as one:
        yield one


@pytest.mark.timeout(600)
@pytest.mark.parametrize("of", ["bytes", "inodes"])
def test_a_disk_that_was_full_under_load_costs_no_event_and_nobody_types_anything(
    of: str, disk: Path, fault_seed: int
) -> None:
    platform = Platform(disk)
    platform.up()
    try:
        before = supervisor_pid(platform)
        with Load(platform, fault_seed, EVENTS_PER_SECOND) as load:
            load.await_answers()
            with full_of(of, disk):
                assert platform.run("status", check=False).returncode == 1
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


@contextmanager
def full_of(what: str, disk: Path) -> Iterator[None]:
    """FULL_S seconds without room, again and again: what a program gives back is gone at once."""
    hog = disk / "hog"
    hog.mkdir()
    deadline = time.monotonic() + FULL_S
    if what == "inodes":
        remount(disk, f"nr_inodes={inodes_in_use(disk)}")
    while time.monotonic() < deadline:
        fill(hog / "file") if what == "bytes" else take_inodes(hog)
        time.sleep(0.1)
    yield
    shutil.rmtree(hog)
    if what == "inodes":
        remount(disk, "nr_inodes=100000")


def inodes_in_use(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_files - found.f_ffree


def take_inodes(hog: Path) -> None:
    """Make empty files until there can be no more."""
    for number in count(len(list(hog.iterdir()))):
        try:
            (hog / str(number)).touch()
        except OSError:
            return
