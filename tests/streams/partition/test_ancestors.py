"""What a new partition knows of the keys that lay elsewhere before the topics grew."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.clean_pack import CleanPack, encode_clean_pack
from schemas.links import Origin, Position
from schemas.topics import CLEAN, RAW
from streams.partition.ancestors import CLOCKS_MS_MAX, Ancestors, Undecided, ancestors_of
from streams.partition.store import Mark
from tests.clean_heads import head_of_one
from tests.streams.memory_log import InMemoryStore, MemoryLogs

HOUR_MS = 3_600_000
WINDOW_MS = 24 * HOUR_MS


def arrive(logs: MemoryLogs, partition: int, *, is_decided: bool = True) -> bytes:
    """A raw message, and its clean pack with one key; returns the key."""
    offset = len(logs.logs[RAW, partition])
    key = bytes([partition, 0]) + offset.to_bytes(14)
    logs.append(RAW, b"", partition=partition)
    if is_decided:
        decide(logs, partition, offset, key)
    return key


def decide(logs: MemoryLogs, partition: int, offset: int, key: bytes) -> None:
    link = Position("raw-1", offset - 1, "w") if offset else None
    head = head_of_one(
        Origin("raw-1", partition, offset), "w", link, pack_id=key.hex(), kept=key + b"\1" + b"f" * 8
    )
    logs.append(CLEAN, encode_clean_pack(CleanPack(head)), partition=partition)


def hand_over(logs: MemoryLogs, partition: int, ancestors: Ancestors | None = None) -> InMemoryStore:
    store: Any = InMemoryStore(WINDOW_MS)
    (ancestors or Ancestors(partition)).hand_over(logs, store, window_ms=WINDOW_MS, progress=lambda: None)
    taken: InMemoryStore = store
    return taken


@pytest.fixture
def logs() -> MemoryLogs:
    """Of topics that have just grown from two partitions to four."""
    one = MemoryLogs()
    one.partitions = 4
    return one


@pytest.mark.parametrize(
    ("partition", "count", "expected"),
    [
        (0, 1, []), (0, 2, []), (1, 2, [0]), (1, 4, [0]), (2, 4, [0]), (3, 4, [0, 1]), (6, 8, [0, 2]),
        (7, 8, [0, 1, 3]), (5, 6, [0, 1, 2]),
    ],
)  # fmt: skip
def test_ancestors(partition: int, count: int, expected: list[int]) -> None:
    assert ancestors_of(partition, count) == expected


@given(st.binary(max_size=8), st.lists(st.integers(2, 4), max_size=4))
def test_wherever_a_key_lay_is_its_partition_or_an_ancestor_of_it(key: bytes, steps: list[int]) -> None:
    counts = [1]
    for step in steps:
        counts.append(counts[-1] * step)
    now = crc32(key) % counts[-1]
    assert {crc32(key) % count for count in counts} <= {now, *ancestors_of(now, counts[-1])}


def test_a_new_partition_knows_what_its_ancestor_stored_and_nothing_of_its_own_log(logs: MemoryLogs) -> None:
    keys = [arrive(logs, 0) for _ in range(20)]
    arrive(logs, 1)
    store = hand_over(logs, 2)
    assert set(store.keys) == set(keys)
    assert store.mark is None


def test_the_first_partition_takes_nothing_over_and_looks_at_no_other_log(
    logs: MemoryLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(logs, 1)
    monkeypatch.setattr(logs, "read", None)
    assert hand_over(logs, 0).keys == {}


def test_it_waits_until_what_was_there_when_it_was_opened_is_decided_and_for_nothing_later(
    logs: MemoryLogs,
) -> None:
    first = arrive(logs, 0)
    late = arrive(logs, 0, is_decided=False)
    ancestors = Ancestors(2)
    with pytest.raises(Undecided):
        hand_over(logs, 2, ancestors)
    decide(logs, 0, 1, late)
    arrive(logs, 0, is_decided=False)  # after the growth: no key of this partition
    assert set(hand_over(logs, 2, ancestors).keys) == {first, late}


def test_with_its_cache_lost_it_reads_again_what_was_there_before_its_own_first_pack(
    logs: MemoryLogs,
) -> None:
    before = arrive(logs, 0)
    logs.now_ms += 2 * HOUR_MS
    arrive(logs, 2)
    logs.now_ms += CLOCKS_MS_MAX + 1
    arrive(logs, 0)
    arrive(logs, 0, is_decided=False)
    assert set(hand_over(logs, 2).keys) == {before}


def test_what_is_older_than_the_window_is_not_read(logs: MemoryLogs) -> None:
    arrive(logs, 0)
    logs.now_ms += WINDOW_MS + HOUR_MS
    young = arrive(logs, 0)
    assert set(hand_over(logs, 2).keys) == {young}


def test_with_a_cache_nothing_is_read(logs: MemoryLogs) -> None:
    arrive(logs, 0)
    store: Any = InMemoryStore(WINDOW_MS)
    store.mark = Mark("clean-1", 0, None)
    Ancestors(2).hand_over(logs, store, window_ms=WINDOW_MS, progress=lambda: None)
    assert store.keys == {}


def test_a_partition_whose_beginning_has_expired_is_older_than_the_window(logs: MemoryLogs) -> None:
    arrive(logs, 0)
    arrive(logs, 2)
    logs.low[CLEAN, 2] = 1
    assert hand_over(logs, 2).keys == {}
