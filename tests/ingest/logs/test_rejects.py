"""Lines nobody can read: kept sealed, counted once, whatever is run again and whatever crashed before."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ingest.logs.access_log import CombinedFormat, LineIds
from ingest.logs.importer import Imported, ImportFailed, LogImport
from ingest.logs.rejects import Rejects
from schemas.pack import Refusal
from schemas.ring import Ring
from schemas.seal import read_envelope
from tests.ingest.builders import KEY, NOW_MS, open_pack
from tests.ingest.logs.access_logs import LINE, SECRET, FakeOutbox

MINUTE = NOW_MS // 60_000 * 60
RING = Ring((KEY,), {KEY.key_id: KEY})


def take(lines: list[bytes], folder: Path, outbox: FakeOutbox) -> Imported:
    """One import of a file of these lines, as a program of its own."""
    importing = LogImport(outbox, 2, "demo", KEY, NOW_MS, random.randbytes, Rejects(folder))
    importing.send_pending()
    importing.feed(lines, CombinedFormat("demo", "", NOW_MS), LineIds(SECRET), lambda: None)
    return importing.finish()


def refused(outbox: FakeOutbox) -> int:
    """How many lines the packs count as refused; a pack that came twice counts once, as streams have it."""
    by_id = {read_envelope(message).pack_id: open_pack(message).refusals for message in outbox.messages}
    return sum(one.count for refusals in by_id.values() for one in refusals)


def kept(folder: Path) -> list[bytes]:
    return [line for _, lines in Rejects(folder).lines(RING) for line in lines or ()]


def test_unreadable_lines_are_kept_as_they_came_and_nothing_of_them_is_readable_on_disk(
    tmp_path: Path,
) -> None:
    junk = [b"198.51.100.77 was here", b"\xff\x00 and \x16\x03\x01", b""]
    outbox = FakeOutbox()
    result = take([*junk, LINE], tmp_path, outbox)
    assert (result.lines, result.accepted, result.invalid) == (4, 1, 3)
    assert kept(tmp_path) == junk
    assert refused(outbox) == 3
    assert not any(b"198.51.100.77" in path.read_bytes() for path in tmp_path.iterdir())
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir() if path.name != "lock"} == {0}


def test_importing_again_counts_no_line_again_and_a_new_one_once(tmp_path: Path) -> None:
    outbox = FakeOutbox()
    take([b"junk", b"junk", LINE], tmp_path, outbox)
    again = take([b"junk", b"junk", b"junk", LINE], tmp_path, outbox)
    assert (again.invalid, again.invalid_again) == (3, 2)
    assert refused(outbox) == 3
    assert kept(tmp_path) == [b"junk"] * 3


def test_a_count_kafka_did_not_take_is_sent_by_the_next_run_under_the_same_id(tmp_path: Path) -> None:
    lost, outbox = FakeOutbox(refuses=lambda _: True), FakeOutbox()
    with pytest.raises(ImportFailed):
        take([b"junk"], tmp_path, lost)
    again = take([b"junk"], tmp_path, outbox)
    assert (again.invalid, again.invalid_again) == (1, 1)
    assert [open_pack(message).refusals for message in outbox.messages] == [
        (Refusal(MINUTE, "demo", "invalid", 1),)
    ]
    outbox.messages += lost.messages  # it may have arrived all the same
    assert refused(outbox) == 1
    assert Rejects(tmp_path).pending() == []


def test_two_programs_that_meet_the_same_line_count_it_once(tmp_path: Path) -> None:
    first, second = Rejects(tmp_path), Rejects(tmp_path)
    assert first.keep("demo", MINUTE, [("id", b"junk")], KEY, b"1" * 16, b"n" * 12) is not None
    assert second.keep("demo", MINUTE, [("id", b"junk")], KEY, b"2" * 16, b"n" * 12) is None


def test_a_program_knows_what_it_kept_itself(tmp_path: Path) -> None:
    rejects = Rejects(tmp_path)
    rejects.keep("demo", MINUTE, [("id", b"junk")], KEY, b"1" * 16, b"n" * 12)
    assert rejects.knows("id")
    assert rejects.keep("demo", MINUTE, [("id", b"junk")], KEY, b"2" * 16, b"n" * 12) is None


def test_lines_whose_key_is_gone_are_named_and_still_not_counted_again(tmp_path: Path) -> None:
    take([b"junk"], tmp_path, FakeOutbox())
    ((batch, lines),) = Rejects(tmp_path).lines(Ring.of({}))
    assert (batch.site, batch.count, lines) == ("demo", 1, None)
    assert take([b"junk"], tmp_path, FakeOutbox()).invalid_again == 1


def test_many_unreadable_lines_are_kept_in_several_files(tmp_path: Path) -> None:
    outbox = FakeOutbox()
    take([b"junk %d" % number for number in range(2_500)], tmp_path, outbox)
    assert refused(outbox) == len(kept(tmp_path)) == 2_500
    assert len(list(tmp_path.glob("*.kept"))) == 3
