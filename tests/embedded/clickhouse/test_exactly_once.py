"""What the loader builds on: an insert repeated under its token adds nothing anywhere, whatever died in between."""

from __future__ import annotations

import io
import random
import signal
import threading
import time

import fastavro
import pytest
import urllib3
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from tests.embedded.clickhouse.conftest import Server

# What the loader must send with every insert; deploy/embedded/clickhouse/README.md says why.
INSERT = {
    "async_insert": 0,
    "max_partitions_per_insert_block": 0,
    "enable_unaligned_array_join": 1,
    "input_format_avro_allow_missing_fields": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
}

WINDOW = "SETTINGS non_replicated_deduplication_window = 100000"
TABLES = (
    "CREATE DATABASE once",
    "CREATE TABLE once.packs (origin String, id Array(String), at Array(Int64), visitor Array(String)) ENGINE = Null",
    "CREATE TABLE once.events (id String, time DateTime64(3), visitor String) "
    f"ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (time, id) {WINDOW}",
    "CREATE MATERIALIZED VIEW once.to_events TO once.events AS "
    "SELECT id, fromUnixTimestamp64Milli(at) AS time, visitor FROM once.packs ARRAY JOIN id, at, visitor",
    "CREATE TABLE once.rollup (minute DateTime, n SimpleAggregateFunction(sum, UInt64), "
    f"people AggregateFunction(uniqExact, String)) ENGINE = AggregatingMergeTree ORDER BY minute {WINDOW}",
    "CREATE MATERIALIZED VIEW once.to_rollup TO once.rollup AS "
    "SELECT toStartOfMinute(time) AS minute, count() AS n, uniqExactState(visitor) AS people "
    "FROM once.events GROUP BY minute",
)
MONTH_MS = 2_678_400_000


def avro_block(number: int, packs: int = 10, events: int = 500) -> bytes:
    """Packs of arrays over two months, so that one insert makes several parts."""
    arrays = {"id": "string", "at": "long", "visitor": "string"}
    fields = [{"name": name, "type": {"type": "array", "items": kind}} for name, kind in arrays.items()]
    schema = {"type": "record", "name": "pack", "fields": [{"name": "origin", "type": "string"}, *fields]}
    body = io.BytesIO()
    rows = [
        {
            "origin": f"{number}/{pack}",
            "id": [f"{number}-{pack}-{event}" for event in range(events)],
            "at": [1_760_000_000_000 + event % 2 * MONTH_MS + event for event in range(events)],
            "visitor": [f"v{event % 50}" for event in range(events)],
        }
        for pack in range(packs)
    ]
    fastavro.writer(body, schema, rows)
    return body.getvalue()


def insert(client: Client, number: int, **settings: object) -> None:
    client.raw_insert(
        "once.packs",
        None,
        avro_block(number),
        settings={**INSERT, "insert_deduplication_token": f"topic/0/{number}", **settings},
        fmt="Avro",
    )


def counts(client: Client) -> tuple[int, int, int]:
    """Rows, distinct rows and the sum of the rollup."""
    query = "SELECT count(), uniqExact(id), (SELECT sum(n) FROM once.rollup) FROM once.events"
    ((events, distinct, rolled),) = client.query(query).result_rows
    return events, distinct, rolled


@pytest.fixture
def server(own_clickhouse: Server) -> Server:
    client = own_clickhouse.client()
    for statement in TABLES:
        client.command(statement)
    return own_clickhouse


def test_a_repeated_insert_adds_nothing_to_rows_and_rollup(server: Server) -> None:
    client = server.client()
    for number in (1, 2, 1, 2, 2):
        insert(client, number)
    assert counts(client) == (10_000, 10_000, 10_000)
    insert(client, 1, insert_deduplication_token="another")
    assert counts(client) == (15_000, 10_000, 15_000)  # the token alone decides


def test_a_repeat_is_still_known_after_a_restart(server: Server) -> None:
    insert(server.client(), 1)
    assert server.end(signal.SIGTERM) == 0
    server.start()
    client = server.client()
    insert(client, 1)
    assert counts(client) == (5_000, 5_000, 5_000)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_kill_in_the_middle_and_a_repeat_end_exact(server: Server, seed: int) -> None:
    rng = random.Random(seed)
    client = server.client()
    began = time.perf_counter()
    insert(client, 0)
    one_insert_s = time.perf_counter() - began
    acknowledged = [0]

    def load() -> None:
        for number in range(1, 500):
            try:
                insert(client, number)
            except (ClickHouseError, OSError, urllib3.exceptions.HTTPError):
                return
            acknowledged.append(number)

    loader = threading.Thread(target=load)
    loader.start()
    loader.join(rng.uniform(0, 12 * one_insert_s))
    server.end(signal.SIGKILL)
    loader.join(30)
    server.start()
    client = server.client()
    events, distinct, _ = counts(client)
    assert events == distinct >= len(acknowledged) * 5_000
    insert(client, len(acknowledged))  # the one whose answer never came
    whole = (len(acknowledged) + 1) * 5_000
    assert counts(client) == (whole, whole, whole)
