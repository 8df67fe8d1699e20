"""A block whose insert began under the version before is repeated after the update, and changes nothing."""

from __future__ import annotations

import pytest

from schemas.clean_pack import CLEAN_PACK_V1, decode_clean_pack, encode_clean_pack
from schemas.drops import DropReason
from sinks.warehouse.client import HttpWarehouse
from sinks.warehouse.container import splice
from sinks.warehouse.migrate import migrate, read_migrations
from tests.sinks.conftest import ClickHouse
from tests.sinks.packs import Chain, sighting_pack

TABLES = ("events", "rollup_minute", "drops", "drops_minute", "sightings", "accepted", "refusals", "progress")


@pytest.fixture
def before(clickhouse: ClickHouse) -> HttpWarehouse:
    """The schema as it was before clean packs answered runs."""
    connected = clickhouse.connect()
    connected.execute("DROP DATABASE IF EXISTS fairpixel SYNC", database="default")
    migrate(connected, [one for one in read_migrations() if one.number < 6])
    return connected


def test_a_block_of_single_packs_is_the_same_block_after_runs_came(before: HttpWarehouse) -> None:
    chain = Chain()
    made = [chain.pack(20, [DropReason.DUPLICATE] * 3, refused=1) for _ in range(4)] + [sighting_pack(chain)]
    block = splice(CLEAN_PACK_V1, [encode_clean_pack(decode_clean_pack(one), CLEAN_PACK_V1) for one in made])
    before.insert("packs", block, token="clean/0/0-5")
    stored = counts(before)
    migrate(before, read_migrations())
    before.insert("packs", block, token="clean/0/0-5")
    assert counts(before) == stored
    before.insert("packs", block, token="clean/0/5-10")  # the same under another name
    assert counts(before) == {table: 2 * count for table, count in stored.items()}


def counts(warehouse: HttpWarehouse) -> dict[str, int]:
    """What each table holds: rows, or their sum where it adds up."""
    sums = {
        "rollup_minute": "sum(hits)",
        "drops_minute": "sum(count)",
        "refusals": "sum(count)",
        "progress": "count()",
    }
    return {
        table: int(warehouse.rows(f"SELECT toUInt64({sums.get(table, 'count()')}) AS n FROM {table}")[0]["n"])
        for table in TABLES
    }
