"""Clean packs made to stop the loader: poison, lying sizes and counts, bombs; against the real Kafka and ClickHouse."""

from __future__ import annotations

import pytest

from schemas.dead_letter import DeadLetter
from schemas.drops import DeadReason
from tests.attacks.poisoned_loader import ENDLESS, FATAL, LATE
from tests.attacks.test_neighbours import Platform, envelope, write
from tests.processes import await_that
from tests.sinks.conftest import publish
from tests.sinks.test_program import Stage

POISONED = "tests.attacks.poisoned_loader"


@pytest.fixture
def platform(stage: Stage) -> Platform:
    return Platform(stage)


def letters_by_offset(stage: Stage, count: int) -> list[DeadLetter]:
    await_that(lambda: len(stage.letters()) >= count, 30, "what is bad is put aside")
    return sorted(stage.letters(), key=lambda one: one.origin.offset)


def live(stage: Stage, rows: int, program: str, lives: int = 8) -> int:
    """Loaders follow each other, as the supervisor starts them, until all rows are there; how many ended."""
    for ended in range(lives):
        loader = stage.start(program)
        await_that(
            lambda loader=loader: (  # type: ignore[misc]
                loader.poll() is not None or stage.count("SELECT count() AS n FROM events") >= rows
            ),
            60,
            "the loader ends, or loads everything",
        )
        if loader.poll() is None:
            return ended
    raise AssertionError("the partition stands still")


@pytest.mark.parametrize(("bug", "deaths"), [(FATAL, 3), (ENDLESS, 3), (LATE, 6)])
@pytest.mark.timeout(300)
def test_a_pack_that_ends_or_holds_each_loader_is_put_aside_after_three(
    platform: Platform, bug: bytes, deaths: int
) -> None:
    stage = platform.stage
    platform.work(3)
    pack_id = f"{platform.chain.offset + 1:032x}"
    write(stage.bootstrap, "events.raw.v1", [envelope(pack_id, 1)])
    rows = platform.chain.event_ids.copy()
    poison = platform.chain.pack(1, pack_id=pack_id, columns={"event_id": [bug.decode()]})
    publish(stage.bootstrap, [poison])
    platform.chain.event_ids = rows
    platform.work(3)
    assert live(stage, platform.rows, POISONED) == deaths
    [letter] = letters_by_offset(stage, 1)
    assert (letter.reason, letter.origin.offset, letter.value) == (DeadReason.POISONOUS, 3, poison)
    stage.check(platform.chain)
    assert stage.count("SELECT sum(dead) AS n FROM ledger") == 1
