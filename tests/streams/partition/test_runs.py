"""Raw messages that come within a moment are decided as one: one clean pack, and each its own answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.clean_pack import CleanPack, decode_clean_pack
from schemas.drops import DropReason
from schemas.seal import ACCEPTED_MAX, Accepted, seal_pack
from schemas.topics import CLEAN, DEAD, RAW
from streams import decide as decide_module
from streams.partition.attempts import ATTEMPTS_MAX, Attempts
from streams.partition.processor import RunLimits
from tests.streams.make import KEY
from tests.streams.partition.office import Office, pack, settle, work

SHORT = RunLimits(wait_s=0.02)


def clean_packs(office: Office) -> list[CleanPack]:
    return [decode_clean_pack(record.value) for record in office.logs.logs[CLEAN, 0]]


def runs(office: Office) -> list[tuple[int, int]]:
    """The first and the last raw offset of each clean pack."""
    return [(one.head.first, one.head.origin.offset) for one in clean_packs(office)]


def acknowledged(office: Office) -> list[str]:
    return [one for one in office.outbox.effects if one.startswith("ack")]


def decide_all(folder: Path, *values: bytes, limits: RunLimits = SHORT) -> Office:
    """All of them come at once."""

    async def story(office: Office) -> None:
        await office.processor.open()
        for value in values:
            await office.processor.take(office.arrive(value))
        await settle()

    return work(folder, story, limits)


def test_what_comes_within_a_moment_is_one_clean_pack_and_is_acknowledged_when_it_is_kept(
    tmp_path: Path,
) -> None:
    office = decide_all(tmp_path, pack(1), pack(2), pack(3))
    assert office.outbox.effects == [
        f"sent to {CLEAN}",
        f"kept in {CLEAN}",
        *(f"acknowledged {n}" for n in range(3)),
    ]
    [made] = clean_packs(office)
    assert (made.head.first, made.head.origin.offset, made.counts) == (0, 2, (1, 1, 1))
    assert made.columns["event_id"] == ["e1", "e2", "e3"]
    assert [answer.accepted[0].count for answer in made.head.answers] == [1, 1, 1]


def test_a_lone_message_waits_no_longer_than_the_moment(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await office.processor.open()
        await office.processor.take(office.arrive(pack(1)))
        assert office.outbox.effects == []
        await settle()
        assert acknowledged(office) == ["acknowledged 0"]

    work(tmp_path, story, SHORT)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (RunLimits(count_max=2, wait_s=0.02), [(0, 1), (2, 3), (4, 4)]),
        (RunLimits(size_bytes_max=1, wait_s=0.02), [(n, n) for n in range(5)]),
        (RunLimits(spread_ms_max=-1, wait_s=0.02), [(n, n) for n in range(5)]),
        (SHORT, [(0, 4)]),
    ],
    ids=["count", "bytes", "time", "none"],
)
def test_a_run_ends_at_its_limits(tmp_path: Path, limits: RunLimits, expected: list[tuple[int, int]]) -> None:
    office = decide_all(tmp_path, *map(pack, range(5)), limits=limits)
    assert runs(office) == expected
    assert acknowledged(office) == [f"acknowledged {n}" for n in range(5)]


def test_messages_that_do_not_lie_one_behind_the_other_are_not_one_run(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        for number in range(3):
            office.arrive(pack(number))
        office.logs.low[RAW, 0] = 2
        await office.processor.open()
        await office.processor.take(office.message(2))
        for number in (3, 4, 5):
            office.arrive(pack(number))
        for offset in (3, 5):  # the consumer did not bring 4
            await office.processor.take(office.message(offset))
        await settle()

    office = work(tmp_path, story, SHORT)
    assert [n for first, last in runs(office) for n in range(first, last + 1)] == [2, 3, 4, 5]


def test_the_same_event_in_two_packs_of_a_run_is_kept_once_and_counted_where_it_came(tmp_path: Path) -> None:
    [made] = clean_packs(decide_all(tmp_path, pack(1), pack(2), pack(1)))
    assert (made.columns["event_id"], made.counts) == (["e1", "e2"], (1, 1, 0))
    assert [(drop.reason, drop.pack) for drop in made.drops] == [(DropReason.DUPLICATE, 2)]
    assert made.sightings["sighting_pack"] == [2]


def test_the_same_pack_twice_in_a_run_is_one_pack_and_a_repeat(tmp_path: Path) -> None:
    value = pack(1)
    [made] = clean_packs(decide_all(tmp_path, value, pack(2), value))
    assert [answer.repeat for answer in made.head.answers] == [False, False, True]
    assert (made.count, made.drops, made.head.answers[2].accepted) == (2, [], ())


def test_one_that_nobody_can_read_is_a_dead_letter_and_its_neighbours_are_kept(tmp_path: Path) -> None:
    office = decide_all(tmp_path, pack(1), b"junk", pack(2))
    assert office.outbox.effects[:3] == [f"sent to {DEAD}", f"kept in {DEAD}", f"sent to {CLEAN}"]
    [made] = clean_packs(office)
    assert [answer.dead for answer in made.head.answers] == ["", "not_a_pack", ""]
    assert made.counts == (1, 0, 1)
    [dead_letter] = office.logs.logs[DEAD, 0]
    assert dead_letter.value == b"junk"
    assert dict(dead_letter.headers)["offset"] == b"1"


def test_one_that_defeats_a_step_is_dead_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = decide_module.CleanBatch.of_run

    def defeated(batches: object) -> object:
        batch = check(batches)  # type: ignore[arg-type]
        if "e2" in batch.event_id:
            raise ValueError
        return batch

    monkeypatch.setattr(decide_module.CleanBatch, "of_run", staticmethod(defeated))
    office = decide_all(tmp_path, pack(1), pack(2), pack(3))
    assert runs(office) == [(0, 0), (1, 1), (2, 2)]
    assert [one.head.answers[0].dead for one in clean_packs(office)] == ["", "unreadable", ""]


def test_a_run_that_gives_too_much_is_decided_pack_by_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide_module, "TOGETHER_MAX", 2)
    assert runs(decide_all(tmp_path, pack(1), pack(2), pack(3))) == [(0, 0), (1, 1), (2, 2)]


def test_dead_packs_that_count_more_than_a_reader_takes_are_answered_one_by_one(tmp_path: Path) -> None:
    counts = [Accepted(60 * n, "demo", 1) for n in range(ACCEPTED_MAX - 10)]
    whole = [seal_pack(b"", KEY, pack_id=bytes([n]) * 16, nonce=b"n" * 12, accepted=counts) for n in range(2)]
    dead = [value[:-1] + b"x" for value in whole]
    office = decide_all(tmp_path, *dead, limits=RunLimits(size_bytes_max=10_000_000, wait_s=0.02))
    assert runs(office) == [(0, 0), (1, 1)]
    assert all(one.head.answers[0].dead for one in clean_packs(office))


def test_a_pack_that_ends_its_workers_takes_no_neighbour_with_it(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path, SHORT)
    folder = office.dependencies.attempts(0)
    ends: list[int] = []
    for _ in range(ATTEMPTS_MAX + 1):
        attempts = Attempts(folder, "raw-1")
        run = [n for n in range(3) if not attempts.is_alone(n)]
        offset, count = (run[0], len(run)) if len(run) > 1 else (1, 1)
        attempts._mark((offset, count))  # a worker that was killed while it decided these
        attempts.close()
        ends.append(count)
    assert ends == [3, *[1] * ATTEMPTS_MAX]
    attempts = Attempts(folder, "raw-1")
    assert [attempts.ended(n) for n in range(3)] == [0, ATTEMPTS_MAX, 0]
    attempts.close()

    async def story(office: Office) -> None:
        for number in range(3):
            await office.processor.take(office.arrive(pack(number)))
        await settle()

    office = work(tmp_path, story, SHORT)
    assert [answer.dead for one in clean_packs(office) for answer in one.head.answers] == [
        "",
        "poisonous",
        "",
    ]


def test_a_foreign_write_behind_runs_under_way_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await office.processor.open()
        await office.processor.take(office.arrive(pack(0)))
        await settle()
        office.outbox.at_once = False
        for numbers in ((1, 2, 3), (4, 2)):
            for number in numbers:
                await office.processor.take(office.arrive(pack(number)))
            await settle()
        assert len(office.outbox.waiting) == 2
        office.logs.append(CLEAN, office.logs.logs[CLEAN, 0][0].value)  # a late writer's repeat
        office.outbox.deliver()
        office.outbox.deliver()
        office.outbox.at_once = True
        await settle()

    office = work(tmp_path, story, SHORT)
    assert sorted(acknowledged(office)) == [f"acknowledged {n}" for n in range(6)]
    assert office.accepted() == list(range(6))


def test_what_waits_when_the_partition_is_taken_away_is_left_to_its_next_owner(tmp_path: Path) -> None:
    async def story(office: Office) -> None:
        await office.processor.open()
        await office.processor.take(office.arrive(pack(1)))
        await office.processor.close()
        await settle()

    assert work(tmp_path, story, SHORT).outbox.effects == []
