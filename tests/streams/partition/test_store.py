"""The deduplication store on disk: windows, leases, and what survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rocksdict import Cache

from streams.partition.store import PACK_WINDOW_MS, DeduplicationStore, StoreLimits
from streams.steps.duplicates import Known
from tests.processes import REPO, await_that
from tests.streams.partition.marks import HOUR_MS, LIMITS, NOW, A, B, head, mark


def test_a_key_is_known_within_the_window_of_the_broker_clock(tmp_path: Path) -> None:
    store = DeduplicationStore.open(tmp_path, LIMITS)
    store.remember([(head(A), NOW)], mark())
    assert store.look_up([B, A], NOW + 23 * HOUR_MS) == [None, Known(2, b"f" * 8)]
    assert store.look_up([A], NOW + 24 * HOUR_MS) == [None]
    assert store.look_up([A], NOW - HOUR_MS) == [Known(2, b"f" * 8)]  # decided late, as after an outage
    assert store.look_up([], NOW) == []
    store.close()


def test_a_pack_is_known_unless_it_was_dead(tmp_path: Path) -> None:
    store = DeduplicationStore.open(tmp_path, LIMITS)
    dead = head(pack_id="cd" * 16, dead="no_key")
    store.remember([(head(A), NOW), (dead, NOW)], mark())
    assert store.has_pack("ab" * 16, NOW + PACK_WINDOW_MS - 1)
    assert not store.has_pack("ab" * 16, NOW + PACK_WINDOW_MS)
    assert not store.has_pack("cd" * 16, NOW)
    assert not store.has_pack("", NOW)
    store.close()


def test_all_is_there_after_a_restart(tmp_path: Path) -> None:
    store = DeduplicationStore.open(tmp_path, LIMITS)
    assert store.mark is None
    store.remember([(head(A), NOW)], mark())
    store.close()
    again = DeduplicationStore.open(tmp_path, LIMITS)
    assert again.mark == mark()
    assert again.look_up([A], NOW) == [Known(2, b"f" * 8)]
    again.close()


def test_a_second_worker_gets_a_folder_of_its_own_and_the_furthest_is_kept(tmp_path: Path) -> None:
    frozen = DeduplicationStore.open(tmp_path, LIMITS)
    frozen.remember([(head(A), NOW)], mark(6))
    second = DeduplicationStore.open(tmp_path, LIMITS)
    assert second.mark is None
    second.remember([(head(B), NOW)], mark(9))
    frozen.close()
    second.close()
    third = DeduplicationStore.open(tmp_path, LIMITS)
    assert third.mark == mark(9)
    assert len(list(tmp_path.glob("*.lease"))) == 1
    third.close()


def test_a_damaged_cache_is_thrown_away(tmp_path: Path) -> None:
    store = DeduplicationStore.open(tmp_path, LIMITS)
    store.remember([(head(A), NOW)], mark())
    store.close()
    for file in store.folder.glob("MANIFEST-*"):
        file.write_bytes(b"damaged")
    again = DeduplicationStore.open(tmp_path, LIMITS)
    assert again.mark is None
    again.close()


def test_what_a_killed_worker_wrote_is_kept(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path.insert(0, '.')\n"
        "from pathlib import Path; from streams.partition.store import DeduplicationStore\n"
        "from tests.streams.partition.marks import A, LIMITS, NOW, head, mark\n"
        f"store = DeduplicationStore.open(Path({str(tmp_path)!r}), LIMITS)\n"
        "store.remember([(head(A), NOW)], mark())\n"
        "print('written', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=REPO, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    store = DeduplicationStore.open(tmp_path, LIMITS)
    assert (store.mark, store.look_up([A], NOW)) == (mark(), [Known(2, b"f" * 8)])
    store.close()


def test_expired_entries_leave_the_disk_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.partition.store.StoreLimits.ttl_s", 2)
    store = DeduplicationStore.open(tmp_path, LIMITS)
    for number in range(20):
        keys = [os.urandom(16) for _ in range(1_000)]
        store.remember([(head(*keys), NOW)], mark(number))
    store._db.flush()
    before = int(store._db.property_int_value("rocksdb.estimate-num-keys") or 0)
    assert before > 15_000

    def fewer() -> bool:
        store.remember([(head(os.urandom(16)), NOW)], mark(99))
        store._db.flush()  # each new file may set off the next round
        return int(store._db.property_int_value("rocksdb.estimate-num-keys") or 0) < before // 4

    await_that(fewer, 30, "the expired keys are gone")
    assert store.mark is not None
    store.close()


def test_filters_and_cache_still_serve_after_a_restart(tmp_path: Path) -> None:
    store = DeduplicationStore.open(tmp_path, LIMITS)
    for number in range(10):
        store.remember([(head(*(os.urandom(16) for _ in range(1_000))), NOW)], mark(number))
    store._db.flush()
    store.close()
    limits = StoreLimits(LIMITS.window_ms, LIMITS.buffer_bytes, Cache(4_000_000))
    again = DeduplicationStore.open(tmp_path, limits)
    again.look_up([os.urandom(16) for _ in range(1_000)], NOW)
    # Filters of 10,000 keys are 15 kB; without them a thousand look-ups would have read most of 100 blocks of 4 kB.
    assert 10_000 < limits.cache.get_usage() < 150_000
    again.close()
