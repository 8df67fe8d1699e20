"""The schema on the real engine: what a pack becomes, and that a repeated insert changes nothing anywhere."""

from __future__ import annotations

import time
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from schemas.clean_pack import CLEAN_PACK, Answer, CleanHead, CleanPack, encode_clean_pack
from schemas.drops import DropReason
from schemas.event import Drop
from schemas.identity import event_keys
from schemas.links import Origin
from schemas.seal import Accepted
from sinks.warehouse.client import BlockUnreadable, HttpWarehouse
from sinks.warehouse.container import splice
from sinks.warehouse.migrate import Migration, MigrationError, migrate, read_migrations, split_statements
from tests.clean_heads import head_of_one
from tests.sinks.packs import IDENTITY, NOW_MS, RAW_TOPIC_ID, Chain, accepted_of, build_columns, sighting_pack

TABLES = ("events", "rollup_minute", "drops", "drops_minute", "sightings", "accepted", "refusals", "progress")


# Where merges fold rows together, what they come to.
SUMS = {
    "rollup_minute": "sum(hits)",
    "drops_minute": "sum(count)",
    "refusals": "sum(count)",
    "progress": "max(origin_offset)",
}


def load(warehouse: HttpWarehouse, *packs: bytes, token: str = "t") -> None:
    warehouse.insert("runs", splice(CLEAN_PACK, packs), token=token)


def contents(warehouse: HttpWarehouse) -> dict[str, Any]:
    """Everything the tables hold, summed where parts may be merged or not."""
    found: dict[str, Any] = {
        table: warehouse.rows(f"SELECT {SUMS.get(table, 'count()')} AS n FROM {table}") for table in TABLES
    }
    found["sums"] = warehouse.rows(
        "SELECT sum(hits) AS hits, sum(human) AS human, sum(bots) AS bots, sum(value) AS value, "
        "uniqMerge(visitors) AS visitors FROM rollup_minute"
    )
    found["ledger"] = warehouse.rows("SELECT * FROM ledger ORDER BY site, minute")
    return found


def test_a_pack_becomes_rows_rollups_drops_and_a_balanced_ledger(warehouse: HttpWarehouse) -> None:
    chain = Chain()
    columns = {
        "event_id": ["a", "b"],
        "site": ["demo", "demo"],
        "name": ["purchase", "page_view"],
        "value_e4": [199_000, 1],
        "is_bot": [False, True],
        "bot_score": [20, 95],
        "visitor": ["v", "w"],
    }
    load(warehouse, chain.pack(2, [DropReason.NO_CONSENT, DropReason.DUPLICATE], refused=4, columns=columns))
    (purchase,) = warehouse.rows("SELECT * FROM events WHERE name = 'purchase'")
    assert (purchase["event_id"], purchase["value"], purchase["origin_offset"]) == ("a", 19.9, 0)
    names = ("name", "all", "human", "uncertain", "bots", "value", "human_value", "visitors")
    assert warehouse.rows(
        "SELECT name, sum(hits) AS all, sum(human) AS human, sum(uncertain) AS uncertain, sum(bots) AS bots, "
        "toString(sum(value)) AS value, toString(sum(human_value)) AS human_value, uniqMerge(visitors) AS visitors "
        "FROM rollup_minute GROUP BY name ORDER BY name"
    ) == [
        dict(zip(names, ("page_view", 1, 0, 0, 1, "0.0001", "0", 0), strict=True)),
        dict(zip(names, ("purchase", 1, 1, 1, 0, "19.9", "19.9", 1), strict=True)),
    ]
    (row,) = warehouse.rows("SELECT * FROM ledger")
    assert (row["accepted"], row["kept"], row["dropped"], row["dead"], row["refused"], row["difference"]) == (
        4, 2, {"duplicate": 1, "no_consent": 1}, 0, 4, 0,
    )  # fmt: skip
    assert warehouse.rows(
        "SELECT origin_partition, max(origin_offset) AS o FROM progress GROUP BY origin_partition"
    ) == [{"origin_partition": 0, "o": 0}]


