"""The states of a partition: what each means to whoever comes next, and what may follow it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from schemas.bounds import Bounds
from sinks.loader.attempts import Attempts
from sinks.loader.block import Block, BlockLimits, Fetch, Message
from sinks.loader.loader import Loader
from sinks.loader.partition import TRANSITIONS, Partition, State
from tests.fakes import Killed
from tests.sinks.loader.stage import Stage, chain_of
from tests.sinks.packs import Chain


def partition_of(loader: Loader) -> Partition:
    return loader._partitions[0]


def step_into_insert(stage: Stage) -> Loader:
    """A loader that stands between its intent and its insert."""
    loader, insert = stage.start(), stage.warehouse.insert

    def stop(*of: Any, **more: Any) -> None:
        raise Killed

    stage.warehouse.insert = stop  # type: ignore[method-assign]
    with pytest.raises(Killed):
        loader.step()
    stage.warehouse.insert = insert  # type: ignore[method-assign]
    return loader


def test_a_state_follows_only_where_the_table_says_so() -> None:
    stage = Stage()
    dependencies = stage.start()._dependencies
    for state in State:
        for following in State:
            block, attempts = Block("clean-1", 0, 0, None), Attempts(None, "me")
            partition = Partition(dependencies, block, Bounds(stage.raw, 0, stage.clock), attempts)
            partition.state = state
            if following is state or following in TRANSITIONS[state]:
                partition._enter(following)
                assert partition.state is following
            else:
                with pytest.raises(RuntimeError, match=f"from {state.name} to {following.name}"):
                    partition._enter(following)


def test_from_every_state_but_left_the_partition_may_be_left_and_from_left_nothing_follows() -> None:
    assert TRANSITIONS.keys() == set(State)
    for state in set(State) - {State.LEFT}:
        assert State.LEFT in TRANSITIONS[state]
    assert TRANSITIONS[State.LEFT] == set()


def test_committed_means_that_the_group_knows_where_the_block_begins() -> None:
    stage = Stage(*chain_of(3))
    loader = stage.run()
    assert partition_of(loader).state is State.COMMITTED
    assert (stage.log.committed[0][0], stage.checkpoint.end) == (3, None)
    stage.effects.done.clear()
    loader.on_revoke(0, still_ours=True)
    assert stage.effects.done == [], "there is nothing to say"


def test_intended_means_that_the_intent_of_this_block_stands_and_stays() -> None:
    stage = Stage(*chain_of(3))
    loader = step_into_insert(stage)
    partition = partition_of(loader)
    assert partition.state is State.INTENDED
    assert (stage.log.committed[0][0], stage.checkpoint.end) == (partition.block.start, partition.block.end)
    assert loader.waits, "for ClickHouse, which has a time limit of its own"
    loader.on_revoke(0, still_ours=True)
    assert stage.checkpoint.end == 3, "the insert may have begun: whoever follows must repeat it"


def test_uncommitted_means_that_the_block_before_is_loaded_and_its_intent_still_stands() -> None:
    stage = Stage(*chain_of(3))
    loader = stage.start()
    loader.step()
    partition = partition_of(loader)
    assert partition.state is State.UNCOMMITTED
    assert (partition.block.start, stage.checkpoint.end) == (3, 3)
    assert not loader.waits
    loader.on_revoke(0, still_ours=True)
    assert (stage.log.committed[0][0], stage.checkpoint.end) == (3, None), "the next owner repeats nothing"


def test_what_is_lost_and_not_given_back_commits_nothing() -> None:
    stage = Stage(*chain_of(3))
    loader = stage.start()
    loader.step()
    loader.on_revoke(0, still_ours=False)
    assert stage.checkpoint.end == 3


def test_repeating_means_that_exactly_the_range_of_an_intent_is_read_again() -> None:
    stage = Stage(*chain_of(3))
    step_into_insert(stage)
    stage.log.messages[0] += chain_of(5)[3:]
    stage.batch = 2
    stage.effects.done.clear()
    loader = stage.start()
    partition = partition_of(loader)
    assert partition.state is State.REPEATING
    loader.step()
    loader.finish()
    assert (partition.state, partition.block.end) == (State.REPEATING, 2)
    loader.on_revoke(0, still_ours=True)
    assert stage.effects.done == [], "a part of the range is never loaded, and its intent stays"
    loader = stage.start()
    loader.step()
    loader.step()
    assert [effect[2] for effect in stage.effects.done if effect[0] == "insert"] == ["clean-1/0/0-3"]
    assert partition_of(loader).state is State.UNCOMMITTED
    stage.run(loader)
    assert stage.loaded == list(range(5))


def test_a_range_is_repeated_as_it_was_by_a_loader_whose_blocks_are_smaller() -> None:
    """As after an update: cut by today's limits it would be inserted under another token, and be there twice."""
    stage = Stage(*chain_of(5))
    stage.effects.fuse = 3  # commit, position, insert, and no more
    with pytest.raises(Killed):
        stage.run()
    stage.effects.fuse = None
    stage.limits = BlockLimits(row_count_max=4, pack_count_max=2)
    stage.log.messages[0] += chain_of(9)[5:]
    stage.run()
    inserts = [effect[2] for effect in stage.effects.done if effect[0] == "insert"]
    assert inserts == ["clean-1/0/0-5", "clean-1/0/0-5", "clean-1/0/5-7", "clean-1/0/7-9"]
    assert stage.loaded == list(range(9))


