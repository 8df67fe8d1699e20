"""What a worker knows of a partition before its first decision."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from schemas.clean_pack import CleanHead, CleanPack, encode_clean_pack
from schemas.dead_letter import DeadLetter
from schemas.drops import DeadReason
from schemas.links import Origin, Position
from schemas.topics import CLEAN, DEAD, RAW
from streams.partition import recovery as recovery_module
from streams.partition.chain import next_raw_after
from streams.partition.recovery import RecoveredLog, recover_log
from streams.partition.store import PACK_WINDOW_MS, Mark
from tests.clean_heads import head_of_one
from tests.streams.memory_log import CHUNK, InMemoryStore, MemoryLogs

WINDOW_MS = 24 * 3_600_000


def pack(offset: int, link: Position | None, writer: str = "w", topic_id: str = "raw-1") -> CleanHead:
    key = offset.to_bytes(16)
    return head_of_one(
        Origin(topic_id, 0, offset), writer, link, pack_id=f"{offset:032x}", kept=key + b"\1" + b"f" * 8
    )


def append(logs: MemoryLogs, head: CleanHead) -> CleanHead:
    logs.append(CLEAN, encode_clean_pack(CleanPack(head)))
    return head


def chain_of(logs: MemoryLogs, count: int, minutes_apart: int = 0) -> list[CleanHead]:
    """`count` raw messages, each with its clean pack."""
    heads: list[CleanHead] = []
    for offset in range(count):
        logs.append(RAW, b"")
        heads.append(append(logs, pack(offset, heads[-1].this if heads else None)))
        logs.now_ms += minutes_apart * 60_000
    return heads


def read(logs: MemoryLogs, store: InMemoryStore) -> RecoveredLog:
    any_seen: Any = store
    recovered = recover_log(logs, 0, any_seen, window_ms=WINDOW_MS, progress=lambda: None)
    assert recovered is not None
    return recovered


def test_an_empty_world_begins_at_its_beginning() -> None:
    recovered = read(MemoryLogs(), InMemoryStore(WINDOW_MS))
    assert (recovered.last, recovered.next_raw, recovered.next_clean) == (None, 0, 0)


def test_without_a_cache_the_log_is_read_and_remembered() -> None:
    logs, store = MemoryLogs(), InMemoryStore(WINDOW_MS)
    heads = chain_of(logs, 20)
    recovered = read(logs, store)
    assert (recovered.last, recovered.next_raw, recovered.next_clean) == (heads[-1].this, 20, 20)
    assert set(store.keys) == {offset.to_bytes(16) for offset in range(20)}
    assert store.mark == Mark("clean-1", 20, heads[-1].this)


def test_reading_packs_as_old_as_their_raw_messages_asks_little_and_shows_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery_module, "LATEST_PACKS", 100)
    logs, store = MemoryLogs(), InMemoryStore(WINDOW_MS)
    chain_of(logs, 300, minutes_apart=1)  # each was decided before the next arrived
    done: Counter[str] = Counter()

    def counted(name: str, method: Any) -> Any:
        return lambda *given: (done.update([name]), method(*given))[-1]

    for name in ("topic_id", "bounds", "offset_at", "read"):
        monkeypatch.setattr(logs, name, counted(name, getattr(logs, name)))
    any_seen: Any = store
    recovered = recover_log(
        logs, 0, any_seen, window_ms=WINDOW_MS, progress=counted("progress", lambda: None)
    )
    assert recovered is not None
    assert recovered.next_raw == 300
    # A chunk at a time, also while it looks for where to begin.
    assert done.pop("progress") >= 100 // CHUNK + 300 // CHUNK
    assert max(done.values()) < 15


def test_with_a_cache_only_the_tail_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    logs, store = MemoryLogs(), InMemoryStore(WINDOW_MS)
    chain_of(logs, 10)
    read(logs, store)
    store.keys.clear()
    last = pack(9, None).this
    logs.append(RAW, b"")
    append(logs, pack(10, last))
    assert read(logs, store).next_raw == 11
    assert set(store.keys) == {(10).to_bytes(16)}


def test_packs_of_late_writers_are_not_remembered() -> None:
    logs, store = MemoryLogs(), InMemoryStore(WINDOW_MS)
    heads = chain_of(logs, 3)
    append(logs, pack(9, heads[0].this, "late"))
    logs.append(CLEAN, b"junk")
    recovered = read(logs, store)
    assert (recovered.last, recovered.next_raw, recovered.next_clean) == (heads[-1].this, 3, 5)
    assert (9).to_bytes(16) not in store.keys


def test_where_the_beginning_is_gone_the_chain_that_reaches_furthest_counts() -> None:
    logs, store = MemoryLogs(), InMemoryStore(WINDOW_MS)
    heads = chain_of(logs, 4)
    append(logs, pack(2, heads[1].this, "late"))
    logs.append(RAW, b"")
    append(logs, pack(4, heads[3].this))
    logs.low[CLEAN, 0] = 2
    recovered = read(logs, store)
    assert (recovered.last, recovered.next_raw) == (pack(4, None).this, 5)
    assert set(store.keys) == {offset.to_bytes(16) for offset in (2, 3, 4)}


def test_only_the_window_is_read_but_at_least_the_latest_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_module, "LATEST_PACKS", 3)
    logs, store = MemoryLogs(), InMemoryStore(WINDOW_MS)
    heads = chain_of(logs, 10, minutes_apart=PACK_WINDOW_MS // 60_000)
    recovered = read(logs, store)
    assert recovered.last == heads[-1].this
    assert set(store.keys) == {offset.to_bytes(16) for offset in (7, 8, 9)}


def test_the_window_is_counted_from_the_oldest_undecided_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_module, "LATEST_PACKS", 1)
    logs, store = MemoryLogs(), InMemoryStore(WINDOW_MS)
    heads = chain_of(logs, 5)
    logs.append(RAW, b"")  # arrived now, and nobody decided it for two days
    logs.now_ms += 2 * PACK_WINDOW_MS
    assert read(logs, store).last == heads[-1].this
    assert len(store.keys) == 5


@pytest.mark.parametrize(
    "mark", [Mark("another topic", 1, None), Mark("clean-1", 99, None), Mark("clean-1", 0, None)]
)
def test_a_cache_that_does_not_fit_the_log_is_refused(mark: Mark) -> None:
    logs, store = MemoryLogs(), InMemoryStore(WINDOW_MS)
    chain_of(logs, 3)
    logs.low[CLEAN, 0] = 1
    store.mark = mark
    any_seen: Any = store
    assert recover_log(logs, 0, any_seen, window_ms=WINDOW_MS, progress=lambda: None) is None


def test_after_a_long_quiet_the_last_place_is_known_from_the_cache() -> None:
    logs, store = MemoryLogs(), InMemoryStore(WINDOW_MS)
    heads = chain_of(logs, 3)
    read(logs, store)
    logs.low[CLEAN, 0] = 3  # retention took all of it
    logs.low[RAW, 0] = 3
    recovered = read(logs, store)
    assert (recovered.last, recovered.next_raw) == (heads[-1].this, 3)


@pytest.mark.parametrize(
    ("last", "low", "next_raw"),
    [
        (None, 4, 4),
        (Position("raw-1", 7, "w"), 4, 8),
        (Position("raw-1", 7, "w"), 12, 12),
        (Position("a topic that was deleted", 7, "w"), 0, 0),
    ],
)
def test_the_accepted_log_says_where_to_go_on(last: Position | None, low: int, next_raw: int) -> None:
    assert next_raw_after(last, "raw-1", low) == next_raw


def test_dead_letters_without_a_clean_pack_are_known_so_that_none_is_sent_twice() -> None:
    logs, store = MemoryLogs(), InMemoryStore(WINDOW_MS)
    chain_of(logs, 3)
    for topic, origin in (
        (RAW, Origin("raw-1", 0, 2)),
        (RAW, Origin("raw-1", 0, 3)),
        (CLEAN, Origin("clean-1", 0, 9)),
    ):
        dead_letter = DeadLetter(DeadReason.UNREADABLE, topic, origin, b"?")
        logs.append(DEAD, dead_letter.value, dead_letter.headers())
    logs.append(DEAD, b"junk")
    assert read(logs, store).dead_origins == {Origin("raw-1", 0, 3)}