def test_a_repeated_insert_changes_nothing_in_any_table(warehouse: HttpWarehouse) -> None:
    chain = Chain()
    packs = [chain.pack(100, [DropReason.DUPLICATE] * 5, refused=1) for _ in range(10)] + [
        sighting_pack(chain)
    ]
    load(warehouse, *packs)
    before = contents(warehouse)
    assert before["sightings"] == [{"n": 1}]
    for _ in range(3):
        load(warehouse, *packs)
    assert contents(warehouse) == before
    load(warehouse, *packs, token="another")
    assert contents(warehouse) != before


def test_a_repeat_completes_what_a_first_try_left_out(warehouse: HttpWarehouse) -> None:
    """As after a kill between two tables: one has the block, the others get it by the repeat."""
    chain = Chain()
    packs = [chain.pack(50, [DropReason.DUPLICATE]) for _ in range(4)]
    views = ("events_to_rollup_minute", "packs_to_drops", "packs_to_accepted", "packs_to_progress")
    definitions = {view: str(warehouse.rows(f"SHOW CREATE VIEW {view}")[0]["statement"]) for view in views}
    for view in views:
        warehouse.execute(f"DROP VIEW {view}")
    load(warehouse, *packs)
    for view in views:
        warehouse.execute(definitions[view])
    load(warehouse, *packs)
    found = contents(warehouse)
    assert [found[table][0]["n"] for table in ("events", "drops", "accepted")] == [200, 4, 4]
    assert found["sums"][0]["hits"] == 200
    assert [row["difference"] for row in found["ledger"]] == [0]


