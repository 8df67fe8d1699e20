"""An insert that cannot be stored says so: the engine's own streaming insert calls it a success."""

from __future__ import annotations

import pytest

from tests.embedded.clickhouse.conftest import Server


@pytest.fixture
def tables(clickhouse: Server) -> Server:
    clickhouse.ask("DROP DATABASE IF EXISTS refused SYNC")
    for query in (
        "CREATE DATABASE refused",
        "CREATE TABLE refused.narrow (a UInt8, b UInt8 DEFAULT a + 1, CONSTRAINT small CHECK a < 10) ENGINE = Memory",
        "CREATE TABLE refused.landing (a UInt8) ENGINE = Null",
        "CREATE TABLE refused.kept (a UInt8) ENGINE = MergeTree ORDER BY a PARTITION BY a",
        "CREATE MATERIALIZED VIEW refused.landing_view TO refused.kept AS "
        "SELECT a FROM refused.landing WHERE throwIf(a = 200) = 0",
    ):
        assert clickhouse.ask(query).status == 200, query
    return clickhouse


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("INSERT INTO narrow FORMAT TSV\n1\t2\n20\t3\n", 469),
        ("INSERT INTO narrow (a) VALUES (1), (20)", 469),
        ("INSERT INTO landing FORMAT TSV\n1\n200\n", 395),
        ("INSERT INTO kept SETTINGS max_partitions_per_insert_block = 1 FORMAT TSV\n1\n2\n", 252),
    ],
    ids=["constraint", "values", "view", "partitions"],
)
def test_an_insert_that_cannot_be_stored_is_an_error_and_stores_nothing(
    tables: Server, query: str, code: int
) -> None:
    answer = tables.ask(query, database="refused")
    assert answer.headers.get("X-ClickHouse-Exception-Code") == str(code)
    assert (
        tables.ask(
            "SELECT (SELECT count() FROM narrow) + (SELECT count() FROM kept)", database="refused"
        ).text
        == "0\n"
    )


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("INSERT INTO narrow FORMAT TSV\n1\t7\n", "1\t7\n"),
        ("INSERT INTO narrow (a) FORMAT TSV\n1\n", "1\t2\n"),
        ("INSERT INTO TABLE narrow (b, a) VALUES (5, 1)", "1\t5\n"),
        ('INSERT INTO narrow FORMAT JSONEachRow\n{"a": 3}\n', "3\t4\n"),
        ("INSERT INTO narrow (* EXCEPT(b)) SETTINGS max_threads = 2 FORMAT TSV\n4\n", "4\t5\n"),
    ],
)
def test_columns_and_their_defaults_arrive_as_they_would_in_one_step(
    tables: Server, query: str, rows: str
) -> None:
    assert tables.ask(query, database="refused").status == 200
    assert tables.ask("SELECT * FROM narrow", database="refused").text == rows
