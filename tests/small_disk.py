"""A real small disk for a test, and the act of filling it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import LEFT_OUT


@contextmanager
def small_disk(folder: Path, size_mb: int, inode_count: int = 0) -> Iterator[Path]:
    """A file system of this size. Where this user may not mount one the test is left out; in CI it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size_mb}m,mode=0700" + (f",nr_inodes={inode_count}" if inode_count else "")
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "fairpixel-test", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        why = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        why = str(error)
    if why:
        message = f"{LEFT_OUT}file system this user may mount, of a limited size (run as root): {why}"
        if os.environ.get("FAIRPIXEL_CI") == "1":
            pytest.fail(message)
        pytest.skip(message)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte is left on this disk while the block runs."""
    hog = disk / "hog"
    try:
        fill(hog)
        yield
    finally:
        hog.unlink(missing_ok=True)


def fill(hog: Path) -> None:
    """Take all room with one file; in smaller and smaller pieces, as a disk refuses a piece it has not."""
    with hog.open("ab", buffering=0) as file:
        for piece in (64 << 20, 1 << 20, 4096, 1):
            zeros = bytes(piece)
            try:
                while file.write(zeros) == piece:
                    pass
            except OSError:
                continue


def remount(disk: Path, *options: str) -> None:
    """Change how the disk is mounted, such as "ro"."""
    subprocess.run(["mount", "-o", ",".join(("remount", *options)), str(disk)], check=True)