def test_one_block_may_span_years_and_many_rows_and_is_still_repeatable(warehouse: HttpWarehouse) -> None:
    months = [int(time.mktime((2005 + i // 12, 1 + i % 12, 2, 0, 0, 0, 0, 0, 0))) * 1_000 for i in range(240)]
    chain = Chain()
    packs = [
        chain.pack(500, columns={"occurred_at": [months[(i * 7 + at) % 240] for at in range(500)]})
        for i in range(260)
    ]
    load(warehouse, *packs)
    before = contents(warehouse)
    assert before["events"] == [{"n": 130_000}]
    assert warehouse.rows("SELECT uniqExact(toYYYYMM(occurred_at)) AS n FROM events") == [{"n": 240}]
    load(warehouse, *packs)
    assert contents(warehouse) == before
    assert before["sums"][0]["hits"] == 130_000


def test_rows_of_2015_stay(warehouse: HttpWarehouse) -> None:
    old = 1_431_857_103_000  # 17 May 2015
    load(warehouse, Chain().pack(3, [DropReason.INVALID], columns={"occurred_at": [old] * 3}))
    for table in ("events", "rollup_minute", "drops", "drops_minute"):
        warehouse.execute(f"OPTIMIZE TABLE {table} FINAL")
    assert warehouse.rows("SELECT count() AS n, toYear(any(occurred_at)) AS year FROM events") == [
        {"n": 3, "year": 2015}
    ]
    assert contents(warehouse)["sums"][0]["hits"] == 3
    assert contents(warehouse)["drops"] == [{"n": 1}]


def test_empty_packs_move_progress(warehouse: HttpWarehouse) -> None:
    chain = Chain()
    load(warehouse, chain.pack(1), chain.pack(0), chain.pack(0, repeat=True))
    assert warehouse.rows("SELECT max(origin_offset) AS n FROM progress") == [{"n": 2}]


def test_a_dead_pack_counts_until_it_comes_again_mended(warehouse: HttpWarehouse) -> None:
    chain = Chain()
    pack_id = "cd" * 16
    head = head_of_one(
        Origin(RAW_TOPIC_ID, 0, 0),
        "writer-1",
        None,
        pack_id=pack_id,
        dead="no_key",
        accepted=accepted_of(3, NOW_MS, "demo"),
    )
    load(warehouse, encode_clean_pack(CleanPack(head)), token="1")
    (row,) = warehouse.rows("SELECT * FROM ledger")
    assert (row["accepted"], row["dead"], row["difference"]) == (3, 3, 0)
    chain.offset, chain.last = 1, head.this
    load(warehouse, chain.pack(3, pack_id=pack_id), token="2")
    (row,) = warehouse.rows("SELECT * FROM ledger")
    assert (row["accepted"], row["kept"], row["dead"], row["difference"]) == (3, 3, 0, 0)


@pytest.mark.parametrize(
    "columns",
    [{"name": ["only one"]}, {"value_e4": [1, 2, 3, 4]}, {"event_id": ["a", "b"]}],
    ids=["short", "long", "ids"],
)
def test_a_pack_with_uneven_columns_is_refused_whole(
    warehouse: HttpWarehouse, columns: dict[str, list[Any]]
) -> None:
    chain = Chain()
    good = chain.pack(3)
    head = head_of_one(Origin(RAW_TOPIC_ID, 0, 1), "writer-1", chain.last, pack_id="ef" * 16, kept=b"k" * 75)
    full = {
        "event_id": ["x", "y", "z"],
        "site": ["demo"] * 3,
        "name": ["page_view"] * 3,
        "received_at": [NOW_MS] * 3,
    }
    bad = encode_clean_pack(CleanPack(head, 3, columns=full | columns))
    with pytest.raises(BlockUnreadable):
        load(warehouse, good, bad)
    with pytest.raises(BlockUnreadable):
        warehouse.check("runs", splice(CLEAN_PACK, [bad]))
    assert contents(warehouse)["events"] == [{"n": 0}]


@pytest.mark.parametrize("cut", [30, 200, -1])
def test_a_pack_cut_short_is_refused_whole(warehouse: HttpWarehouse, cut: int) -> None:
    chain = Chain()
    good, bad = chain.pack(3), chain.pack(3)[:cut]
    with pytest.raises(BlockUnreadable):
        load(warehouse, good, bad)
    assert contents(warehouse)["events"] == [{"n": 0}]


def test_values_that_are_far_out_are_stored_and_never_refuse_a_block(warehouse: HttpWarehouse) -> None:
    far = {
        "value_e4": [2**63 - 1, -(2**63), 10**14],
        "occurred_at": [-(2**40), 2**45, 0],
        "bot_score": [-1, 999, 5],
        "flags": [-1, 2**30, 0],
    }
    load(warehouse, Chain().pack(3, columns=far))
    assert warehouse.rows("SELECT toString(max(value)) AS v FROM events") == [
        {"v": str(Decimal(2**63 - 1) / 10_000)}
    ]


def test_migrations_run_once_and_a_changed_one_is_refused(warehouse: HttpWarehouse) -> None:
    migrations = read_migrations()
    assert migrate(warehouse, migrations) == []
    names = {row["name"] for row in warehouse.rows("SELECT name FROM migrations")}
    assert {migration.name for migration in migrations} == names
    changed = [Migration(one.number, one.name, one.sql + "\nSELECT 1") for one in migrations]
    with pytest.raises(MigrationError, match=r"0001_events\.sql was changed after it was applied"):
        migrate(warehouse, changed)


def test_a_migration_that_died_in_the_middle_goes_on(warehouse: HttpWarehouse) -> None:
    statements = "CREATE TABLE half (a UInt8) ENGINE = Memory; CREATE TABLE rest (a UInt8) ENGINE = Memory;"
    half = Migration(9_000, "half", statements)
    warehouse.execute("CREATE TABLE half (a UInt8) ENGINE = Memory")
    assert migrate(warehouse, [half]) == ["9000_half"]
    assert warehouse.rows("SELECT count() AS n FROM rest") == [{"n": 0}]


def test_statements_are_split_outside_quotes_and_comments() -> None:
    sql = "-- one; two\nSELECT ';', \"a;b\", 'it''s; \\'; fine'; /* x; y */ SELECT `c;d`\n;\n-- the end"
    assert list(split_statements(sql)) == ["SELECT ';', \"a;b\", 'it''s; \\'; fine'", "SELECT `c;d`"]


def test_every_table_a_pack_reaches_remembers_tokens_and_says_its_purpose(warehouse: HttpWarehouse) -> None:
    rows = warehouse.rows(
        "SELECT name, engine_full, comment FROM system.tables "
        "WHERE database = 'fairpixel' AND engine != 'MaterializedView'"
    )
    assert set(TABLES) <= {row["name"] for row in rows}
    for row in rows:
        assert row["comment"], row["name"]
        if row["name"] in TABLES:
            assert "non_replicated_deduplication_window = 100000" in row["engine_full"], row["name"]


def test_each_row_of_a_run_names_the_raw_pack_it_came_in(warehouse: HttpWarehouse) -> None:
    minute = NOW_MS // 60_000 * 60
    answers = (
        Answer("aa" * 16, accepted=(Accepted(minute, "demo", 3),)),
        Answer("bb" * 16, repeat=True),
        Answer("cc" * 16, dead="no_key", accepted=(Accepted(minute, "demo", 7),)),
        Answer("dd" * 16, accepted=(Accepted(minute, "demo", 2), Accepted(minute, "other", 1))),
    )
    keys = event_keys(IDENTITY, ["demo"] * 3, ["page_view"] * 3, ["x", "y", "z"])
    columns = build_columns(Random(1), 3, NOW_MS, "demo") | {
        "event_id": ["x", "y", "z"],
        "name": ["page_view"] * 3,
    }
    drops = [
        Drop(key, minute, site, "page_view", "pixel", DropReason.NO_CONSENT, pack)
        for key, site, pack in zip(keys, ("demo", "demo", "other"), (0, 3, 3), strict=True)
    ]
    head = CleanHead(
        Origin(RAW_TOPIC_ID, 0, 13),
        "writer-1",
        None,
        answers,
        b"".join(key + b"\1" + key[:8] for key in keys),
    )
    load(warehouse, encode_clean_pack(CleanPack(head, 3, (2, 0, 0, 1), "1", columns, drops)))
    assert warehouse.rows("SELECT event_id, origin_offset FROM events ORDER BY event_id") == [
        {"event_id": "x", "origin_offset": 10}, {"event_id": "y", "origin_offset": 10},
        {"event_id": "z", "origin_offset": 13},
    ]  # fmt: skip
    assert warehouse.rows("SELECT origin_offset, site FROM drops ORDER BY origin_offset, site") == [
        {"origin_offset": 10, "site": "demo"},
        {"origin_offset": 13, "site": "demo"},
        {"origin_offset": 13, "site": "other"},
    ]
    names = ("pack", "origin_offset", "site", "count", "dropped", "dead")
    assert warehouse.rows(
        "SELECT lower(hex(pack_id)) AS pack, origin_offset, site, count, dropped, dead FROM accepted "
        "ORDER BY pack, site"
    ) == [
        dict(zip(names, row, strict=True))
        for row in (
            ("aa" * 16, 10, "demo", 3, 1, ""),
            ("cc" * 16, 12, "demo", 7, 0, "no_key"),
            ("dd" * 16, 13, "demo", 2, 1, ""),
            ("dd" * 16, 13, "other", 1, 1, ""),
        )
    ]
    assert [(row["site"], row["difference"]) for row in warehouse.rows("SELECT * FROM ledger ORDER BY site")] == [
        ("demo", 0), ("other", 0),
    ]  # fmt: skip
    assert warehouse.rows("SELECT max(origin_offset) AS o FROM progress") == [{"o": 13}]


@pytest.mark.parametrize(
    "more",
    [
        {"counts": (1, 1)},
        {"counts": (4, -1)},
        {"drops": [Drop(b"k" * 16, 0, "demo", "n", "pixel", DropReason.INVALID, 2)]},
    ],
    ids=["counts", "negative", "drop elsewhere"],
)
def test_a_run_whose_answers_do_not_fit_is_refused_whole(
    warehouse: HttpWarehouse, more: dict[str, Any]
) -> None:
    columns = build_columns(Random(1), 3, NOW_MS, "demo")
    head = CleanHead(
        Origin(RAW_TOPIC_ID, 0, 1), "writer-1", None, (Answer("aa" * 16), Answer("bb" * 16)), b"k" * 75
    )
    with pytest.raises(BlockUnreadable):
        load(warehouse, encode_clean_pack(CleanPack(head, 3, columns=columns, **more)))
    assert contents(warehouse)["events"] == [{"n": 0}]
