"""The key ring's folder: keys appear whole, in time, for their owner alone, and go when nothing under them is left."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runtime.keyring import keep_ring, read_ring
from schemas.ring import DAY_MS, DAYS_AHEAD, KEY_LIFETIME_DAYS, RingError

NOW_MS = 20_000 * DAY_MS + 5


def test_the_first_keys_are_of_today_and_the_days_ahead(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    ring = keep_ring(folder, NOW_MS)
    assert [key.not_before for key in ring.keys] == [(20_000 + i) * DAY_MS for i in range(DAYS_AHEAD + 1)]
    assert len({key.secret for key in ring.keys} | {key.key_id for key in ring.keys}) == 2 * len(ring.keys)
    assert read_ring(folder) == ring
    assert keep_ring(folder, NOW_MS) == ring


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    keep_ring(folder, NOW_MS)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_keys_under_which_nothing_can_be_read_are_destroyed(tmp_path: Path) -> None:
    old = keep_ring(tmp_path, NOW_MS)
    later = NOW_MS + KEY_LIFETIME_DAYS * DAY_MS
    ring = keep_ring(tmp_path, later)
    assert old.keys[0] not in ring.keys
    assert set(old.keys[1:]) <= set(ring.keys)
    assert {path.name for path in tmp_path.iterdir()} == {key.file_name for key in ring.keys}


def test_half_a_key_is_no_key_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    ring = keep_ring(tmp_path, NOW_MS)
    (tmp_path / f"{ring.keys[0].file_name}.part").write_bytes(b"half")
    assert read_ring(tmp_path) == ring
    (tmp_path / ring.keys[1].file_name).write_bytes(b"short")
    with pytest.raises(RingError, match=f"{ring.keys[1].file_name}: expected 32 bytes, found 5"):
        read_ring(tmp_path)


def test_a_folder_that_is_not_there_holds_no_keys(tmp_path: Path) -> None:
    assert read_ring(tmp_path / "keys").keys == ()
