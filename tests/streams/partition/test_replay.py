"""Dead letters: listed without content, put back when they can be read, stored once however often."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.clean_pack import CleanPack, encode_clean_pack
from schemas.links import Origin
from schemas.topics import CLEAN, DEAD
from streams.partition.replay import find_dead_letters, has_rows_already, why_unreadable
from streams.partition.store import PACK_WINDOW_MS
from tests.broker import make_topics_anew
from tests.clean_heads import head_of_one
from tests.streams.make import RING, page_view, sealed
from tests.streams.memory_log import MemoryLogs
from tests.streams.workers import Workers, now_ms, pages, replay, stored


@pytest.fixture
def workers(kafka: str, tmp_path: Path) -> Iterator[Workers]:
    make_topics_anew(kafka)
    found = Workers(kafka, tmp_path)
    yield found
    found.stop()


@pytest.mark.timeout(180)
def test_a_mended_dead_letter_is_stored_once_however_often_it_is_replayed(
    workers: Workers, tmp_path: Path
) -> None:
    workers.start().await_ready()
    run = f"replay{now_ms()}"
    whole = sealed(pages(run, range(5)), key=workers.key)
    offset = workers.log.bounds(DEAD, 1)[1]
    workers.send_bytes(1, whole[:-1] + bytes([whole[-1] ^ 1]))
    workers.await_decided()
    chosen = ("--partition", "1", "--offset", str(offset))
    listed = replay(workers)
    assert f"1/{offset}" in listed.stdout
    assert "seal_broken" in listed.stdout
    assert run not in listed.stdout
    assert replay(workers, *chosen).returncode == 1  # it would be dead again
    assert "seal_broken" in replay(workers, *chosen).stderr
    mended = tmp_path / "mended"
    mended.write_bytes(whole)
    for _ in range(2):
        assert replay(workers, *chosen, "--file", str(mended)).returncode == 0
    packs = workers.await_decided()
    assert {one: n for one, n in stored(packs).items() if one.startswith(run)} == {
        f"{run}-{i}": 1 for i in range(5)
    }
    assert workers.log.bounds(DEAD, 1)[1] == offset + 1


@pytest.mark.parametrize("arguments", [("--partition", "1"), ("--all", "--partition", "0", "--offset", "1")])
def test_half_a_name_is_refused(workers: Workers, arguments: tuple[str, ...]) -> None:
    refused = replay(workers, *arguments)
    assert refused.returncode == 1
    assert "--partition P --offset O" in refused.stderr


def test_what_can_be_read_by_now_is_told_apart() -> None:
    assert why_unreadable(sealed([page_view()]), RING) is None
    assert why_unreadable(b"junk", RING) == "not_a_pack"


def test_strange_messages_among_the_dead_letters_are_listed_too() -> None:
    logs = MemoryLogs()
    logs.append(DEAD, b"what", [("reason", b"no such reason")])
    [found] = find_dead_letters(logs, 2)
    assert (found.offset, found.dead_letter) == (0, None)


def test_a_pack_stored_longer_ago_than_the_worker_remembers_is_found_in_the_clean_log() -> None:
    logs = MemoryLogs()
    value = sealed([page_view()], pack_id=b"p" * 16)
    head = head_of_one(Origin("raw-1", 0, 0), "w", None, pack_id=(b"p" * 16).hex())
    since = logs.now_ms
    later = since + PACK_WINDOW_MS + 1
    assert not has_rows_already(logs, 0, since, later, value)
    logs.append(CLEAN, b"junk")
    logs.append(CLEAN, encode_clean_pack(CleanPack(head)))
    assert has_rows_already(logs, 0, since, later, value)
    assert not has_rows_already(logs, 0, since, since + 1, value)
