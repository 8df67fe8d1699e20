"""Nobody, not even the writer, reaches a file, an address or a process through SQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.embedded.clickhouse import allowed
from tests.embedded.clickhouse.conftest import Server
from tests.processes import REPO

# Refused by this server's guard, by the engine's grants, by readonly, or by a constraint on a setting.
REFUSALS = ("497", "164", "452")

QUOTED = "'/etc/passwd'"
ARGUMENTS = {"viewIfPermitted": "SELECT 1 ELSE null('n UInt8')", "viewExplain": "'EXPLAIN', '', (SELECT 1)"}

SHAPES = (
    "SELECT * FROM {0}",
    "SELECT * FROM (SELECT * FROM {0})",
    "WITH x AS (SELECT * FROM {0}) SELECT * FROM x",
    "SELECT 1 WHERE 1 IN (SELECT * FROM {0})",
    "SELECT (SELECT * FROM {0})",
    "SELECT 1 UNION ALL SELECT * FROM {0}",
    "SELECT * FROM system.one AS a JOIN {0} AS b ON 1",
    "SELECT * FROM view(SELECT * FROM {0})",
    "EXPLAIN SELECT * FROM {0}",
    "DESCRIBE TABLE {0}",
    "DESCRIBE TABLE (SELECT * FROM {0})",
    "INSERT INTO FUNCTION {0} SELECT 1",
    "INSERT INTO FUNCTION {0} VALUES (1)",
    "INSERT INTO system.one SELECT * FROM {0}",
    "CREATE TABLE trick AS {0}",
    "CREATE VIEW trick AS SELECT * FROM {0}",
    "CREATE MATERIALIZED VIEW trick ENGINE = Memory AS SELECT * FROM {0}",
    "CREATE TABLE trick ENGINE = Memory AS SELECT * FROM {0}",
)


def names(server: Server, query: str) -> list[str]:
    return server.ask(query).text.split()


def is_refused(server: Server, query: str) -> bool:
    return server.ask(query).headers.get("X-ClickHouse-Exception-Code", "") in REFUSALS


@pytest.mark.parametrize("writer", [True, False])
def test_every_table_function_not_reviewed_is_refused_in_every_place(
    clickhouse: Server, writer: bool
) -> None:
    known = names(clickhouse, "SELECT name FROM system.table_functions")
    outside = [name for name in known if name not in allowed.TABLE_FUNCTIONS]
    assert {"file", "url", "s3", "remote", "python", "executable", "sqlite", "eval", "filesystem"} <= set(
        outside
    )
    passed = []
    for at, name in enumerate(outside):
        # every function in the first shape, and each in three of the others, so that all shapes meet many
        for shape in {SHAPES[0], *(SHAPES[(at * 3 + more) % len(SHAPES)] for more in range(3))}:
            query = shape.format(f"{name}({ARGUMENTS.get(name, QUOTED)})")
            answer = clickhouse.ask(query, writer=writer)
            if answer.headers.get("X-ClickHouse-Exception-Code") not in REFUSALS:
                passed.append((query, answer.text))
    assert passed == []


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("writer", [True, False])
def test_a_file_is_out_of_reach_in_every_shape(clickhouse: Server, shape: str, writer: bool) -> None:
    for call in ("file('/etc/passwd', 'RawBLOB')", "/* x */ `file` ('/etc/passwd', 'RawBLOB')"):
        answer = clickhouse.ask(shape.format(call), writer=writer)
        assert answer.headers.get("X-ClickHouse-Exception-Code") in REFUSALS, answer.text


def test_every_engine_not_reviewed_is_refused(clickhouse: Server) -> None:
    engines = names(clickhouse, "SELECT name FROM system.table_engines")
    passed = [
        name
        for name in engines
        if name not in allowed.TABLE_ENGINES
        and not is_refused(clickhouse, f"CREATE TABLE trick (n UInt8) ENGINE = {name}('/tmp/x')")
    ]
    databases = names(clickhouse, "SELECT name FROM system.database_engines")
    passed += [
        name
        for name in databases
        if name not in allowed.DATABASE_ENGINES
        and not is_refused(clickhouse, f"CREATE DATABASE trick ENGINE = {name}('/tmp')")
    ]
    assert len(engines) > 60
    assert passed == []


def test_the_engine_knows_no_function_that_nobody_has_read(clickhouse: Server) -> None:
    """A new engine may bring new ones; they are refused until they stand in functions.txt or here."""
    known = names(clickhouse, "SELECT name FROM system.functions")
    unread = {name for name in known if not allowed.is_function(name)}
    assert unread == allowed.REFUSED_FUNCTIONS
    formats = names(clickhouse, "SELECT name FROM system.formats")
    assert set(formats) <= allowed.INPUT_FORMATS | allowed.OUTPUT_FORMATS | allowed.REFUSED_FORMATS


@pytest.mark.parametrize(
    "query",
    [
        "SELECT file('/etc/passwd')",
        "SELECT FILE('/etc/passwd')",
        "SELECT arrayMap(x -> file(x), ['/etc/passwd'])",
        "SELECT * APPLY(file) FROM (SELECT '/etc/passwd')",
        "SELECT * APPLY(x -> file(x)) FROM (SELECT '/etc/passwd')",
        "SELECT * REPLACE(file('/etc/passwd') AS dummy) FROM system.one",
        "SELECT 1 ORDER BY file('/etc/passwd')",
        "SELECT aiGenerate('x')",
        "SELECT hasColumnInTable('127.0.0.1:1', 'a', 'b', 'c', 'd', 'e')",
        "SELECT * FROM `/etc/passwd`",
        "SELECT * FROM default.`/etc/passwd`",
        "SELECT 1 INTO OUTFILE '/tmp/trick'",
        "SELECT 1 INTO OUTFILE '/dev/fd/2' APPEND",
        "SHOW TABLES INTO OUTFILE '/tmp/trick'",
        "EXPLAIN SELECT 1 INTO OUTFILE '/tmp/trick'",
        "DESCRIBE TABLE system.one INTO OUTFILE '/tmp/trick'",
        "SHOW CREATE TABLE system.one INTO OUTFILE '/tmp/trick'",
        "EXISTS TABLE system.one INTO OUTFILE '/tmp/trick'",
        "INSERT INTO system.one FROM INFILE '/etc/passwd' FORMAT CSV",
        "CREATE TABLE trick (s String DEFAULT file('/etc/passwd')) ENGINE = Memory",
        "CREATE TABLE trick (s String MATERIALIZED file('/etc/passwd')) ENGINE = Memory",
        "CREATE TABLE trick (n UInt8) ENGINE = MergeTree ORDER BY n SETTINGS disk = disk(type = local, path = '/tmp/')",
        "CREATE TABLE trick (n UInt8) ENGINE = MergeTree ORDER BY n SETTINGS storage_policy = 'x'",
        "ALTER TABLE system.one MODIFY SETTING disk = 'x'",
        "ALTER TABLE system.one UPDATE dummy = length(file('/etc/passwd')) WHERE 1",
        "ALTER TABLE system.one FREEZE",
        "ALTER TABLE system.one FETCH PARTITION 1 FROM '/x'",
        "ALTER TABLE system.one MOVE PARTITION 1 TO DISK 'x'",
        "ATTACH TABLE trick FROM '/tmp/' (n UInt8) ENGINE = Memory",
        "CREATE DICTIONARY trick (n UInt8) PRIMARY KEY n SOURCE(FILE(PATH '/etc/passwd' FORMAT 'TSV')) "
        "LAYOUT(FLAT()) LIFETIME(0)",
        "CREATE DICTIONARY trick (n UInt8) PRIMARY KEY n SOURCE(EXECUTABLE(COMMAND 'id' FORMAT 'TSV')) "
        "LAYOUT(FLAT()) LIFETIME(0)",
        "CREATE DICTIONARY trick (n UInt8) PRIMARY KEY n SOURCE(HTTP(URL 'http://127.0.0.1' FORMAT 'TSV')) "
        "LAYOUT(FLAT()) LIFETIME(0)",
        "CREATE FUNCTION trick AS (x) -> file(x)",
        "CREATE NAMED COLLECTION trick AS url = 'http://127.0.0.1'",
        "CREATE USER trick",
        "GRANT ALL ON *.* TO default",
        "BACKUP DATABASE default TO File('/tmp/trick')",
        "RESTORE DATABASE default FROM File('/tmp/trick')",
        "SYSTEM SHUTDOWN",
        "SYSTEM RELOAD CONFIG",
        "SELECT 1 PARALLEL WITH SELECT 2",
        "SET format_schema = '/etc/passwd'",
        "SET dialect = 'prql'",
        "SET input_format_values_interpret_expressions = 1",
        "SET additional_table_filters = {'system.one': 'length(file(''/etc/passwd'')) > 0'}",
        "SELECT 1 SETTINGS additional_table_filters = {'system.one': 'length(file(''/etc/passwd'')) > 0'}",
        "SELECT 1 SETTINGS `format_schema` = '/etc/passwd'",
        "SELECT 1 FORMAT CSV SETTINGS output_format_schema = '/tmp/trick'",
        "SELECT 1 SETTINGS input_format_record_errors_file_path = '/tmp/trick'",
        "SELECT 1 SETTINGS format_avro_schema_registry_url = 'http://127.0.0.1'",
        "SELECT * FROM format(Values, 's String', '(file(''/etc/passwd''))')",
        "SELECT * FROM format('values', 's String', concat('(fi', 'le(''/etc/passwd''))'))",
    ],
)
@pytest.mark.parametrize("writer", [True, False])
def test_no_side_endpoint_leads_out(clickhouse: Server, query: str, writer: bool, tmp_path: Path) -> None:
    trick = tmp_path / "trick"
    answer = clickhouse.ask(query.replace("/tmp/trick", str(trick)), writer=writer)
    assert answer.status != 200
    assert "root:" not in answer.text
    assert answer.headers["X-ClickHouse-Exception-Code"] in (*REFUSALS, "60")
    assert not trick.exists()


def test_settings_in_the_address_are_judged_like_those_in_the_text(clickhouse: Server) -> None:
    for name in ("format_schema", "dialect", "additional_table_filters", "readonly", "url_base"):
        answer = clickhouse.ask("SELECT 1", **{name: "1"})  # type: ignore[arg-type]
        assert answer.headers["X-ClickHouse-Exception-Code"] == "452", name


def test_values_are_no_way_to_run_what_may_not_be_run(clickhouse: Server) -> None:
    clickhouse.ask("CREATE TABLE IF NOT EXISTS valued (s String) ENGINE = Memory")
    for data in (
        "(file('/etc/passwd'))",
        "((SELECT file('/etc/passwd')))",
        "((SELECT * FROM format(Values, 's String', concat('(fi', 'le(''/etc/passwd''))'))))",
        "(/* ' */ file('/etc/passwd') /* ' */)",
        "($$'$$ || file('/etc/passwd'))",
    ):
        assert clickhouse.ask(f"INSERT INTO valued VALUES {data}").status != 200
    assert clickhouse.ask("INSERT INTO valued VALUES ('a file (''x'')'), ('b')").status == 200
    assert clickhouse.ask("SELECT count() FROM valued").text == "2\n"


def test_a_hidden_second_statement_never_runs(clickhouse: Server) -> None:
    for query in (
        "SELECT 1; CREATE TABLE second (n UInt8) ENGINE = Memory",
        "SELECT 1 /* ; */; CREATE TABLE second (n UInt8) ENGINE = Memory",
        "DESCRIBE TABLE system.one; CREATE TABLE second (n UInt8) ENGINE = Memory",
        "SELECT 1 FORMAT CSV; CREATE TABLE second (n UInt8) ENGINE = Memory; SELECT (",
    ):
        assert clickhouse.ask(query).headers["X-ClickHouse-Exception-Code"] == "62"
    assert clickhouse.ask("EXISTS TABLE second").text == "0\n"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT format FROM (SELECT 1 AS format)",
        "SELECT 1 AS x -- FORMAT JSON",
        "WITH 1 AS y SELECT y /* ; */ FORMAT CSV;",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SELECT 'INTO OUTFILE ''/tmp/x''' AS \"FORMAT\"",
        "SELECT sumIf(number, number > 1), uniqState(number), quantilesTDigest(0.5)(number) FROM numbers(9)",
        "SELECT row_number() OVER (ORDER BY number), number BETWEEN 1 AND 2 FROM numbers(3)",
        "SELECT $$heredoc FORMAT CSV$$",
        "FROM numbers(2) SELECT number",
        "DESCRIBE TABLE system.one",
        "SHOW TABLES FROM system",
        "EXPLAIN PIPELINE SELECT 1",
        "EXISTS TABLE system.one",
        "SHOW COLUMNS FROM system.one",
    ],
)
def test_what_stays_inside_is_answered(clickhouse: Server, query: str) -> None:
    answer = clickhouse.ask(query, writer=False)
    assert answer.status == 200, answer.text


def test_codecs_indexes_projections_and_ttl_are_no_functions(clickhouse: Server) -> None:
    answer = clickhouse.ask(
        "CREATE TABLE shaped (d DateTime CODEC(DoubleDelta, ZSTD(1)), s LowCardinality(String) CODEC(LZ4HC), "
        "n Float64 CODEC(Gorilla, LZ4), INDEX i s TYPE bloom_filter(0.01) GRANULARITY 1, INDEX j n TYPE minmax, "
        "PROJECTION p (SELECT s, sum(n) GROUP BY s)) ENGINE = MergeTree PARTITION BY toYYYYMM(d) ORDER BY (s, d) "
        "TTL d + INTERVAL 7 DAY DELETE WHERE n = 0 SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1"
    )
    assert answer.status == 200, answer.text
    assert clickhouse.ask("SELECT arrayMap(x -> x + 1, [1])").text == "[2]\n"


def test_a_table_can_be_shown_as_it_was_made(clickhouse: Server) -> None:
    clickhouse.ask("CREATE TABLE shown (n UInt8) ENGINE = Memory")
    assert clickhouse.ask("SHOW CREATE TABLE shown", writer=False).text.startswith(
        "CREATE TABLE default.shown"
    )


def test_the_engine_itself_refuses_sources_where_the_guard_is_gone(tmp_path: Path) -> None:
    """The second wall: what the engine grants its only user names no source, no SYSTEM and no backup."""
    script = """
