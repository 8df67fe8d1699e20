"""A broker is not started on a disk that would cost it its memory of all topics."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.embedded.kafka_room import FILES_FREE_MIN, PROBE_FILES, require_room
from runtime.errors import UserError
from tests.small_disk import filled, small_disk


def test_with_room_nothing_is_said_and_nothing_left(tmp_path: Path) -> None:
    require_room(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_bytes_it_is_refused(tmp_path: Path) -> None:
    with small_disk(tmp_path, 300) as disk, filled(disk), pytest.raises(UserError, match="0 MB left"):
        require_room(disk)


def test_without_inodes_it_is_refused(tmp_path: Path) -> None:
    with small_disk(tmp_path, 300, inode_count=FILES_FREE_MIN) as disk:
        with pytest.raises(UserError, match="more files"):
            require_room(disk)
        assert list(disk.iterdir()) == []


def test_what_only_shows_when_files_are_made_is_found_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a quota: the numbers of the disk say that there is room."""
    with small_disk(tmp_path, 300, inode_count=PROBE_FILES) as disk:
        found = os.statvfs("/")
        monkeypatch.setattr("deploy.embedded.kafka_room.os.statvfs", lambda folder: found)
        with pytest.raises(OSError, match="No space left"):
            require_room(disk)
        assert list(disk.iterdir()) == []
