"""clickhouse-connect's own client, unchanged: inserts, queries, parameters, Arrow, streams and errors."""

from __future__ import annotations

import io
import json
from datetime import datetime
from uuid import uuid4

import clickhouse_connect
import fastavro
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from tests.embedded.clickhouse.conftest import Server

ROWS = [[1, "a'b\n\t\\", datetime(2026, 1, 2), ["x", "y"], None], [2, "ünï\0", datetime(2026, 1, 3), [], 1.5]]
COLUMNS = ["n", "s", "at", "list", "maybe"]


@pytest.fixture
def table(client: Client) -> str:
    name = f"t_{uuid4().hex}"
    client.command(
        f"CREATE TABLE {name} (n UInt32, s String, at DateTime, list Array(String), maybe Nullable(Float64)) "
        "ENGINE = MergeTree ORDER BY n"
    )
    return name


@pytest.mark.parametrize("compression", [False, "lz4", "zstd", "gzip"])
def test_rows_come_back_as_they_were_inserted(
    clickhouse: Server, table: str, compression: str | bool
) -> None:
    client = clickhouse.client(compress=compression)
    summary = client.insert(table, ROWS, column_names=COLUMNS)
    assert summary.written_rows == 2
    assert [list(row) for row in client.query(f"SELECT * FROM {table} ORDER BY n").result_rows] == ROWS


def test_columns_are_inserted_as_columns(client: Client, table: str) -> None:
    client.insert(table, [[7, 8], ["x", "y"]], column_names=["n", "s"], column_oriented=True)
    assert client.query(f"SELECT n, s FROM {table} ORDER BY n").result_rows == [(7, "x"), (8, "y")]


def test_parameters_arrive_whatever_they_hold(client: Client) -> None:
    values = {"s": "it's\t\\n\n\r\"", "list": [1, 2], "name": "number", "at": datetime(2026, 1, 2, 3, 4, 5)}
    query = "SELECT {s:String}, {list:Array(UInt8)}, {at:DateTime}, {name:Identifier} FROM numbers(1)"
    assert client.query(query, parameters=values).first_row == (values["s"], [1, 2], values["at"], 0)


def test_parameters_may_travel_as_a_form(clickhouse: Server) -> None:
    client = clickhouse.client(form_encode_query_params=True)
    assert client.query("SELECT {x:String}", parameters={"x": "a&b=c"}).first_row == ("a&b=c",)


def test_settings_hold_for_their_query_alone(client: Client) -> None:
    ask = "SELECT getSetting('max_block_size')"
    before = client.query(ask).first_row
    assert client.query(ask, settings={"max_block_size": 1234}).first_row == (1234,)
    assert client.query(ask).first_row == before


def test_set_holds_for_the_session_of_its_client(clickhouse: Server) -> None:
    ask = "SELECT getSetting('max_block_size')"
    before = clickhouse.client().query(ask).first_row
    client = clickhouse.client(session_id=uuid4().hex)
    client.command("SET max_block_size = 77")
    assert client.query(ask).first_row == (77,)
    client.command("SET max_block_size = DEFAULT")
    assert client.query(ask).first_row == before
    client.command("SET max_block_size = 77")
    assert clickhouse.client().query(ask).first_row == before


def test_the_database_of_a_client_is_where_its_names_are_looked_up(
    clickhouse: Server, client: Client
) -> None:
    name = f"d_{uuid4().hex}"
    client.command(f"CREATE DATABASE {name}")
    other = clickhouse.client(database=name)
    other.command("CREATE TABLE here (n UInt8) ENGINE = Memory")
    assert client.command(f"EXISTS {name}.here") == 1
    assert other.query("SELECT currentDatabase()").first_row == (name,)


def test_arrow_goes_in_and_comes_out(client: Client, table: str) -> None:
    sent = pa.table({"n": pa.array([5, 6], pa.uint32()), "s": pa.array(["p", "q"])})
    client.insert_arrow(table, sent)
    got = client.query_arrow(f"SELECT n, s FROM {table} ORDER BY n")
    assert got.to_pydict() == sent.to_pydict()