import sys
import subprocess
import sys
from pathlib import Path
from deploy.embedded.clickhouse.data_lock import hold
from deploy.embedded.clickhouse.engine import Engine
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.settings import ClickHouseSettings
engine = Engine(ClickHouseSettings(Path(sys.argv[1]), 1, "fairpixel", "x"), hold(Path(sys.argv[1])))
for query in sys.argv[2:]:
    with engine.connect() as connection:
        try:
            connection.run(query, "TSV")
        except ClickHouseError as error:
            print(error.code)
        else:
            print("passed", query)
engine.close()
"""
    queries = [
        "SELECT * FROM file('/etc/passwd', 'RawBLOB')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'RawBLOB')",
        "SELECT * FROM remote('127.0.0.1:1', system.one)",
        "CREATE TABLE t (n UInt8) ENGINE = File(TSV)",
        f"BACKUP DATABASE default TO File('{tmp_path}/trick')",
        "CREATE USER trick",
        "CREATE NAMED COLLECTION trick AS a = 1",
    ]
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), *queries],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["497"] * len(queries)


def test_the_lists_are_no_wider_than_the_engine(clickhouse: Server) -> None:
    assert set(names(clickhouse, "SELECT name FROM system.table_functions")) >= allowed.TABLE_FUNCTIONS
    assert set(names(clickhouse, "SELECT name FROM system.table_engines")) >= allowed.TABLE_ENGINES
