"""Python's clients against the server, as analysts call them: clickhouse-connect, SQLAlchemy, ibis, polars, DuckDB."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import clickhouse_connect
import duckdb
import duckdb_extension_httpfs
import ibis
import polars
import pytest
import sqlalchemy
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, ProgrammingError

from tests.embedded.clickhouse.conftest import Server
from tests.field.clients.conftest import EVENT_COUNT
from tests.field.clients.page import evaluated, form

COUNTS = [("page_view", EVENT_COUNT * 4 // 5), ("purchase", EVENT_COUNT // 5)]
QUERY = "SELECT name, count() AS events FROM events GROUP BY name ORDER BY name"


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """clickhouse-connect with its defaults; a warning while it connects is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = evaluated("clickhouse-connect", server.port, clickhouse_connect=clickhouse_connect)
    yield one
    one.close()


def test_clickhouse_connect_reads_with_its_defaults(client: Client) -> None:
    assert client.query(QUERY).result_rows == COUNTS
    frame = client.query_df("SELECT name, count() FROM fairpixel.events GROUP BY name")
    assert len(frame) == len(COUNTS)
    given = {"s": "demo"}
    assert client.query("SELECT count() FROM events WHERE site = {s:String}", parameters=given).first_row == (
        EVENT_COUNT,
    )


@pytest.mark.parametrize("compress", [True, False, "lz4", "zstd", "gzip"])
def test_clickhouse_connect_reads_in_every_encoding(server: Server, compress: bool | str) -> None:
    one = clickhouse_connect.get_client(host="127.0.0.1", port=server.port, compress=compress)
    assert sum(one.query("SELECT number FROM numbers(300000)").result_columns[0]) == 299_999 * 150_000


def test_clickhouse_connect_sends_settings_that_narrow(server: Server, client: Client) -> None:
    settings = {"max_execution_time": 30, "max_result_rows": 10, "result_overflow_mode": "break"}
    asked = "SELECT getSetting('max_execution_time')"
    assert client.query(asked, settings=settings).first_row == (30,)
    always = clickhouse_connect.get_client(
        host="127.0.0.1",
        port=server.port,
        settings={"max_execution_time": 20, "session_timezone": "Asia/Tokyo"},
    )
    assert always.query(asked).first_row == (20,)
    assert always.command("SELECT toString(toDateTime(0))") == "1970-01-01 09:00:00"


def test_clickhouse_connect_says_itself_what_it_may_not_send(client: Client) -> None:
    with pytest.raises(ProgrammingError, match="log_comment"):
        client.query("SELECT 1", settings={"log_comment": "mine"})
    with pytest.raises(DatabaseError, match=r"max_execution_time.*from 1 to 60"):
        client.query("SELECT 1", settings={"max_execution_time": 600})


def test_set_holds_in_a_session_of_clickhouse_connect(server: Server) -> None:
    one = clickhouse_connect.get_client(host="127.0.0.1", port=server.port, session_id="mine")
    one.command("SET session_timezone = 'Asia/Tokyo'")
    assert one.command("SELECT toString(toDateTime(0))") == "1970-01-01 09:00:00"


def test_sqlalchemy_reflects_and_selects(server: Server) -> None:
    engine = evaluated("SQLAlchemy", server.port, create_engine=sqlalchemy.create_engine)
    assert str(engine.url) == form("Superset", server.port)
    inspector = sqlalchemy.inspect(engine)
    assert {"events", "rollup_minute"} <= set(inspector.get_table_names())
    assert "purchases" in inspector.get_view_names()
    assert {"fairpixel", "default"} <= set(inspector.get_schema_names())
    events = sqlalchemy.Table("events", sqlalchemy.MetaData(), autoload_with=engine)
    assert {"site", "name", "occurred_at"} <= set(events.columns.keys())
    counted = sqlalchemy.select(events.c.name, sqlalchemy.func.count()).where(events.c.site == "demo")
    with engine.connect() as connection:
        rows = connection.execute(counted.group_by(events.c.name).order_by(events.c.name)).all()
        assert [tuple(row) for row in rows] == COUNTS
        limited = connection.execute(sqlalchemy.text("SELECT name FROM events LIMIT 7")).all()
        assert len(limited) == 7


def test_ibis_builds_a_query_from_the_tables_it_finds(server: Server) -> None:
    connection = evaluated("ibis", server.port, ibis=ibis)
    assert "events" in connection.list_tables()
    events = connection.table("events")
    counted = events.group_by("name").aggregate(events=events.count()).order_by("name").execute()
    assert list(counted.itertuples(index=False, name=None)) == COUNTS


def test_polars_takes_arrow(client: Client) -> None:
    call = form("polars", 0).replace("SELECT ...", QUERY)
    frame = eval(call, {"polars": polars, "client": client})
    assert isinstance(frame, polars.DataFrame)
    assert frame.rows() == COUNTS


def test_duckdb_opens_an_address_that_answers_in_csv_or_parquet(server: Server, tmp_path: Path) -> None:
    database = duckdb.connect(config={"extension_directory": str(tmp_path)})
    [extension] = Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension")
    database.load_extension(str(extension))
    for kind, read in (("CSVWithNames", "read_csv"), ("Parquet", "read_parquet")):
        written = form("DuckDB with its extension `httpfs`", server.port).replace(
            "SELECT+...", quote_plus(QUERY)
        )
        source = written.replace("CSVWithNames", kind).replace("read_csv", read)
        asked = f"SELECT name::VARCHAR, events {source} ORDER BY 1"
        assert database.sql(asked).fetchall() == COUNTS


def test_a_reader_of_addresses_gets_lengths_and_ranges_it_can_use(server: Server) -> None:
    """As httpfs asks: HEAD first, then GET of a whole answer."""
    address = f"{server.url}/?database=fairpixel&query=SELECT+1+AS+n+FORMAT+CSVWithNames"
    head = subprocess.run(["curl", "-sS", "-I", address], check=True, capture_output=True, text=True).stdout
    assert head.startswith("HTTP/1.1 200")
    ranged = subprocess.run(
        ["curl", "-sS", "-r", "0-3", address], check=True, capture_output=True, text=True
    ).stdout
    assert ranged == '"n"\n1\n'  # no part of it: an answer is made anew each time
