"""The loader against fakes: the order of its effects, and every accepted pack once wherever it dies."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.clean_pack import read_clean_head
from schemas.drops import DeadReason
from schemas.links import accept
from sinks.loader.block import BlockLimits, Checkpoint
from tests.fakes import Killed
from tests.sinks.loader.stage import Stage, chain_of
from tests.sinks.packs import NOW_MS, Chain


def test_the_intent_stands_before_the_insert_and_the_end_is_committed_after_it() -> None:
    stage = Stage(*chain_of(3))
    stage.run()
    assert stage.effects.names() == ["commit", "position", "insert", "commit"]
    intent, _, insert, end = stage.effects.done
    assert json.loads(intent[3])["end"] == 3
    assert insert[2] == "clean-1/0/0-3"
    assert (end[2], json.loads(end[3])["end"]) == (3, None)
    assert stage.loaded == [0, 1, 2]


def test_the_commit_of_the_next_intent_ends_the_block_before() -> None:
    stage = Stage(*chain_of(20))
    stage.run()
    assert stage.effects.names() == ["commit", "position", "insert"] * (
        stage.effects.names().count("insert")
    ) + ["commit"]
    assert stage.loaded == list(range(20))


def test_after_a_kill_between_insert_and_commit_the_same_block_comes_again_and_changes_nothing() -> None:
    stage = Stage(*chain_of(3))
    stage.effects.fuse = 3  # commit, position, insert, and no more
    with pytest.raises(Killed):
        stage.run()
    stage.log.messages[0] += chain_of(9)[3:]  # more has come: it must not slip into the repeated block
    stage.effects.fuse = None
    loader = stage.run()
    assert [effect[2] for effect in stage.effects.done if effect[0] == "insert"][:2] == ["clean-1/0/0-3"] * 2
    assert stage.loaded == list(range(9))
    assert loader.tally.blocks["repeated"] == 1


def test_a_lost_note_is_found_in_positions() -> None:
    stage = Stage(*chain_of(3))
    stage.effects.fuse = 3
    with pytest.raises(Killed):
        stage.run()
    stage.effects.fuse = None
    stage.log.committed.clear()
    stage.log.messages[0] += chain_of(9)[3:]
    stage.run()
    assert stage.loaded == list(range(9))


def test_a_refused_commit_drops_the_block() -> None:
    stage = Stage()
    first = stage.start()
    stage.start()  # takes everything over
    stage.log.messages[0] += chain_of(3)
    stage.run(first)
    assert stage.effects.done == []
    assert first.tally.blocks["left"] == 1


def test_a_loader_that_slept_through_a_takeover_does_no_harm() -> None:
    stage = Stage(*chain_of(3))
    asleep = stage.start()
    insert = stage.warehouse.insert
    stage.warehouse.insert = lambda *args, **more: (_ for _ in ()).throw(Killed)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        asleep.step()  # frozen between intent and insert
    stage.warehouse.insert = insert  # type: ignore[method-assign]
    stage.log.messages[0] += chain_of(9)[3:]
    stage.run()
    asleep._partitions[0]._insert()  # wakes up and goes on where it was
    stage.run(asleep)
    assert stage.loaded == list(range(9))


def test_repeats_late_writers_and_what_follows_a_gap_are_left_out() -> None:
    chain, late = Chain(), Chain(writer="late")
    packs = [chain.pack(1), chain.pack(1)]
    late.offset, late.last = 1, read_clean_head(packs[0]).this
    packs += [late.pack(1), packs[0], late.pack(1), chain.pack(1)]
    stage = Stage(*packs)
    loader = stage.run()
    assert stage.loaded == [0, 1, 2]
    assert loader.tally.packs["ignored"] == 3


def test_packs_that_are_not_accepted_move_the_offset_and_insert_nothing() -> None:
    chain = Chain()
    packs = [chain.pack(1), chain.pack(1)]
    stage = Stage(packs[0])
    loader = stage.run()
    stage.effects.done.clear()
    stage.log.messages[0] += [packs[0], packs[0]]
    stage.run(loader)
    assert stage.effects.names() == ["commit"]
    assert stage.log.committed[0][0] == 3
    assert stage.checkpoint.last == read_clean_head(packs[0]).this
    stage.log.messages[0].append(packs[1])
    stage.run()  # a new process: what was accepted last is known from the checkpoint
    assert stage.loaded == [0, 1]


def test_a_topic_made_anew_is_read_from_its_beginning() -> None:
    stage = Stage(*chain_of(3))
    stage.run()
    stage.log.topic_id = "clean-2"
    other = Chain(topic_id="raw-2")
    stage.raw.id = "raw-2"
    stage.log.messages[0] = [other.pack(1)]
    stage.run()
    assert [record["origin_topic_id"] for record in stage.warehouse.records] == ["raw-topic"] * 3 + ["raw-2"]


def test_a_log_whose_beginning_is_gone_is_read_from_what_is_left() -> None:
    stage = Stage(*chain_of(8))
    stage.log.first[0] = 5
    stage.run()
    assert stage.loaded == [5, 6, 7]


def test_bytes_that_are_no_pack_become_one_dead_letter_and_the_neighbours_are_stored() -> None:
    packs = chain_of(3)
    stage = Stage(packs[0], b"no pack at all", packs[1], packs[1][:10] + b"\xff" * 30, packs[2])
    stage.run()
    stage.run()
    assert stage.loaded == [0, 1, 2]
    assert [
        (dead_letter.origin.offset, dead_letter.reason) for dead_letter in stage.dead_letters.dead_letters
    ] == [
        (1, DeadReason.NOT_A_PACK),
        (3, DeadReason.UNREADABLE),
    ]


def test_a_pack_that_clickhouse_refuses_becomes_a_dead_letter_and_is_counted_as_dead() -> None:
    stage = Stage(*chain_of(3))
    stage.warehouse.unreadable = lambda record: (
        record["origin_offset"] == 1 and not record["answered_dead"][0]
    )
    stage.effects.fuse = 4  # commit, position, letter, position, and no insert
    with pytest.raises(Killed):
        stage.run()
    stage.effects.fuse = None
    stage.run()
    assert len(stage.dead_letters.dead_letters) == 1
    assert [(record["answered_dead"][0], record["count"]) for record in stage.warehouse.records] == [
        ("", 2),
        ("refused_by_clickhouse", 0),
        ("", 2),
    ]
    assert stage.warehouse.records[1]["accepted_count"] == [2]


@pytest.mark.parametrize("stores", [True, False])
def test_while_clickhouse_is_away_the_block_waits_and_is_stored_once(stores: bool) -> None:
    stage = Stage(*chain_of(3))
    stage.warehouse.away, stage.warehouse.stores_when_away = 40, stores
    loader = stage.run()
    assert stage.loaded == [0, 1, 2]
    assert loader.tally.problem == ""
    intents = [
        effect for effect in stage.effects.done if effect[0] == "commit" and json.loads(effect[3])["end"]
    ]
    assert len(intents) > 1, "after 30 s the intent is written again: is it still ours?"


def test_while_kafka_is_away_the_block_waits() -> None:
    stage = Stage(*chain_of(3))
    stage.log.away = 5
    stage.dead_letters.away = 5
    stage.run()
    assert stage.loaded == [0, 1, 2]


def test_a_partition_taken_away_during_a_wait_is_not_committed_over_an_open_insert() -> None:
    """A finished-looking commit there would hide an insert that may be half done: the next owner must repeat it."""
    stage = Stage(*chain_of(3))
    loader = stage.start()
    loader.step()
    stage.log.messages[0] += chain_of(6)[3:]
    stage.clock.sleep(BlockLimits().gap_ms / 1_000)
    stage.warehouse.away = 1_000
    polls = 0
    inbox = loader._inbox
    poll = inbox.poll

    def poll_and_revoke(wait_s: float) -> list[object]:
        nonlocal polls
        polls += 1
        if polls == 4:
            loader.on_revoke(0, still_ours=True)
        return poll(wait_s)  # type: ignore[return-value]

    inbox.poll = poll_and_revoke  # type: ignore[method-assign, assignment]
    loader.step()
    loader.step()
    assert stage.checkpoint.end == 6
    stage.warehouse.away = 0
    stage.run()
    assert stage.loaded == list(range(6))


def test_an_open_link_is_told_after_a_minute_and_never_skipped() -> None:
    packs = chain_of(4)
    stage = Stage(packs[0], packs[2], packs[3])
    loader = stage.run()
    assert stage.loaded == [0]
    stage.clock.sleep(61)
    loader.step()
    assert loader.link_open_s > 60
    stage.log.messages[0] += packs[1:]
    stage.run(loader)
    assert stage.loaded == [0, 1, 2, 3]
    assert loader.link_open_s == 0


def test_a_hole_in_the_offsets_is_read_again_and_then_passed() -> None:
    stage = Stage(*chain_of(6))
    loader = stage.start()
    inbox = loader._inbox
    poll = inbox.poll
    inbox.poll = lambda wait_s: [one for one in poll(wait_s) if one.offset != 2]  # type: ignore[method-assign]
    stage.run(loader)
    assert stage.loaded == [0, 1], "what follows the hole links to something not seen"
    assert loader.next_offsets == {0: 6}


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_wherever_it_dies_every_accepted_pack_is_loaded_once(seed: int) -> None:
    rng = Random(seed)
    log = build_log(rng)
    stage = Stage(limits=BlockLimits(row_count_max=rng.randrange(1, 20), pack_count_max=rng.randrange(1, 9)))
    stage.batch = rng.randrange(1, 8)
    fed = 0
    for _ in range(rng.randrange(1, 25)):
        stage.effects.fuse = rng.randrange(8)
        stage.warehouse.away = rng.randrange(3)
        stage.warehouse.stores_when_away = rng.random() < 0.5
        stage.log.away = rng.randrange(2)
        if rng.random() < 0.1:
            stage.log.committed.clear()
        try:
            loader = stage.start()
            for _ in range(rng.randrange(1, 12)):
                more = rng.randrange(0, 6)
                stage.log.messages[0] += log[fed : fed + more]
                fed += len(log[fed : fed + more])
                loader.step()
            if rng.random() < 0.5:
                loader.finish()
        except Killed:
            pass
    stage.effects.fuse = None
    stage.log.messages[0] += log[fed:]
    stage.run(steps=200)
    heads = [read_clean_head(message) for message in log if message != b"broken"]
    verdicts, _ = accept(None, [head.as_link for head in heads])
    expected = [head.origin.offset for head, accepted in zip(heads, verdicts, strict=True) if accepted]
    assert stage.loaded == expected
    assert (
        max(
            Counter(dead_letter.origin.offset for dead_letter in stage.dead_letters.dead_letters).values(),
            default=0,
        )
        <= 1
    )


def build_log(rng: Random) -> list[bytes]:
    """A clean log as restarts, late writers and failed sends make it: one chain through a lot of noise."""
    chain = Chain(seed=rng.getrandbits(30))
    log: list[bytes] = []
    for number in range(rng.randrange(1, 40)):
        noise = rng.random()
        if noise < 0.1 and log:
            log.append(rng.choice(log))  # a repeat
        elif noise < 0.2:
            late = Chain(writer=f"late-{number}", offset=max(0, chain.offset - rng.randrange(3)), last=None)
            late.last = (
                chain.last if rng.random() < 0.3 and chain.last and late.offset < chain.offset else None
            )
            if late.offset < chain.offset:
                log.append(late.pack(1))
        elif noise < 0.25:
            log.append(b"broken")
        elif noise < 0.35:
            chain.writer = f"writer-{number}"
        log.append(chain.pack(rng.randrange(0, 4)))
    return log


def forged_after(packs: list[bytes], offset: int) -> bytes:
    """A clean pack that continues `packs` and names another raw message."""
    last = read_clean_head(packs[-1]).this
    return Chain(writer="forger", offset=offset, last=last, now_ms=NOW_MS - offset * 20).pack(1)


@pytest.mark.parametrize("offset", [2**60, 1_000_000, 7], ids=["far", "next to come", "skips"])
def test_a_forged_pack_is_refused_and_those_that_follow_are_loaded(offset: int) -> None:
    packs = chain_of(6)
    stage = Stage(*packs[:3], forged_after(packs[:3], offset), *packs[3:])
    loader = stage.run()
    assert stage.loaded == list(range(6))
    assert loader.tally.packs["refused"] == 1
    assert "offset 3 of partition 0" in loader.tally.refusal(stage.clock())
    stage.clock.sleep(3_601)
    assert loader.tally.refusal(stage.clock()) == ""


def test_a_repeated_block_refuses_what_it_refused_although_the_message_came_since() -> None:
    packs = chain_of(5)
    stage = Stage(*packs[:3], forged_after(packs[:3], 3))
    stage.raw.end = 3
    stage.effects.fuse = 2  # commit, position, and no insert
    with pytest.raises(Killed):
        stage.run()
    assert stage.checkpoint.refused == (3,)
    stage.effects.fuse = None
    stage.raw.end = 5
    stage.log.messages[0] += packs[3:]
    for lost in (False, True):
        if lost:
            stage.log.committed.clear()
        stage.run()
        assert stage.loaded == list(range(5))


@pytest.mark.parametrize(
    ("offset", "checkpoint"),
    [
        (10**9, Checkpoint("clean-1", None)),
        (10**9, Checkpoint("clean-1", read_clean_head(chain_of(6)[5]).this)),
        (0, Checkpoint("clean-1", None)),
        (1, Checkpoint("clean-1", read_clean_head(chain_of(6)[0]).this)),
        (9, Checkpoint("clean-1", read_clean_head(chain_of(6)[5]).this)),
        (9, Checkpoint("clean-1", read_clean_head(chain_of(9)[8]).this)),
        (6, Checkpoint("clean-1", read_clean_head(chain_of(9)[8]).this)),
        (6, Checkpoint("clean-1", read_clean_head(chain_of(6)[5]).this, end=10**6)),
        (6, Checkpoint("another", read_clean_head(chain_of(6)[5]).this)),
        (6, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("quiet", [False, True])
def test_an_offset_that_is_not_ours_is_refused_and_positions_followed(
    offset: int, checkpoint: Checkpoint | None, quiet: bool
) -> None:
    packs = chain_of(12)
    stage = Stage(*packs[:6])
    loader = stage.run()
    if quiet:
        stage.clock.sleep(61)
        stage.run(loader, steps=1)
    assert stage.loaded == list(range(6))
    stage.log.messages[0] += packs[6:9]
    stage.log.committed[0] = (offset, checkpoint.encode() if checkpoint else "hello")
    stage.log.messages[0] += packs[9:]
    loader = stage.run()
    assert stage.loaded == list(range(12))
    assert sum(loader.tally.refused.values()) == 1
    again = stage.run()
    assert sum(again.tally.refused.values()) == 0, "mended by the next commit"


def test_a_true_note_is_never_doubted() -> None:
    packs = chain_of(20)
    for fuse in range(14):
        stage = Stage(*packs[:9])
        stage.effects.fuse = fuse
        with suppress(Killed):
            stage.run(steps=200)
        stage.effects.fuse = None
        stage.log.messages[0] += packs[9:]
        assert not stage.run().tally.refused
        assert stage.loaded == list(range(20))


def test_a_hole_is_passed_and_all_that_was_fetched_with_its_end_is_loaded() -> None:
    """A batch that cannot be unpacked, or an aborted transaction: the packs on both sides are linked."""
    packs = chain_of(6)
    stage = Stage(*packs[:2], b"hole", *packs[2:])
    loader = stage.start()
    poll = loader._inbox.poll
    loader._inbox.poll = lambda wait_s: [one for one in poll(wait_s) if one.offset != 2]  # type: ignore[method-assign]
    stage.run(loader)
    assert stage.loaded == list(range(6))
