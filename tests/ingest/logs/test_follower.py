"""Following a log: every line once through rotations, truncations and kills; ids are those of an import."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path

import pytest

from ingest.logs.access_log import CombinedFormat, LineIds
from ingest.logs.follower import FollowDependencies, LogFollow, Rotation
from ingest.logs.importer import ImportFailed, LogImport
from ingest.logs.position import FollowTaken, PositionFile
from tests.ingest.builders import KEY, NOW_MS, open_pack
from tests.ingest.logs.access_logs import LINE, SECRET, FakeOutbox

S = 1_000_000_000


def line(number: int) -> bytes:
    return LINE.replace(b"id=3", b"id=%d" % number) + b"\n"


class Log:
    """A log in a folder, a follower that can be killed, and a Kafka that keeps what it took."""

    def __init__(self, folder: Path, remove: bool = False) -> None:
        self.path = folder / "access.log"
        self.outbox = FakeOutbox()
        self.now_ns = NOW_MS * 1_000_000
        self._state, self._remove = folder / "state" / "position.json", remove
        self.follow = self._start()

    def _start(self) -> LogFollow:
        dependencies = FollowDependencies(
            lambda: LogImport(self.outbox, 2, "demo", KEY, NOW_MS, random.randbytes),
            lambda first, is_all: CombinedFormat("demo", "", NOW_MS),
            SECRET,
            lambda: self.now_ns,
        )
        return LogFollow(self.path, PositionFile(self._state), dependencies, self._remove)

    def write(self, *lines: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(b"".join(lines))

    def run(self) -> None:
        """Turn until nothing is left to do."""
        while self.follow.turn():
            pass

    def kill(self) -> None:
        """The follower is gone, and another starts."""
        self.follow.close()
        self.follow = self._start()

    def ids(self) -> list[str]:
        return [
            one.event_id for message in self.outbox.messages for one in open_pack(message).batch.to_events()
        ]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def imported_ids(*lines: bytes) -> list[str]:
    ids = LineIds(SECRET)
    return [ids.next(one.rstrip(b"\n")) for one in lines]


def test_a_log_that_is_not_there_yet_is_waited_for(log: Log) -> None:
    assert log.follow.turn() == 0
    log.write(line(1))
    log.run()
    assert log.ids() == imported_ids(line(1))


def test_a_line_is_taken_once_it_has_its_end(log: Log) -> None:
    log.write(line(1)[:40])
    log.run()
    assert log.ids() == []
    log.write(line(1)[40:], line(2)[:5])
    log.run()
    assert log.ids() == imported_ids(line(1))


def test_after_a_kill_it_goes_on_behind_the_last_acknowledged_line_with_the_same_ordinals(log: Log) -> None:
    log.write(line(1), line(1))
    log.run()
    log.kill()
    log.write(line(1), line(2))
    log.run()
    assert log.ids() == imported_ids(line(1), line(1), line(1), line(2))


def test_a_kill_between_kafkas_word_and_the_position_repeats_the_same_ids(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write(line(1), line(2))

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(PositionFile, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            log.run()
    log.kill()
    log.run()
    assert log.ids() == imported_ids(line(1), line(2)) * 2


def test_what_kafka_did_not_take_is_sent_again(log: Log) -> None:
    log.write(line(1))
    kafka, log.outbox = log.outbox, FakeOutbox(refuses=lambda _: True)
    with pytest.raises(ImportFailed):
        log.run()
    log.outbox = kafka
    log.follow.start_again()
    log.run()
    assert log.ids() == imported_ids(line(1))


@pytest.mark.parametrize("killed", [False, True])
def test_a_renamed_log_is_read_to_its_end_before_the_new_one(log: Log, killed: bool) -> None:
    log.write(line(1))
    log.run()
    log.write(line(2))
    log.path.rename(log.path.with_name("access.log.1"))
    log.write(line(3))
    if killed:
        log.kill()
    log.run()
    assert log.ids() == imported_ids(line(1), line(2)) + imported_ids(line(3))


def test_several_rotations_during_an_absence_are_all_read_in_order(log: Log) -> None:
    log.write(line(1))
    log.run()
    for number in (2, 3, 4):
        log.write(line(number))
        os.utime(log.path, ns=(number * S, log.path.stat().st_mtime_ns + number * S))
        log.path.rename(log.path.with_name(f"access.log-{9 - number}"))
    log.write(line(5))
    log.kill()
    log.run()
    assert log.ids() == imported_ids(line(1), line(2)) + [
        one for number in (3, 4, 5) for one in imported_ids(line(number))
    ]


def test_a_rotated_log_that_was_compressed_during_an_absence_is_read_on(log: Log) -> None:
    log.write(line(1), line(2))
    log.run()
    packed = log.path.with_name("access.log.1.gz")
    packed.write_bytes(gzip.compress(log.path.read_bytes() + line(3)))
    log.path.unlink()
    log.write(line(4))
    log.kill()
    log.run()
    assert log.ids() == imported_ids(line(1), line(2), line(3)) + imported_ids(line(4))


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("new_lines", [1, 5])
def test_copytruncate_loses_nothing_that_was_copied(log: Log, killed: bool, new_lines: int) -> None:
    log.write(line(1), line(2))
    log.run()
    log.write(line(3))
    log.path.with_name("access.log.1").write_bytes(log.path.read_bytes())
    os.truncate(log.path, 0)
    log.write(*map(line, range(10, 10 + new_lines)))
    if killed:
        log.kill()
    log.run()
    younger = imported_ids(*map(line, range(10, 10 + new_lines)))
    assert sorted(log.ids()) == sorted(imported_ids(line(1), line(2), line(3)) + younger)


def test_a_rotated_file_somebody_still_writes_to_is_not_left(log: Log) -> None:
    with log.path.open("ab", buffering=0) as writer:
        writer.write(line(1))
        log.run()
        log.path.rename(log.path.with_name("access.log.1"))
        log.write(line(3))
        log.run()
        writer.write(line(2))
        log.run()
        assert log.ids() == imported_ids(line(1), line(2))
    log.run()
    assert log.ids() == imported_ids(line(1), line(2)) + imported_ids(line(3))


def test_the_last_line_of_a_rotated_file_needs_no_end(log: Log) -> None:
    log.write(line(1), line(2)[:-1])
    log.run()
    log.path.rename(log.path.with_name("access.log.1"))
    log.run()
    assert log.ids() == imported_ids(line(1), line(2))


def test_a_queue_is_emptied_oldest_first_and_only_the_log_itself_stays(tmp_path: Path) -> None:
    log = Log(tmp_path, remove=True)
    for number in (1, 2):
        log.write(line(number))
        os.utime(log.path, ns=(0, number * S))
        log.path.rename(log.path.with_name(f"access.log.{9 - number}"))
    log.write(line(3))
    log.run()
    assert log.ids() == [one for number in (1, 2, 3) for one in imported_ids(line(number))]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["access.log"]


def test_a_file_of_a_queue_stays_until_kafka_has_all_of_it(tmp_path: Path) -> None:
    log = Log(tmp_path, remove=True)
    log.write(line(1))
    log.path.rename(log.path.with_name("access.log.1"))
    kafka, log.outbox = log.outbox, FakeOutbox(refuses=lambda _: True)
    with pytest.raises(ImportFailed):
        log.run()
    assert log.path.with_name("access.log.1").exists()
    log.outbox = kafka
    log.kill()
    log.run()
    assert log.ids() == imported_ids(line(1))
    assert not log.path.with_name("access.log.1").exists()


def test_a_log_is_rotated_by_size_or_age_and_never_while_it_is_empty(tmp_path: Path) -> None:
    path, told, now = tmp_path / "pixel.log", list[int](), [0]
    rotation = Rotation(path, 1_000, 60, lambda: told.append(now[0]), lambda: now[0])
    path.touch()
    rotation.look(0)
    now[0] = 100 * S
    rotation.look(0)  # old, but nothing was taken of it
    rotation.look(999)
    assert told == []
    now[0] = 161 * S
    rotation.look(999)
    assert told == [161 * S]
    rotation.look(0)  # its writer has not opened it again
    now[0] = 163 * S
    rotation.look(0)
    assert told == [161 * S, 163 * S]
    path.touch()
    rotation.look(0)
    rotation.look(1_000)
    assert told[2:] == [163 * S]
    assert len(list(tmp_path.iterdir())) == 2


def test_no_two_followers_share_a_position_and_nothing_of_the_log_stands_in_it(
    log: Log, tmp_path: Path
) -> None:
    state = tmp_path / "state" / "position.json"
    with pytest.raises(FollowTaken):
        PositionFile(state)
    log.write(line(1))
    log.run()
    assert set(json.loads(state.read_bytes())) == {
        "fingerprint", "fingerprint_bytes", "offset", "mtime_ns", "lines",
    }  # fmt: skip
    assert b"203.0.113" not in state.read_bytes()


def test_a_damaged_position_begins_the_log_again_and_repeats_ids(log: Log, tmp_path: Path) -> None:
    log.write(line(1))
    log.run()
    (tmp_path / "state" / "position.json").write_bytes(b"{")
    log.kill()
    log.run()
    assert log.ids() == imported_ids(line(1)) * 2
