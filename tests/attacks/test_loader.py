"""Clean packs made to stop the loader: poison, lying sizes and counts, bombs; against the real Kafka and ClickHouse."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import fastavro
import psutil
import pytest

from schemas.avro_codec import decode
from schemas.clean_pack import CLEAN_PACK, CLEAN_PACK_VERSIONS, CleanPack, encode_clean_pack
from schemas.dead_letter import DeadLetter
from schemas.drops import DeadReason
from schemas.links import Origin, Position
from schemas.topics import CLEAN, RAW
from tests.attacks.neighbours import Platform, envelope, write
from tests.attacks.poisoned_loader import ENDLESS, FATAL, LATE
from tests.clean_heads import head_of_one
from tests.processes import await_that
from tests.sinks.stage import Stage, publish

POISONED = "tests.attacks.poisoned_loader"


@pytest.fixture
def platform(stage: Stage) -> Platform:
    return Platform(stage)


def dead_letters_by_offset(stage: Stage, count: int) -> list[DeadLetter]:
    await_that(lambda: len(stage.dead_letters()) >= count, 30, "what is bad is put aside")
    return sorted(stage.dead_letters(), key=lambda one: one.origin.offset)


def reloadable(stage: Stage, rows: int, program: str, lives: int = 8) -> int:
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
    write(stage.bootstrap, RAW, [envelope(pack_id, 1)])
    rows = platform.chain.event_ids.copy()
    poison = platform.chain.pack(1, pack_id=pack_id, columns={"event_id": [bug.decode()]})
    publish(stage.bootstrap, [poison])
    platform.chain.event_ids = rows
    platform.work(3)
    assert reloadable(stage, platform.rows, POISONED) == deaths
    [dead_letter] = dead_letters_by_offset(stage, 1)
    assert (dead_letter.reason, dead_letter.origin.offset, dead_letter.value) == (
        DeadReason.POISONOUS,
        3,
        poison,
    )
    stage.check(platform.chain)
    assert stage.count("SELECT sum(dead) AS n FROM ledger") == 1


# Sizes and counts


def long(number: int) -> bytes:
    """A number as Avro writes it, negative ones too."""
    rest = ((number << 1) ^ (number >> 63)) & (1 << 64) - 1
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def rebuilt(pack: bytes, **fields: object) -> bytes:
    """The pack with other fields; bytes stand for themselves, as they are to be written."""
    record = decode(pack, CLEAN_PACK_VERSIONS, CLEAN_PACK)
    out = io.BytesIO()
    out.write(CLEAN_PACK.header)
    for declared in CLEAN_PACK.declared["fields"]:
        value = fields.get(declared["name"], record[declared["name"]])
        if isinstance(value, Raw):
            out.write(value.bytes)
        else:
            fastavro.schemaless_writer(out, fastavro.parse_schema(declared["type"]), value)
    return out.getvalue()


class Raw(NamedTuple):
    """A field as it is to be written."""

    bytes: bytes


DROPS = ("drop_key", "drop_minute", "drop_site", "drop_name", "drop_source", "drop_reason")
ACCEPTED = ("accepted_minute", "accepted_site", "accepted_count")


def columns(names: tuple[str, ...], count: int) -> dict[str, object]:
    """As many of the smallest items."""
    numbers = {"drop_minute", "accepted_minute", "accepted_count"}
    return {name: [0 if name in numbers else b"" if name == "drop_key" else ""] * count for name in names}


LIES: dict[str, tuple[dict[str, object], DeadReason]] = {
    "a text of 2^40": ({"path": Raw(long(2) + long(1 << 40))}, DeadReason.UNREADABLE),
    "a text of 2^62": ({"path": Raw(long(2) + long(1 << 62))}, DeadReason.UNREADABLE),
    "a text of 2 GB": ({"rules_version": Raw(long(2 << 30))}, DeadReason.UNREADABLE),
    "a text of -5": ({"path": Raw(long(2) + long(-5))}, DeadReason.UNREADABLE),
    "a billion items": ({"path": Raw(long(10**9) + bytes(100))}, DeadReason.UNREADABLE),
    "a billion items at the end": ({"refusal_count": Raw(long(10**9))}, DeadReason.UNREADABLE),
    "-2^63 items": ({"path": Raw(long(-(1 << 63)) + long(4) + b"\x02a\x02b\0")}, DeadReason.UNREADABLE),
    "more rows than columns": ({"count": 2**31 - 1}, DeadReason.UNEVEN_COLUMNS),
    "no rows, many names": ({"event_id": [""] * 3_900_000}, DeadReason.UNEVEN_COLUMNS),
    "uneven": ({"path": ["/"] * 3}, DeadReason.UNEVEN_COLUMNS),
    "uneven drops": ({"drop_key": [b"k" * 16]}, DeadReason.UNEVEN_COLUMNS),
    "600,000 drops": (columns(DROPS, 600_000), DeadReason.REFUSED_BY_CLICKHOUSE),
    "a million pairs": (columns(ACCEPTED, 1_000_000), DeadReason.UNREADABLE),
}


@pytest.mark.timeout(300)
def test_sizes_and_counts_that_lie_are_put_aside_and_their_neighbours_are_loaded(platform: Platform) -> None:
    stage, chain = platform.stage, platform.chain
    platform.work(2)
    expected = []
    for fields, reason in LIES.values():
        # What cannot be judged by its head is accepted first: then it must be the pack that comes next.
        before = (chain.offset, chain.last, list(chain.event_ids), chain.accepted)
        pack_id = f"{chain.offset + 1:032x}"
        lie = rebuilt(chain.pack(2, pack_id=pack_id), **fields)
        expected.append((lie, reason))
        if "accepted_minute" in fields:
            chain.offset, chain.last, chain.event_ids, chain.accepted = before
        else:
            chain.event_ids = before[2]
            write(stage.bootstrap, RAW, [envelope(pack_id, 2)])
        publish(stage.bootstrap, [lie])
        platform.work(1)
    loader = stage.start()
    peak = 0

    def done() -> bool:
        nonlocal peak
        peak = max(peak, psutil.Process(loader.pid).memory_info().rss)
        return stage.count("SELECT count() AS n FROM events") >= platform.rows

    await_that(done, 200, "the neighbours are loaded")
    dead_letters = dead_letters_by_offset(stage, len(LIES))
    assert [(one.value, one.reason) for one in dead_letters] == expected
    assert peak < 1_500_000_000
    stage.check(chain)
    assert loader.poll() is None


# What a fetch unpacks to


@pytest.mark.timeout(300)
def test_a_batch_that_no_client_unpacks_is_passed_over_and_named(platform: Platform) -> None:
    stage = platform.stage
    platform.work(2)
    bomb: dict[str, Any] = {
        "compression.type": "zstd",
        "batch.size": 2_000_000_000,
        "message.max.bytes": 200_000_000,
        "linger.ms": 3_000,
        "queue.buffering.max.kbytes": 2_000_000,
    }
    write(stage.bootstrap, CLEAN, [b"a" * 3_900_000] * 40, **bomb)
    platform.work(2)
    stage.start()
    stage.await_rows(platform.rows)
    await_that(lambda: stage.health()["status"] == "unhealthy", 30, "the loader says what it passed over")
    assert "batch_too_large" in stage.health()["detail"]
    assert "offsets 2 to 41" in (stage.folder / "sinks.log").read_text()
    stage.check(platform.chain)


@pytest.mark.timeout(300)
def test_a_loader_that_what_it_fetches_ended_fetches_little_at_a_time(platform: Platform) -> None:
    stage = platform.stage
    platform.work(2)
    # 100 kB that unpack to a gigabyte, of packs that nothing links to; the loader is allowed less than that at once.
    head = head_of_one(Origin(platform.chain.topic_id, 0, 1), "forger", Position("nothing", 1, "nobody"))
    bomb = encode_clean_pack(CleanPack(head)) + bytes(3_900_000)
    one: dict[str, Any] = {
        "compression.type": "zstd",
        "message.max.bytes": 4_000_000,
        "batch.num.messages": 1,
    }
    write(stage.bootstrap, CLEAN, [bomb] * 250, **one, **{"queue.buffering.max.kbytes": 2_000_000})
    platform.work(2)
    assert reloadable(stage, platform.rows, "tests.attacks.small_loader", lives=5) == 3
    assert "loader_reads_carefully" in (stage.folder / "sinks.log").read_text()
    stage.check(platform.chain)