def test_while_a_range_is_repeated_positions_never_says_that_nothing_is_under_way() -> None:
    packs = chain_of(3)
    stage = Stage(*packs)
    insert = stage.warehouse.insert

    def store_and_die(*of: Any, **more: Any) -> None:
        insert(*of, **more)
        raise Killed

    stage.warehouse.insert = store_and_die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        stage.run()
    stage.warehouse.insert = insert  # type: ignore[method-assign]
    stage.log.messages[0] = packs[:2]  # the rest cannot be fetched for a while
    loader = stage.start()
    stage.run(loader, steps=5)
    stage.clock.sleep(61)
    stage.run(loader, steps=5)
    stage.log.messages[0] = packs + chain_of(5)[3:]
    stage.log.committed.clear()
    stage.run()
    assert stage.loaded == list(range(5)), "cut elsewhere, the block would be there twice"


def test_positions_says_that_nothing_is_under_way_only_after_the_group_was_told() -> None:
    packs = chain_of(4)
    stage = Stage(*packs[:3])
    loader = stage.start()
    loader.step()
    stage.log.away = 1_000
    stage.clock.sleep(61)
    stage.run(loader, steps=5)
    stage.log.away = 0
    again = stage.start()  # another loader after a crash
    assert not again.tally.refused, "the checkpoint is older than the table and no less true"
    stage.log.messages[0].append(packs[3])
    stage.run(again)
    stage.clock.sleep(61)
    stage.effects.done.clear()
    stage.run(again)
    assert stage.effects.names() == ["position"]
    assert stage.loaded == list(range(4))


def test_a_repeated_range_without_an_accepted_pack_needs_no_insert() -> None:
    stage = Stage(*chain_of(3))
    step_into_insert(stage)
    stage.log.messages[0] = [b"", b"", b""]
    loader = stage.start()
    loader.step()
    assert "insert" not in stage.effects.names()
    assert partition_of(loader).state is State.COMMITTED, "after dead letters the end is committed at once"


def test_left_means_that_nothing_is_done_any_more() -> None:
    packs = chain_of(6)
    stage = Stage(*packs[:3])
    loader = stage.start()
    loader.step()
    partition = partition_of(loader)
    loader.on_revoke(0, still_ours=False)
    assert partition.state is State.LEFT
    stage.effects.done.clear()
    partition.take(Message(0, 3, packs[3], 1_003), Fetch(99, stage.clock()))
    stage.clock.sleep(100)
    partition.work()
    partition.load_rest()
    partition.commit_end()
    partition.revoke(still_ours=True)
    partition.leave()
    assert partition.state is State.LEFT
    assert stage.effects.done == []


def test_a_refused_commit_leaves_the_partition() -> None:
    stage = Stage(*chain_of(3))
    loader = stage.start()
    partition = partition_of(loader)
    stage.start()
    loader.step()
    assert partition.state is State.LEFT
    assert loader.next_offsets == {}


def test_a_block_read_before_its_partition_was_taken_and_given_back_is_not_loaded() -> None:
    """Its messages come again with others behind them: loaded in both, they would be there twice."""
    chains = {0: Chain(partition=0), 1: Chain(partition=1)}
    stage = Stage()
    stage.log.messages = {number: [chain.pack(2) for _ in range(3)] for number, chain in chains.items()}
    loader = stage.start()
    inbox = loader._inbox
    poll = inbox.poll
    polls = 0

    def rebalance(wait_s: float) -> list[Message]:
        nonlocal polls
        polls += 1
        if polls == 2:  # while partition 0 waits for ClickHouse, the group takes both and gives both back
            loader.on_revoke(0, still_ours=True)
            loader.on_revoke(1, still_ours=True)
            stage.log.messages[1] += [chains[1].pack(2) for _ in range(2)]
            inbox.begin(loader)  # type: ignore[attr-defined]
        return poll(wait_s)

    inbox.poll = rebalance  # type: ignore[method-assign]
    stage.warehouse.away = 1
    stage.run(loader)
    loaded = Counter(
        (record["origin_partition"], record["origin_offset"]) for record in stage.warehouse.records
    )
    assert loaded == Counter([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4)])
