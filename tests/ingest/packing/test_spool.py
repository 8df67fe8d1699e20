"""The spool: what it promises on disk, after a crash, when it is full and when keys age."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ingest.packing import spool, spool_files
from ingest.packing.pack import close_pack
from ingest.packing.reseal import KEY_AGE_MS_MAX, reseal
from ingest.packing.spool import Spool, SpoolLimits
from ingest.packing.spool_files import Record, SpoolFiles, SpoolTaken, adopt_spools, claim_spool
from schemas.avro_codec import PackError
from schemas.drops import DeadReason
from schemas.ring import DAY_MS, Key, Ring
from schemas.seal import open_seal, read_envelope
from tests.ingest.builders import KEY, NOW_MS, open_pack, row
from tests.processes import REPO, await_that


def records(count: int, start: int = 0, size: int = 100) -> list[Record]:
    return [Record(n % 2, NOW_MS + n, b"%06d" % n + bytes(size)) for n in range(start, start + count)]


def drain(files: SpoolFiles, bytes_max: int = 1_000) -> list[Record]:
    found = []
    while some := files.read(bytes_max):
        found += some
        files.release()
    return found


def test_packs_come_out_as_they_went_in_and_in_order(tmp_path: Path) -> None:
    files = SpoolFiles(tmp_path / "edge-1")
    files.append(records(10))
    files.append(records(10, start=10))
    assert (files.pack_count, files.oldest_ms) == (20, NOW_MS)
    assert drain(files) == records(20)
    assert (files.pack_count, files.size_bytes, files.oldest_ms) == (0, 0, 0)


def test_reading_again_gives_the_same_until_it_is_released(tmp_path: Path) -> None:
    files = SpoolFiles(tmp_path / "edge-1")
    files.append(records(5))
    assert files.read(10) == files.read(10) == records(1)
    files.release()
    assert files.read(10) == records(1, start=1)
    assert files.pack_count == 4


def test_packs_written_while_it_empties_are_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_files, "SEGMENT_BYTES_MAX", 700)
    files = SpoolFiles(tmp_path / "edge-1")

    def write() -> None:
        for start in range(0, 300, 3):
            files.append(records(3, start=start))

    writer = threading.Thread(target=write)
    writer.start()
    found: list[Record] = []
    while writer.is_alive() or files.pack_count:
        found += drain(files)
    assert found == records(300)
    assert not list((tmp_path / "edge-1").glob("*.seg"))


def test_the_next_process_finds_what_the_last_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_files, "SEGMENT_BYTES_MAX", 700)
    files = SpoolFiles(tmp_path / "edge-1")
    files.append(records(20))
    files.read(300)
    files.release()
    files.close()
    after = SpoolFiles(tmp_path / "edge-1")
    after.append(records(2, start=20))
    assert drain(after)[-10:] == records(10, start=12)


def test_a_torn_end_costs_only_what_was_never_acknowledged(tmp_path: Path) -> None:
    files = SpoolFiles(tmp_path / "edge-1")
    files.append(records(3))
    files.close()
    (segment,) = (tmp_path / "edge-1").glob("*.seg")
    for cut in (1, 60, 110):
        whole = segment.read_bytes()
        segment.write_bytes(whole[: len(whole) - cut])
        after = SpoolFiles(tmp_path / "edge-1")
        after.append(records(1, start=9))
        found = drain(after)
        assert found == records(2) + records(1, start=9)
        after.close()
        (tmp_path / "edge-1").mkdir()
        segment.write_bytes(whole)


def test_damage_is_set_aside_and_the_rest_comes_out(tmp_path: Path) -> None:
    files = SpoolFiles(tmp_path / "edge-1")
    files.append(records(3))
    files.close()
    (segment,) = (tmp_path / "edge-1").glob("*.seg")
    damaged = bytearray(segment.read_bytes())
    damaged[150] ^= 1
    segment.write_bytes(damaged)
    after = SpoolFiles(tmp_path / "edge-1")
    after.append(records(1, start=7))
    assert drain(after) == records(1) + records(1, start=7)
    assert [path.suffix for path in (tmp_path / "edge-1").glob("*.damaged")] == [".damaged"]


def test_a_disk_that_is_full_is_told_and_what_was_whole_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SpoolFiles(tmp_path / "edge-1")
    files.append(records(2))
    real = spool_files._write_all

    def full(output, data: bytes) -> None:  # type: ignore[no-untyped-def]
        real(output, data[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool_files, "_write_all", full)
    with pytest.raises(OSError, match="No space"):
        files.append(records(2, start=2))
    monkeypatch.setattr(spool_files, "_write_all", real)
    files.append(records(1, start=5))
    assert drain(files) == records(2) + records(1, start=5)


def test_a_live_edge_keeps_its_spool_and_a_dead_one_leaves_it(tmp_path: Path) -> None:
    mine = claim_spool(tmp_path, "edge")
    other = claim_spool(tmp_path, "edge")
    assert (mine.folder.name, other.folder.name) == ("edge-1", "edge-2")
    other.append(records(1))
    assert list(adopt_spools(tmp_path)) == []
    with pytest.raises(SpoolTaken):
        SpoolFiles(other.folder)
    os.close(other._owner)  # as the kernel does when a process dies
    (left,) = adopt_spools(tmp_path)
    assert drain(left) == records(1)
    left.close()
    assert not other.folder.exists()


HOLDER = """
import sys, time
from pathlib import Path
from ingest.packing.spool_files import Record, SpoolFiles
files = SpoolFiles(Path(sys.argv[1]))
n = 0
while True:
    files.append([Record(0, 1, b"%06d" % n)])
    print(n, flush=True)
    n += 1