def test_arrow_streams_in_many_batches(client: Client) -> None:
    with client.query_arrow_stream("SELECT number, toString(number) AS s FROM numbers(500000)") as stream:
        counts = [batch.num_rows for batch in stream]
    assert sum(counts) == 500_000
    assert len(counts) > 1


def test_rows_stream_in_blocks(client: Client) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(1000000)") as stream:
        assert sum(row[0] for block in stream for row in block) == 499_999_500_000


def test_avro_bytes_are_inserted_unread(client: Client, table: str) -> None:
    schema = {
        "type": "record",
        "name": "r",
        "fields": [{"name": "n", "type": "int"}, {"name": "s", "type": "string"}],
    }
    body = io.BytesIO()
    fastavro.writer(body, schema, [{"n": n, "s": f"FORMAT CSV\n{n}\0"} for n in range(100)])
    settings = {"input_format_avro_allow_missing_fields": 1, "async_insert": 0}
    assert client.raw_insert(table, None, body.getvalue(), settings=settings, fmt="Avro").written_rows == 100
    assert client.query(f"SELECT s FROM {table} WHERE n = 10").first_row == ("FORMAT CSV\n10\0",)


@pytest.mark.parametrize(
    "name", ["JSON", "JSONCompact", "CSVWithNames", "Parquet", "Arrow", "Native", "XML", "Pretty"]
)
def test_a_long_answer_is_one_whole_document(client: Client, name: str) -> None:
    body = client.raw_query(f"SELECT number AS n FROM numbers(300000) FORMAT {name}")
    if name.startswith("JSON"):
        document = json.loads(body)
        assert document["rows"] == len(document["data"]) == 300_000
    elif name in ("Arrow", "Parquet"):
        source = pa.BufferReader(body)
        table = pa.ipc.open_file(source).read_all() if name == "Arrow" else parquet.read_table(source)
        assert table.num_rows == 300_000
    elif name == "CSVWithNames":
        assert body.splitlines()[0] == b'"n"'
        assert len(body.splitlines()) == 300_001
    else:
        assert len(body) > 10_000


def test_a_table_sent_with_the_query_can_be_read_by_anybody(clickhouse: Server) -> None:
    reader = clickhouse_connect.get_client(host="127.0.0.1", port=clickhouse.port)
    sent = ExternalData(data=b"1\n2\n", fmt="CSV", file_name="e", structure=["n UInt8"])
    assert reader.query("SELECT sum(n) FROM e", external_data=sent).first_row == (3,)


def test_an_error_has_clickhouses_code_name_and_version(client: Client) -> None:
    with pytest.raises(
        DatabaseError, match=r"Code: 60\. DB::Exception: .*no_such.* \(UNKNOWN_TABLE\) \(version 26"
    ) as caught:
        client.query("SELECT * FROM no_such")
    assert caught.value.code == 60


def test_an_error_after_the_first_rows_ends_the_stream_with_its_text(client: Client) -> None:
    query = "SELECT throwIf(number = 3000000, 'too far'), number FROM numbers(4000000)"
    with (
        client.query_row_block_stream(query) as stream,
        pytest.raises(StreamFailureError, match=r"395.*too far"),
    ):
        list(stream)


def test_a_wrong_password_is_refused_with_516(clickhouse: Server) -> None:
    with pytest.raises(DatabaseError, match="Authentication failed") as caught:
        clickhouse.client(password="wrong")
    assert caught.value.code == 516


def test_the_summary_counts_what_was_read_and_written(client: Client, table: str) -> None:
    client.insert(table, ROWS, column_names=COLUMNS)
    summary = client.query(f"SELECT n FROM {table} WHERE n = 1").summary
    assert (summary["read_rows"], summary["result_rows"]) == ("2", "1")
    assert int(summary["read_bytes"]) > 0
    assert int(summary["elapsed_ns"]) > 0
