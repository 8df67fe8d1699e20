"""A file that changes: good content is taken, broken content is told once, and the value from before stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from runtime.live_file import ReloadableFile, reason_of


class Reader:
    """A file with a whole number in it, read again as it changes; counts readings and keeps refusals."""

    def __init__(self, path: Path, first: int | None = None) -> None:
        self.path = path
        self.readings = 0
        self.refusals: list[str] = []
        self.file = ReloadableFile(lambda: [path], self.read, self.refuse, first)

    def read(self) -> int:
        self.readings += 1
        return int(self.path.read_text("utf-8"))

    def refuse(self, error: Exception) -> None:
        self.refusals.append(type(error).__name__)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "number"
    path.write_text("1")
    return path


def write(path: Path, text: str) -> None:
    """New content in the same file, under a new time."""
    path.write_text(text)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))


def test_a_file_that_did_not_change_is_read_once(path: Path) -> None:
    reader = Reader(path)
    assert [reader.file.look() for _ in range(3)] == [False] * 3
    assert (reader.file.value, reader.readings) == (1, 1)


def test_a_changed_file_is_taken(path: Path) -> None:
    reader = Reader(path)
    write(path, "2")
    assert reader.file.look()
    assert not reader.file.look()
    assert (reader.file.value, reader.refusals) == (2, [])


def test_a_broken_file_is_told_once_and_the_value_from_before_stays(path: Path) -> None:
    reader = Reader(path)
    write(path, "two")
    assert [reader.file.look() for _ in range(3)] == [False] * 3
    assert (reader.file.value, reader.refusals, reader.readings) == (1, ["ValueError"], 2)
    write(path, "three")
    reader.file.look()
    assert reader.refusals == ["ValueError"] * 2
    write(path, "4")
    assert reader.file.look()
    assert reader.file.value == 4


def test_bytes_that_are_no_text_are_a_broken_file(path: Path) -> None:
    reader = Reader(path)
    path.write_bytes(b"12\xff")
    assert not reader.file.look()
    assert (reader.file.value, reader.refusals) == (1, ["UnicodeDecodeError"])


def test_a_file_that_is_gone_is_told_once_and_taken_when_it_is_back(path: Path) -> None:
    reader = Reader(path)
    aside = path.with_name("aside")
    path.rename(aside)
    assert [reader.file.look() for _ in range(3)] == [False] * 3
    assert (reader.file.value, reader.refusals) == (1, ["FileNotFoundError"])
    aside.rename(path)
    assert reader.file.look()
    assert (reader.file.value, reader.refusals) == (1, ["FileNotFoundError"])


def test_what_the_system_refused_is_tried_again_though_the_file_stays_as_it_is(path: Path) -> None:
    failures: list[OSError] = []
    refusals: list[Exception] = []

    def read() -> int:
        if failures:
            raise failures[0]
        return int(path.read_text("utf-8"))

    file = ReloadableFile(lambda: [path], read, refusals.append)
    write(path, "2")
    failures.append(OSError(24, "Too many open files"))
    assert [file.look() for _ in range(3)] == [False] * 3
    assert (file.value, refusals) == (1, failures)
    failures.clear()
    assert file.look()
    assert file.value == 2


@pytest.mark.parametrize("text", ["2", "22"])
def test_a_file_put_in_place_whole_is_taken_even_under_the_old_time_and_size(path: Path, text: str) -> None:
    reader = Reader(path)
    times = path.stat()
    part = path.with_name("part")
    part.write_text(text)
    os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
    part.replace(path)
    assert path.stat().st_mtime_ns == times.st_mtime_ns
    assert reader.file.look()
    assert reader.file.value == int(text)


def test_content_written_over_is_taken_under_the_same_time_and_size(path: Path) -> None:
    reader = Reader(path)
    before = path.stat()
    # The clock of file systems goes in steps of some milliseconds.
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_text("2")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        time.sleep(0.001)
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)
    assert reader.file.look()
    assert reader.file.value == 2


def test_without_a_first_good_reading_there_is_no_value(path: Path) -> None:
    path.write_text("one")
    with pytest.raises(ValueError, match="one"):
        Reader(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        Reader(path)


def test_a_value_to_begin_with_holds_until_the_file_can_be_read(path: Path) -> None:
    path.unlink()
    reader = Reader(path, first=7)
    reader.file.look()
    assert (reader.file.value, reader.refusals) == (7, ["FileNotFoundError"])
    path.write_text("8")
    assert reader.file.look()
    assert reader.file.value == 8


def test_several_files_are_one_value(tmp_path: Path) -> None:
    def find() -> list[Path]:
        return list(tmp_path.glob("*.n"))

    file = ReloadableFile(find, lambda: sum(int(one.read_text()) for one in find()), pytest.fail)
    assert file.value == 0
    for name in ("a.n", "b.n"):
        (tmp_path / name).write_text("3")
    assert file.look()
    assert file.value == 6
    (tmp_path / "a.n").unlink()
    assert file.look()
    assert file.value == 3


def test_a_folder_that_cannot_be_listed_is_told_once(path: Path) -> None:
    failures: list[OSError] = []
    refusals: list[Exception] = []

    def find() -> list[Path]:
        if failures:
            raise failures[0]
        return [path]

    file = ReloadableFile(find, lambda: int(path.read_text("utf-8")), refusals.append)
    failures.append(OSError(24, "Too many open files"))
    write(path, "2")
    assert [file.look() for _ in range(3)] == [False] * 3
    assert (file.value, refusals) == (1, failures)
    failures.clear()
    assert file.look()
    assert file.value == 2


def test_a_reason_names_the_file_and_no_content(path: Path) -> None:
    path.write_bytes(b"secret\xff")
    with pytest.raises(UnicodeDecodeError) as broken:
        path.read_text("utf-8")
    assert reason_of(broken.value) == "not UTF-8 at byte 6"
    with pytest.raises(FileNotFoundError) as gone:
        path.with_name("gone").read_text("utf-8")
    assert reason_of(gone.value) == f"{path.with_name('gone')}: No such file or directory"
    assert reason_of(OSError(24, "Too many open files")) == "[Errno 24] Too many open files"
    assert reason_of(ValueError("line 2: what")) == "line 2: what"
