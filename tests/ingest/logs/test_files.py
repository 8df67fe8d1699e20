"""Log files as they come: packed by anything, in several members, cut short, or no log at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.logs.compressed import Damaged
from ingest.logs.files import open_log
from ingest.logs.generation import Generation, find_rotated
from runtime.errors import UserError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Pack = Callable[[bytes], bytes]
PACKERS: dict[str, Pack] = {
    "gzip": gzip.compress, "zstd": zstd.compress, "xz": partial(lzma.compress, preset=0), "bzip2": bz2.compress,
}  # fmt: skip
LINES = [b"line %d of a log that is longer than its number\n" % number for number in range(10_000)]
TEXT = b"".join(LINES)


def lines_of(path: Path) -> tuple[list[bytes], list[str]]:
    """The lines of a file, and what is said of it."""
    damaged: list[str] = []
    with open_log(path, damaged) as (lines, _):
        return list(lines), damaged


def take_all(generation: Generation) -> Iterator[bytes]:
    """What a follower takes of a generation, until there is no more of it."""
    with suppress(Damaged):
        while chunk := generation.read(100_000):
            generation.advance(len(chunk), chunk.count(b"\n"))
            yield chunk


def write(folder: Path, content: bytes) -> Path:
    path = folder / "access.log.1"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", PACKERS)
def test_a_file_is_read_by_its_first_bytes_through_all_its_members(name: str, tmp_path: Path) -> None:
    pack = PACKERS[name]
    packed = pack(TEXT[:999]) + pack(b"") + pack(TEXT[999:])
    assert lines_of(write(tmp_path, packed)) == (LINES, [])


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("cut", [1, 12, 300])
def test_of_a_file_that_is_cut_short_the_whole_lines_are_kept_and_its_name_is_said(
    name: str, cut: int, tmp_path: Path
) -> None:
    pack = PACKERS[name]
    found, damaged = lines_of(write(tmp_path, pack(LINES[0] + LINES[1]) + pack(TEXT)[:-cut]))
    assert found == [*LINES[:2], *LINES[: len(found) - 2]]
    (sentence,) = damaged
    assert sentence.startswith("access.log.1 cannot be read to its end: ")
    assert name in sentence


@pytest.mark.parametrize("name", PACKERS)
def test_a_follower_takes_what_is_whole_of_a_packed_file_and_then_waits_for_the_rest(
    name: str, tmp_path: Path
) -> None:
    whole = PACKERS[name](LINES[0] + LINES[1]) + PACKERS[name](TEXT)
    path = write(tmp_path, whole[:-12])
    generation = Generation(path, b"s" * 32)
    taken = b"".join(take_all(generation))
    with pytest.raises(Damaged):
        generation.read(100_000)
    assert (LINES[0] + LINES[1] + TEXT).startswith(taken)
    assert taken.startswith(LINES[0] + LINES[1])
    path.write_bytes(whole)
    again = Generation(path, b"s" * 32)
    assert again.matches(generation.fingerprint, generation.fingerprint_bytes)
    assert b"".join(line + b"\n" for line in again.scan(generation.offset)) == taken
    assert taken + b"".join(take_all(again)) == LINES[0] + LINES[1] + TEXT
    generation.close()
    again.close()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04" + bytes(50), "a ZIP archive"),
        (b"\x04\x22\x4d\x18" + bytes(50), "packed by lz4"),
        ("203.0.113.7 - -".encode("utf-16"), "UTF-16"),
        ("203.0.113.7 - -".encode("utf-16-be"), "UTF-16"),
        (gzip.compress("203.0.113.7 - -".encode("utf-16")), "UTF-16"),
    ],
)
def test_what_is_no_log_says_what_it_is(content: bytes, what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=what), open_log(write(tmp_path, content)):
        pass


def test_an_archive_beside_a_log_is_none_of_its_generations(tmp_path: Path) -> None:
    write(tmp_path, LINES[0])
    (tmp_path / "access.log.zip").write_bytes(b"PK\x03\x04" + bytes(50))
    assert find_rotated(tmp_path / "access.log") == [tmp_path / "access.log.1"]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(PACKERS)),
    st.lists(st.binary(max_size=300), max_size=6),
    st.integers(0, 400),
    st.binary(max_size=8),
)
def test_no_damage_does_more_than_end_a_file(
    tmp_path_factory: pytest.TempPathFactory, name: str, parts: list[bytes], at: int, wrong: bytes
) -> None:
    packed = b"".join(map(PACKERS[name], parts))
    path = write(tmp_path_factory.mktemp("damaged"), packed[:at] + wrong + packed[at + len(wrong) :])
    try:
        found, damaged = lines_of(path)
    except UserError:
        return
    whole = b"".join(parts)
    assert damaged or wrong or b"".join(found) == whole or not packed
