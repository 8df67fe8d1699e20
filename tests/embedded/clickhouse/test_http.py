"""The HTTP interface by curl and by hand: methods, headers, bodies, encodings, limits, parallel queries."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import lz4.frame
import psutil  # type: ignore[import-untyped]
import pytest

from deploy.embedded.clickhouse.bodies import read_body, zstd
from deploy.embedded.clickhouse.errors import ClickHouseError
from tests.embedded.clickhouse.conftest import PASSWORD, Server
from tests.processes import await_that


def curl(*arguments: str, data: bytes | None = None) -> bytes:
    return subprocess.run(
        ["curl", "-sS", "-m", "60", *arguments], input=data, capture_output=True, check=True
    ).stdout


@pytest.fixture
def table(clickhouse: Server) -> str:
    name = f"t_{uuid4().hex}"
    assert (
        clickhouse.ask(f"CREATE TABLE {name} (n UInt32, s String) ENGINE = MergeTree ORDER BY n").status
        == 200
    )
    return name


@pytest.mark.parametrize("path", ["/", "/ping", "/replicas_status", "/healthz", "/readyz"])
def test_the_small_endpoints_say_ok(clickhouse: Server, path: str) -> None:
    assert curl(clickhouse.url + path) == b"Ok.\n"


def test_metrics_count_errors_by_code(clickhouse: Server) -> None:
    clickhouse.ask("SELECT * FROM no_such_table_for_metrics")
    assert 'fairpixel_clickhouse_queries_failed_total{code="60"}' in clickhouse.get("/metrics").text


def test_a_query_comes_by_address_by_body_or_by_both(clickhouse: Server) -> None:
    assert curl(f"{clickhouse.url}/?query=SELECT+1") == b"1\n"
    assert curl(clickhouse.url, "--data-binary", "SELECT 2") == b"2\n"
    assert curl(f"{clickhouse.url}/?query=SELECT", "--data-binary", "3") == b"3\n"
    assert curl("-I", f"{clickhouse.url}/?query=SELECT+1").startswith(b"HTTP/1.1 200")


def test_insert_data_may_follow_in_the_body_or_in_the_text(clickhouse: Server, table: str) -> None:
    login = ("-u", f"fairpixel:{PASSWORD}")
    curl(*login, f"{clickhouse.url}/?query=INSERT+INTO+{table}+FORMAT+CSV", "--data-binary", "1,a\n")
    curl(
        *login,
        clickhouse.url,
        "--data-binary",
        f"INSERT INTO {table} FORMAT JSONEachRow\n" + '{"n":2,"s":"b"}',
    )
    curl(
        *login, clickhouse.url, "--data-binary", f"INSERT INTO {table} VALUES (3, 'c;'), (2 + 2, upper('d'));"
    )
    curl(*login, clickhouse.url, "--data-binary", f"INSERT INTO {table} SELECT 5, 'e'")
    assert (
        curl(f"{clickhouse.url}/?query=SELECT+*+FROM+{table}+ORDER+BY+n")
        == b"1\ta\n2\tb\n3\tc;\n4\tD\n5\te\n"
    )


def test_get_may_only_read(clickhouse: Server, table: str) -> None:
    answer = curl(
        "-i",
        "-u",
        f"fairpixel:{PASSWORD}",
        "-G",
        clickhouse.url,
        "--data-urlencode",
        f"query=DROP TABLE {table}",
    )
    assert b"X-ClickHouse-Exception-Code: 164" in answer
    assert b"readonly mode. (READONLY)" in answer


def test_a_big_body_is_invited_and_stored(clickhouse: Server, table: str, tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"".join(b"%d\t%s\n" % (n, b"x" * 1000) for n in range(8000)))
    address = f"{clickhouse.url}/?query=INSERT+INTO+{table}+FORMAT+TSV"
    began = time.monotonic()
    for extra in ([], ["-H", "Transfer-Encoding: chunked"]):
        shown = curl("-i", "-u", f"fairpixel:{PASSWORD}", *extra, address, "--data-binary", f"@{path}")
        assert b'"written_rows":"8000"' in shown
    assert time.monotonic() - began < 1.9  # curl waits 1 s for each "100 Continue" that does not come
    assert clickhouse.ask(f"SELECT count() FROM {table}").text == "16000\n"


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("zstd", zstd.compress),
        ("lz4", lz4.frame.compress),
    ],
)
def test_compressed_bodies_are_read(
    clickhouse: Server, table: str, encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    body = encode(b"7,x\n" * 100_000)
    address = f"{clickhouse.url}/?query=INSERT+INTO+{table}+FORMAT+CSV"
    login = ("-u", f"fairpixel:{PASSWORD}", "-H", f"Content-Encoding: {encoding}")
    curl(*login, address, "--data-binary", "@-", data=body)
    assert clickhouse.ask(f"SELECT count() FROM {table}").text == "100000\n"
    assert b"Code: " in curl(*login, address, "--data-binary", "@-", data=body[:-20])
    assert clickhouse.ask(f"SELECT count() FROM {table}").text == "100000\n"  # a body cut short adds nothing


def test_a_query_that_inflates_beyond_the_limit_is_refused(clickhouse: Server) -> None:
    part = gzip.compress(b"\n" * (64 << 20))
    address = f"{clickhouse.url}/?query=" + quote("SELECT 1")
    shown = curl("-i", "-H", "Content-Encoding: gzip", address, "--data-binary", "@-", data=part)
    assert b"HTTP/1.1 413" in shown
    assert b"X-ClickHouse-Exception-Code: 223" in shown


@pytest.mark.parametrize(
    ("encoding", "encode"), [("gzip", gzip.compress), ("zstd", zstd.compress), ("lz4", lz4.frame.compress)]
)
def test_no_more_is_inflated_than_the_limit_and_one_piece(
    encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    packed = encode(bytes(200 << 20))
    headers = Message()
    headers["Content-Encoding"], headers["Content-Length"] = encoding, str(len(packed))
    pieces: list[int] = []
    with pytest.raises(ClickHouseError, match="longer than 10485760 bytes"):
        pieces.extend(len(piece) for piece in read_body(io.BytesIO(packed), headers, 10 << 20))
    assert sum(pieces) <= 10 << 20


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "lz4", "br"])
def test_answers_are_compressed_on_request(clickhouse: Server, encoding: str) -> None:
    query = "/?query=SELECT+number+FROM+numbers(300000)"
    plain = clickhouse.get(query, {"Accept-Encoding": encoding})
    packed = clickhouse.get(query + "&enable_http_compression=1", {"Accept-Encoding": encoding})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == encoding
    if encoding == "gzip":
        assert gzip.decompress(packed.body) == plain.body
    elif encoding == "lz4":
        assert lz4.frame.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)


def test_headers_say_format_type_zone_and_query(clickhouse: Server) -> None:
    headers = clickhouse.ask("SELECT 1 FORMAT CSV", query_id="mine").headers
    assert headers["Content-Type"].startswith("text/csv")
    assert headers["X-ClickHouse-Format"] == "CSV"
    assert headers["X-ClickHouse-Query-Id"] == "mine"
    assert headers["X-ClickHouse-Timezone"]
    assert clickhouse.ask("SELECT 1", default_format="JSON").headers["X-ClickHouse-Format"] == "JSON"
    assert clickhouse.ask("SELECT 1 AS x", headers={"X-ClickHouse-Format": "JSONEachRow"}).text == '{"x":1}\n'


def test_the_database_may_be_named_in_a_header(clickhouse: Server) -> None:
    assert (
        clickhouse.ask("SELECT currentDatabase()", headers={"X-ClickHouse-Database": "system"}).text
        == "system\n"
    )
    assert clickhouse.ask("SELECT 1", database="no_such").status == 404


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELECT (", 400, "62"),
        ("SELECT 1; SELECT 2", 400, "62"),
        ("", 400, "62"),
        ("SELECT no_such_column", 404, "47"),
        ("SELECT * FROM no_such", 404, "60"),
        ("SELECT 1 FORMAT NoSuch", 404, "73"),
        ("SELECT 1 SETTINGS no_such = 1", 404, "115"),
        ("SELECT throwIf(1)", 500, "395"),
    ],
)
def test_errors_have_clickhouses_status_code_and_line(
    clickhouse: Server, query: str, status: int, code: str
) -> None:
    answer = clickhouse.ask(query)
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert answer.text.count("(version ") == 1


@pytest.mark.parametrize(
    "login",
    [
        {"X-ClickHouse-User": "fairpixel", "X-ClickHouse-Key": "no"},
        {"X-ClickHouse-User": "nobody", "X-ClickHouse-Key": PASSWORD},
        {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD},
        {"Authorization": "Basic ZmFpcnBpeGVsOm5v"},
        {"Authorization": "Basic \xff"},
        {"Authorization": "Bearer x"},
    ],
)
def test_a_wrong_login_is_refused_before_anything_runs(clickhouse: Server, login: dict[str, str]) -> None:
    answer = clickhouse.get("/?query=SELECT+1", login)
    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")


@pytest.mark.parametrize(
    "query",
    [
        "CREATE TABLE x (n UInt8) ENGINE = Memory",
        "INSERT INTO system.one VALUES (1)",
        "SET max_threads = 1",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 SETTINGS max_execution_time = 0",
        "DROP DATABASE default",
        "KILL QUERY WHERE 1",
        "CREATE TEMPORARY TABLE x (n UInt8)",
    ],
)
def test_without_a_login_nothing_is_changed(clickhouse: Server, query: str) -> None:
    answer = clickhouse.ask(query, writer=False)
    assert answer.headers.get("X-ClickHouse-Exception-Code") in ("164", "452", "497"), answer.text


def test_without_a_login_settings_and_limits_stay(clickhouse: Server) -> None:
    assert (
        clickhouse.ask("SELECT 1", writer=False, max_execution_time="0").headers[
            "X-ClickHouse-Exception-Code"
        ]
        == "164"
    )
    assert clickhouse.ask("SELECT getSetting('max_execution_time') > 0", writer=False).text in (
        "true\n",
        "1\n",
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_others_are_refused(clickhouse: Server, headers: dict[str, str]) -> None:
    assert clickhouse.get("/?query=SELECT+1", headers).status == 403
    assert clickhouse.get("/?query=SELECT+1", {"Origin": clickhouse.url}).status == 200


def test_ten_million_rows_stream_in_bounded_memory(clickhouse: Server) -> None:
    assert clickhouse.process is not None
    resident = psutil.Process(clickhouse.process.pid).memory_info
    before = resident().rss
    connection = http.client.HTTPConnection("127.0.0.1", clickhouse.port, timeout=60)
    connection.request("GET", "/?query=" + quote("SELECT number, toString(number) FROM numbers(10000000)"))
    answer = connection.getresponse()
    assert answer.headers["Transfer-Encoding"] == "chunked"
    lines = highest = 0
    while piece := answer.read(1 << 20):
        lines += piece.count(b"\n")
        highest = max(highest, resident().rss)
    assert lines == 10_000_000
    assert highest - before < 150 << 20  # the whole answer is 158 MB
    connection.close()


def test_an_error_in_mid_stream_leaves_the_answer_unfinished(clickhouse: Server) -> None:
    query = quote("SELECT throwIf(number = 3000000, 'too far'), number FROM numbers(4000000)")
    with socket.create_connection(("127.0.0.1", clickhouse.port)) as raw:
        raw.sendall(f"GET /?query={query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        parts = []
        while piece := raw.recv(1 << 20):
            parts.append(piece)
    answer = b"".join(parts)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"__exception__" in answer[-600:]
    assert b"too far" in answer[-600:]
    assert not answer.endswith(b"0\r\n\r\n")


def test_a_heavy_query_keeps_nobody_waiting(clickhouse: Server) -> None:
    heavy = threading.Thread(
        target=clickhouse.ask, args=("SELECT sum(cityHash64(number)) FROM numbers(1500000000)",)
    )
    heavy.start()
    connection = http.client.HTTPConnection("127.0.0.1", clickhouse.port, timeout=60)
    took = []
    for _ in range(60):
        began = time.perf_counter()
        connection.request("GET", "/?query=SELECT+1")
        assert connection.getresponse().read() == b"1\n"
        took.append(time.perf_counter() - began)
    assert heavy.is_alive()
    heavy.join()
    assert sorted(took)[30] < 0.05


def test_a_query_ends_when_its_client_leaves(clickhouse: Server) -> None:
    mark = f"left_{uuid4().hex}"
    query = f"SELECT sum(cityHash64(number)) AS {mark} FROM numbers(100000000000)"
    with socket.create_connection(("127.0.0.1", clickhouse.port)) as raw:
        raw.sendall(f"GET /?query={quote(query)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        running = f"SELECT count() FROM system.processes WHERE query LIKE '%{mark}%' AND query NOT LIKE '%processes%'"
        await_that(lambda: clickhouse.ask(running).text == "1\n", 10, "the query runs")
    await_that(lambda: clickhouse.ask(running).text == "0\n", 10, "the query is gone")


def test_statistics_in_a_document_are_real(clickhouse: Server) -> None:
    document = json.loads(clickhouse.ask("SELECT number FROM numbers(1000) FORMAT JSON").text)
    assert document["statistics"]["rows_read"] == 1000
