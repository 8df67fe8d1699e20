"""Packs that end the loader, and blocks that ClickHouse does not take: who is blamed, and who is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sinks.loader.block
import sinks.loader.dead_packs
import sinks.loader.examine
import sinks.loader.recovery
import sinks.warehouse.container
from schemas.clean_pack import read_clean_head
from schemas.drops import DeadReason
from sinks.loader.attempts import Attempts
from sinks.loader.loader import Loader
from tests.fakes import Killed
from tests.sinks.loader.stage import Stage, chain_of

PLACES = {
    "judging": [(sinks.loader.block, "read_clean_head")],
    "any reading": [
        (sinks.loader.block, "read_clean_head"),
        (sinks.loader.dead_packs, "read_clean_head"),
        (sinks.loader.recovery, "read_clean_head"),
    ],
    "splicing": [(sinks.loader.block, "splice"), (sinks.loader.examine, "splice")],
}


def break_for(monkeypatch: pytest.MonkeyPatch, poison: bytes, *places: tuple[Any, str]) -> None:
    """From now on the process ends when it handles `poison` there."""
    for module, name in places:
        true: Callable[..., Any] = getattr(module, name)

        def broken(*args: Any, true: Callable[..., Any] = true) -> Any:
            packs = args[-1] if isinstance(args[-1], list) else args
            if poison in packs:
                raise Killed
            return true(*args)

        monkeypatch.setattr(module, name, broken)


def live(stage: Stage, lives: int = 12) -> tuple[Loader, int]:
    """Loaders follow each other until one lives; it, and how many died."""
    for died in range(lives):
        try:
            return stage.run(), died
        except Killed:
            pass
    raise AssertionError("the partition stands still")


@pytest.mark.parametrize("place", ["judging", "splicing"])
def test_a_pack_that_ended_three_loaders_is_put_aside_and_its_neighbours_are_loaded(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packs = chain_of(6)
    break_for(monkeypatch, packs[2], *PLACES[place])
    stage = Stage(*packs, folder=tmp_path)
    loader, died = live(stage)
    assert died == (3 if place == "judging" else 6)
    assert stage.loaded == list(range(6))
    assert [record["answered_dead"][0] for record in stage.warehouse.records] == [
        "",
        "",
        "poisonous",
        "",
        "",
        "",
    ]
    assert stage.warehouse.records[2]["accepted_count"] == [2]
    [dead_letter] = stage.dead_letters.dead_letters
    assert (dead_letter.reason, dead_letter.origin.offset, dead_letter.value) == (
        DeadReason.POISONOUS,
        2,
        packs[2],
    )
    assert loader.tally.packs["dead"] == 1


def test_a_forged_pack_whose_very_head_ends_loaders_is_not_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packs = chain_of(4)
    forged = chain_of(1, rows=3)[0]
    break_for(monkeypatch, forged, *PLACES["any reading"])
    stage = Stage(*packs[:2], forged, *packs[2:], folder=tmp_path)
    _, died = live(stage)
    assert died == 4
    assert stage.loaded == list(range(4))
    assert [dead_letter.reason for dead_letter in stage.dead_letters.dead_letters] == [DeadReason.POISONOUS]


def test_a_pack_that_ends_whoever_looks_for_the_way_back_is_passed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packs = chain_of(4)
    stage = Stage(*packs, folder=tmp_path)
    stage.run()
    stage.warehouse.positions.clear()
    break_for(monkeypatch, packs[1], (sinks.loader.recovery, "read_clean_head"))
    live(stage)
    assert stage.loaded == list(range(4))
    assert stage.dead_letters.dead_letters == []


def test_an_error_nobody_expects_is_counted_like_the_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packs = chain_of(3)

    def read(message: bytes) -> Any:
        if message == packs[1]:
            raise ZeroDivisionError
        return read_clean_head(message)

    monkeypatch.setattr(sinks.loader.block, "read_clean_head", read)
    stage = Stage(*packs, folder=tmp_path)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            stage.run()
    stage.run()
    assert [record["answered_dead"][0] for record in stage.warehouse.records] == ["", "poisonous", ""]


def test_whoever_is_killed_while_clickhouse_or_kafka_is_away_blames_no_pack(tmp_path: Path) -> None:
    stage = Stage(*chain_of(6), folder=tmp_path)
    for fuse in (0, 1, 2, 2, 2, 2, 2, 1, 0):
        stage.effects.fuse = fuse
        stage.warehouse.away = 2
        with pytest.raises(Killed):
            stage.run()
    stage.raw.away = 1_000

    def killed(wait_s: float) -> Any:
        raise Killed

    for _ in range(4):
        stage.effects.fuse = None
        loader = stage.start()
        step = loader._inbox.poll
        polls = iter([step, killed])
        loader._inbox.poll = lambda wait_s, polls=polls: next(polls)(wait_s)  # type: ignore[method-assign, misc]
        with pytest.raises(Killed):
            stage.run(loader)
    stage.raw.away = 0
    stage.run()
    assert stage.loaded == list(range(6))
    assert stage.dead_letters.dead_letters == []
    assert {record["answered_dead"][0] for record in stage.warehouse.records} == {""}


def test_what_is_loaded_is_forgiven(tmp_path: Path) -> None:
    path = tmp_path / "0"

    def end_at(offset: int) -> None:
        with pytest.raises(Killed), Attempts(path, "me").at(offset):
            raise Killed

    for offset in (3, 3, 7):
        end_at(offset)
    attempts = Attempts(path, "me")
    assert [attempts.ended(offset) for offset in (3, 7, 8)] == [2, 1, 0]
    attempts.forget(7)
    assert [Attempts(path, "me").ended(offset) for offset in (3, 7)] == [0, 1]
    assert Attempts(path, "another").ended(7) == 0


def test_a_folder_nobody_may_write_to_stops_no_loader(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    stage = Stage(*chain_of(3), folder=tmp_path / "file")
    stage.run()
    assert stage.loaded == [0, 1, 2]


@pytest.mark.parametrize("code", [0, 241])
def test_a_pack_that_nobody_can_read_and_clickhouse_answers_with_trouble_is_found(code: int) -> None:
    packs = chain_of(5)
    packs[3] = packs[3] + b"more"
    stage = Stage(*packs)
    stage.warehouse.too_heavy = lambda records: (
        code
        if any(record["origin_offset"] == 3 and not record["answered_dead"][0] for record in records)
        else -1
    )
    stage.run()
    assert [record["answered_dead"][0] for record in stage.warehouse.records] == [
        "",
        "",
        "",
        "unreadable",
        "",
    ]


def test_a_pack_that_ends_clickhouse_each_time_is_put_aside() -> None:
    stage = Stage(*chain_of(5))
    stage.warehouse.too_heavy = lambda records: (
        0
        if any(record["origin_offset"] == 3 and not record["answered_dead"][0] for record in records)
        else -1
    )
    stage.run()
    assert stage.loaded == list(range(5))
    assert [dead_letter.reason for dead_letter in stage.dead_letters.dead_letters] == [
        DeadReason.REFUSED_BY_CLICKHOUSE
    ]


def test_a_block_for_which_clickhouse_lacks_memory_is_named_and_loaded_when_there_is_more() -> None:
    stage = Stage(*chain_of(5))
    loader = stage.start()
    stuck: list[str] = []

    def weigh(records: list[dict[str, Any]]) -> int:
        stuck.append(loader.tally.stuck)
        heavy = len(records) > 1 and not any(record["answered_dead"][0] for record in records)
        return 241 if len(stuck) < 40 and heavy else -1

    stage.warehouse.too_heavy = weigh
    stage.run(loader)
    assert "0-5 of partition 0 (fake)" in stuck[-2]
    assert loader.tally.stuck == ""
    assert stage.loaded == list(range(5))
    assert stage.dead_letters.dead_letters == []


def test_while_clickhouse_refuses_everything_no_pack_is_blamed() -> None:
    stage = Stage(*chain_of(5))
    asked = 0

    def weigh(records: list[dict[str, Any]]) -> int:
        nonlocal asked
        asked += 1
        return 202 if asked < 60 else -1

    stage.warehouse.too_heavy = weigh
    stage.run()
    assert stage.loaded == list(range(5))
    assert stage.dead_letters.dead_letters == []


def test_what_is_stored_in_part_keeps_packs_that_only_our_own_decoder_dislikes() -> None:
    packs = chain_of(3)
    packs[1] += b"more"
    stage = Stage(*packs)
    tries = 0

    def weigh(records: list[dict[str, Any]]) -> int:
        nonlocal tries
        tries += 1
        return 241 if tries <= 3 else -1

    stage.warehouse.too_heavy = weigh
    stage.run()
    assert {record["answered_dead"][0] for record in stage.warehouse.records} == {""}