"""


def test_everything_the_spool_said_is_there_after_kill_9(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "edge-1")], stdout=subprocess.PIPE, cwd=REPO
    )
    assert process.stdout is not None
    payload = [process.stdout.readline() for _ in range(200)]
    process.send_signal(signal.SIGKILL)
    payload += process.stdout.read().splitlines()
    process.wait()
    found = [int(record.message) for record in drain(SpoolFiles(tmp_path / "edge-1"))]
    acknowledged = int(payload[-1])
    assert found[: acknowledged + 1] == list(range(acknowledged + 1))


def test_all_that_wait_share_one_fsync_and_the_bound_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    real = os.fsync

    def counted(descriptor: int) -> None:
        syncs.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", counted)

    async def journey() -> None:
        loop = asyncio.get_running_loop()
        spool = Spool(SpoolFiles(tmp_path / "edge-1"), SpoolLimits(30_000, DAY_MS), loop.call_soon_threadsafe)
        kept: list[bool] = []
        for record in records(200, size=100):
            spool.append(record, kept.append)
        assert not spool.is_full(NOW_MS)
        for record in records(100, size=100):
            spool.append(record, kept.append)
        assert spool.is_full(NOW_MS)
        while len(kept) < 300:
            await asyncio.sleep(0.001)
        assert all(kept)
        assert len(syncs) < 50
        assert spool.is_full(NOW_MS)
        await asyncio.to_thread(spool.close)

    asyncio.run(journey())


def test_a_spool_whose_oldest_pack_is_too_old_takes_no_more(tmp_path: Path) -> None:
    files = SpoolFiles(tmp_path / "edge-1")
    files.append(records(1))
    spool = Spool(files, SpoolLimits(10**9, DAY_MS), lambda function: function())
    assert not spool.is_full(NOW_MS + DAY_MS)
    assert spool.is_full(NOW_MS + DAY_MS + 1)
    drain(files)
    spool.released()
    assert not spool.is_full(NOW_MS + DAY_MS + 1)
    spool.close()


def test_a_failed_write_is_told_to_those_who_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = SpoolFiles(tmp_path / "edge-1")
    spool = Spool(files, SpoolLimits(10**9, DAY_MS), lambda function: function())

    def fails(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "append", fails)
    kept: list[bool] = []
    spool.append(records(1)[0], kept.append)
    await_that(lambda: kept == [False], 3, "the sender hears of it")
    spool.close()


def test_a_full_disk_takes_nothing_until_there_is_room_and_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "PROBE_S", 0.01)
    real, full, tries = spool_files._write_all, [True], [0]

    def write(output, data: bytes) -> None:  # type: ignore[no-untyped-def]
        tries[0] += 1
        if full[0]:
            real(output, data[:50])
            raise OSError(28, "No space left on device")
        real(output, data)

    files = SpoolFiles(tmp_path / "edge-1")
    files.append(records(2))
    monkeypatch.setattr(spool_files, "_write_all", write)
    one = Spool(files, SpoolLimits(10**9, DAY_MS), lambda function: function())
    kept: list[bool] = []
    one.append(records(1, start=2)[0], kept.append)
    await_that(lambda: kept == [False], 3, "the sender hears of it")
    assert one.problem == "No space left on device"
    assert one.is_full(NOW_MS)
    await_that(lambda: tries[0] > 5, 3, "it is tried again and again")
    one.append(records(1, start=3)[0], kept.append)
    await_that(lambda: kept == [False, False], 3, "the next sender hears of it too")
    assert len(list((tmp_path / "edge-1").iterdir())) == 2  # the lock and the segment of before
    full[0] = False
    await_that(lambda: not one.problem, 3, "there is room again, without any traffic")
    assert not one.is_full(NOW_MS)
    one.append(records(1, start=4)[0], kept.append)
    await_that(lambda: kept == [False, False, True], 3, "packs are kept again")
    one.close()
    assert drain(SpoolFiles(tmp_path / "edge-1")) == records(2) + records(1, start=4)


OLD = Key(NOW_MS - 5 * DAY_MS, b"\x07" * 8, b"\x08" * 32)


def test_a_pack_under_an_aged_key_leaves_under_the_newest() -> None:
    message = close_pack("e", 0, [row("a"), row("b")], [], OLD, b"p" * 16, b"n" * 12).message
    ring = Ring.of({key.file_name: key.secret for key in (OLD, KEY)})
    anew = reseal(message, ring, NOW_MS, b"m" * 12)
    before, after = read_envelope(message), read_envelope(anew)
    assert (after.key_id, after.pack_id, after.accepted) == (KEY.key_id, before.pack_id, before.accepted)
    assert open_pack(anew) == open_pack(message, ring)


def test_a_pack_under_a_young_key_or_a_lost_one_leaves_as_it_is() -> None:
    young = close_pack("e", 0, [row()], [], KEY, b"p" * 16, b"n" * 12).message
    assert (
        reseal(young, Ring.of({KEY.file_name: KEY.secret}), NOW_MS + KEY_AGE_MS_MAX - 10_000, b"m" * 12)
        is young
    )
    lost = close_pack("e", 0, [row()], [], OLD, b"p" * 16, b"n" * 12).message
    ring = Ring.of({KEY.file_name: KEY.secret})
    assert reseal(lost, ring, NOW_MS, b"m" * 12) is lost
    with pytest.raises(PackError) as error:  # streams makes a dead letter of it
        open_seal(read_envelope(lost), ring)
    assert error.value.reason is DeadReason.NO_KEY
    assert reseal(b"not a pack", ring, NOW_MS, b"m" * 12) == b"not a pack"
