"""Hostile queries: a reader reads no file, writes nothing, keeps their limits and sees nobody's queries."""

from __future__ import annotations

import signal
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from deploy.embedded.clickhouse import allowed
from tests.attacks.refusals import MARK, REFUSALS, assert_refused, code
from tests.embedded.clickhouse.conftest import Answer, Server

# Refused, or no statement of the engine's at all.
UNANSWERED = (*REFUSALS, "62", "36", "47", "46", "306", "73")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("attacked"))
    server.start()
    for statement in (
        "CREATE TABLE kept (n UInt64, s String) ENGINE = MergeTree ORDER BY n",
        "INSERT INTO kept VALUES (1, 'one')",
        "CREATE TABLE named (file String, processes UInt8) ENGINE = Memory",
        "INSERT INTO named VALUES ('a column', 7)",
    ):
        assert server.ask(statement).status == 200
    yield server
    server.end(signal.SIGTERM)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("secret") / "ring"
    path.write_text(MARK)
    return str(path)


# Rows 7 and 8: what the engine cannot cancel inside a block keeps a slot until the process is restarted.


@pytest.mark.parametrize("name", sorted(allowed.SLOW_FUNCTIONS))
def test_a_reader_calls_no_quadratic_function_that_the_engine_cannot_cancel(
    server: Server, name: str
) -> None:
    spelled = {known.lower(): known for known in allowed.functions()}[name]
    for call in (
        f"SELECT {spelled}('a', 'b')",
        f"SELECT `{spelled}`('a', 'b')",
        f"SELECT arrayMap({spelled}, ['a'], ['b'])",
        f"SELECT arrayMap((x, y) -> {spelled}(x, y), ['a'], ['b'])",
        f"WITH (x, y) -> {spelled}(x, y) AS near SELECT near('a', 'b')",
    ):
        assert_refused(server.ask(call, writer=False))


def test_the_writer_may_compare_texts_by_their_distance(server: Server) -> None:
    assert server.ask("SELECT editDistance('kitten', 'sitting')").text == "3\n"


# Row 2: a function is named in many ways, and not only where it is called.

SPELLINGS = ("file", "`file`", '"file"', "(file)", "/* x */ file", "`fi\\x6ce`")
PLACES = (
    "SELECT arrayMap({0}, ['PATH'])",
    "SELECT arrayFilter({0}, ['PATH'])",
    "SELECT arraySort({0}, ['PATH'])",
    "SELECT arrayFold({0}, ['PATH'], '')",
    "SELECT mapApply({0}, map('a', 'PATH'))",
    "SELECT arrayMap(x -> arrayMap({0}, [x]), ['PATH'])",
    "SELECT (SELECT arrayMap({0}, ['PATH']))",
    "SELECT 1 WHERE has(arrayMap({0}, ['PATH']), 'x')",
    "SELECT 1 ORDER BY arrayMap({0}, ['PATH'])",
    "SELECT n FROM numbers(1) ARRAY JOIN arrayMap({0}, ['PATH']) AS n",
    "WITH arrayMap({0}, ['PATH']) AS a SELECT a",
    "WITH a AS (SELECT arrayMap({0}, ['PATH']) AS b) SELECT b FROM a",
    "SELECT * FROM view(SELECT arrayMap({0}, ['PATH']))",
    "SELECT * FROM values(arrayMap({0}, ['PATH']))",
    "SELECT * FROM format(RawBLOB, 's String', arrayStringConcat(arrayMap({0}, ['PATH'])))",
    "SELECT * APPLY(x -> arrayMap({0}, [x])) FROM (SELECT 'PATH')",
    "SELECT * APPLY {0} FROM (SELECT 'PATH')",
    "SELECT * REPLACE(arrayMap({0}, ['PATH']) AS dummy) FROM system.one",
    "SELECT sum(1) OVER (ORDER BY arrayMap({0}, ['PATH']))",
    "SELECT count() FILTER (WHERE has(arrayMap({0}, ['PATH']), 'x'))",
    "SELECT {0} AS f, arrayMap(f, ['PATH'])",
    "EXPLAIN SYNTAX SELECT arrayMap({0}, ['PATH'])",
    "EXPLAIN SELECT arrayMap({0}, ['PATH'])",
    "EXPLAIN QUERY TREE SELECT arrayMap({0}, ['PATH'])",
    "DESCRIBE TABLE (SELECT arrayMap({0}, ['PATH']))",
    "DESCRIBE (SELECT * APPLY({0}) FROM (SELECT 'PATH'))",
    "DESC (SELECT arrayMap({0}, ['PATH']))",
    "SELECT 1 UNION ALL SELECT length(arrayMap({0}, ['PATH']))",
    "SELECT 1 LIMIT length(arrayMap({0}, ['PATH']))",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("writer", [True, False])
def test_no_place_takes_the_name_of_a_function_that_opens_files(
    server: Server, secret: str, place: str, writer: bool
) -> None:
    for spelling in SPELLINGS:
        answer = server.ask(place.format(spelling).replace("PATH", secret), writer=writer)
        # Some places take no bracketed or commented name: then it is no statement.
        assert_refused(answer, (*REFUSALS, "62"))


@pytest.mark.parametrize(
    "call",
    [
        "WITH x -> file(x) AS f SELECT f('PATH')",
        "WITH x -> file(x) AS file SELECT file('PATH')",
        "SELECT (x -> file(x))('PATH')",
        "WITH (x -> x) AS file, (SELECT file('PATH')) AS y SELECT y",
        "SELECT arrayMap({f:Identifier}, ['PATH'])",
        "SELECT {f:Identifier}('PATH')",
        "SELECT arrayReduce('file', ['PATH'])",
    ],
)
@pytest.mark.parametrize("value", ["file", "`file`", "fi\\x6ce", "FILE", "\\x66ile"])
def test_lambdas_aliases_and_parameters_name_no_such_function(
    server: Server, secret: str, call: str, value: str
) -> None:
    assert_refused(server.ask(call.replace("PATH", secret), writer=False, param_f=value), UNANSWERED)
    assert_refused(server.ask(call.replace("PATH", secret), param_f=value), UNANSWERED)


STRUCTURES = (
    "a UInt8, b String ALIAS file('PATH')",
    "a UInt8, b String DEFAULT file('PATH')",
    "a UInt8, b String MATERIALIZED file('PATH')",
    "a UInt8, b String EPHEMERAL file('PATH')",
    "a UInt8, b DEFAULT file('PATH')",
    "a UInt8, b String ALIAS arrayMap(file, ['PATH'])[1]",
    "a UInt8, b String ALIAS (SELECT arrayMap(file, ['PATH'])[1])",
    "a UInt8 TTL toDate(file('PATH')), b String",
    "index UInt8, b String ALIAS file('PATH')",
    "a UInt8, constraint UInt8, b String ALIAS file('PATH')",
    "projection UInt8, b String ALIAS file('PATH')",
    "a UInt8, /* ' */ b String ALIAS file('PATH') /* ' */",
    "a UInt8, b String ALIAS file($$PATH$$)",
    "a UInt8 -- ,\n, b String ALIAS file('PATH')",
)
TAKERS = (
    "SELECT b FROM values({0}, (1))",
    "SELECT b FROM values({0}, (1), (2))",
    "SELECT b FROM format(CSV, {0}, '1')",
    "SELECT b FROM format('JSONEachRow', {0}, '{{}}')",
    "SELECT b FROM generateRandom({0}) LIMIT 1",
    "SELECT b FROM generateRandom({0}, 1, 2, 3) LIMIT 1",
    "SELECT b FROM null({0})",
    "SELECT b FROM (SELECT * FROM values({0}, (1)))",
    "DESCRIBE TABLE values({0}, (1))",
    "DESCRIBE values({0}, (1))",
    "SELECT b FROM input({0})",
    "INSERT INTO FUNCTION null({0}) SELECT 1",
    "CREATE TABLE trick AS values({0}, (1))",
    "CREATE VIEW trick AS SELECT b FROM values({0}, (1))",
    "SELECT b FROM values(concat({0}, ''), (1))",
    "SELECT b FROM values(materialize({0}), (1))",
    "WITH {0} AS s SELECT b FROM values(s, (1))",
    "SELECT b FROM values((SELECT {0}), (1))",
    "SELECT b FROM values({{s:String}}, (1))",
    "SELECT b FROM generateRandom({{s:String}}) LIMIT 1",
    "SELECT b FROM values({{tuple:String}}, (1))",
    "SELECT b FROM generateRandom({{tuple:String}}) LIMIT 1",
    "WITH {0} AS tuple SELECT b FROM values(tuple, (1))",
    "WITH x -> {0} AS tuple SELECT b FROM values(tuple(1), (1))",
    "WITH x -> {0} AS f, f AS tuple SELECT b FROM values(tuple(1), (1))",
)


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("writer", [True, False])
def test_a_text_of_columns_holds_names_and_types_only(
    server: Server, secret: str, taker: str, writer: bool
) -> None:
    for structure in STRUCTURES:
        text = structure.replace("PATH", secret)
        quoted = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
        assert_refused(server.ask(taker.format(quoted), writer=writer, param_s=text, param_tuple=text))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM format(Values, 's String', '(file(''PATH''))')",
        "WITH 'Values' AS CSV SELECT * FROM format(CSV, 's String', '(file(''PATH''))')",
        "SELECT * FROM format({f:Identifier}, 's String', '(file(''PATH''))')",
        "SELECT * FROM format({f:String}, 's String', '(file(''PATH''))')",
        "SELECT * FROM format(concat('Val', 'ues'), 's String', '(file(''PATH''))')",
        "SELECT * FROM format(Protobuf, 's String', 'x')",
        "SELECT * FROM format(CapnProto, 's String', 'x')",
        "SELECT * FROM format(Template, 's String', 'x')",
        "SELECT formatRow('Template', 1)",
        "SELECT formatRow(concat('Temp', 'late'), 1)",
        "SELECT groupFormat('Template')(1)",
        "SELECT 1 FORMAT Protobuf",
        "SELECT 1 FORMAT CapnProto",
        "SELECT 1 FORMAT MySQLWire",
    ],
)
def test_a_format_is_plain_and_written_out(server: Server, secret: str, query: str) -> None:
    for writer in (True, False):
        assert_refused(server.ask(query.replace("PATH", secret), writer=writer, param_f="Values"), UNANSWERED)
    assert_refused(server.ask("SELECT 1", writer=False, default_format="Protobuf"))
    assert_refused(server.ask("SELECT 1", default_format="CSV SETTINGS max_threads = 1"), UNANSWERED)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE trick (s String DEFAULT arrayMap(file, ['PATH'])[1]) ENGINE = Memory",
        "CREATE TABLE trick (s String ALIAS arrayMap(file, ['PATH'])[1]) ENGINE = Memory",
        "CREATE TABLE trick (s String MATERIALIZED arrayMap(file, ['PATH'])[1]) ENGINE = Memory",
        "CREATE TABLE trick (s String EPHEMERAL arrayMap(file, ['PATH'])[1]) ENGINE = Memory",
        "CREATE TABLE trick (d Date TTL d + toIntervalDay(length(arrayMap(file, ['PATH'])[1]))) "
        "ENGINE = MergeTree ORDER BY tuple()",
        "CREATE TABLE trick (n UInt8, CONSTRAINT c CHECK has(arrayMap(file, ['PATH']), 'x')) ENGINE = Memory",
        "CREATE TABLE trick (n UInt8, INDEX i arrayMap(file, ['PATH']) TYPE minmax) ENGINE = MergeTree ORDER BY n",
        "CREATE TABLE trick (n UInt8, PROJECTION p (SELECT arrayMap(file, ['PATH']))) ENGINE = MergeTree ORDER BY n",
        "CREATE TABLE trick (n UInt8) ENGINE = MergeTree ORDER BY arrayMap(file, ['PATH'])",
        "CREATE TABLE trick (n UInt8) ENGINE = MergeTree ORDER BY n PARTITION BY arrayMap(file, ['PATH'])[1]",
        "CREATE VIEW trick AS SELECT arrayMap(file, ['PATH'])",
        "CREATE MATERIALIZED VIEW trick ENGINE = Memory AS SELECT arrayMap(file, ['PATH']) FROM kept",
        "CREATE MATERIALIZED VIEW trick REFRESH EVERY 1 SECOND ENGINE = Memory AS SELECT arrayMap(file, ['PATH'])",
        "CREATE FUNCTION trick AS x -> arrayMap(file, [x])",
        "ALTER TABLE kept ADD COLUMN t String DEFAULT arrayMap(file, ['PATH'])[1]",
        "ALTER TABLE kept MODIFY COLUMN s String DEFAULT arrayMap(file, ['PATH'])[1]",
        "ALTER TABLE kept UPDATE s = arrayMap(file, ['PATH'])[1] WHERE 1",
        "ALTER TABLE kept DELETE WHERE has(arrayMap(file, ['PATH']), 'x')",
        "ALTER TABLE kept ADD CONSTRAINT c CHECK has(arrayMap(file, ['PATH']), 'x')",
        "ALTER TABLE kept ADD INDEX i arrayMap(file, ['PATH']) TYPE minmax",
        "ALTER TABLE kept MODIFY TTL toDate(0) + length(arrayMap(file, ['PATH'])[1])",
        "DELETE FROM kept WHERE has(arrayMap(file, ['PATH']), 'x')",
        "INSERT INTO kept SELECT 1, arrayMap(file, ['PATH'])[1]",
        "INSERT INTO kept (* REPLACE(arrayMap(file, ['PATH'])[1] AS s)) FORMAT TSV\n1\tx",
        "INSERT INTO kept VALUES (1, arrayMap(file, ['PATH'])[1])",
        "INSERT INTO kept VALUES (1, arrayMap(`fi\\x6ce`, ['PATH'])[1])",
        "INSERT INTO kept VALUES (1, (SELECT * FROM values('a UInt8, b String ALIAS fi' || 'le(1)', 1)))",
        "KILL QUERY WHERE has(arrayMap(file, ['PATH']), 'x')",
    ],
)
def test_a_writer_stores_no_expression_that_opens_files(server: Server, secret: str, statement: str) -> None:
    answer = server.ask(statement.replace("PATH", secret))
    # VALUES that may not be evaluated are no literals either: the engine's own errors of parsing.
    assert_refused(answer, (*REFUSALS, "62", "27", "26", "6", "41") if "VALUES" in statement else UNANSWERED)
    assert MARK not in server.ask("SELECT * FROM kept").text


def test_a_column_may_be_called_like_a_refused_function(server: Server) -> None:
    for query, rows in (
        ("SELECT file FROM named", "a column\n"),
        ("SELECT upper(named.file) FROM named", "A COLUMN\n"),
        ("SELECT n.file FROM named AS n GROUP BY n.file ORDER BY n.file", "a column\n"),
        ("SELECT processes FROM named", "7\n"),
        ("SELECT arrayMap(upper, ['a'])", "['A']\n"),
        ("WITH x -> x + 1 AS next SELECT next(1)", "2\n"),
        ("SELECT sum(n) FROM values('n UInt8, s LowCardinality(String)', (1, 'a'), (2, 'b'))", "3\n"),
        ("SELECT count() FROM values('a', 'b')", "2\n"),
        ("SELECT * FROM format(JSONEachRow, 'n UInt8', '{\"n\": 1}')", "1\n"),
        ("SELECT * FROM format(CSV, '1,2')", "1\t2\n"),
        ("SELECT JSONExtract('{\"a\": 1}', 'a', 'Nullable(UInt8)')", "1\n"),
        ("SELECT CAST('1' AS Decimal(10, 2)), '1'::UInt8", "1\t1\n"),
        ("SELECT JSON_VALUE('{\"a\": [1, 2]}', '$.a[1]'), JSON_EXISTS('{}', '$.a')", "2\t0\n"),
    ):
        # format() makes a temporary table inside the engine: for those who may write.
        answer = server.ask(query, writer="format(" in query)
        assert (answer.status, answer.text) == (200, rows), f"{query}: {answer.text}"


# Row 3: tables sent along with a query.


def send(server: Server, structure: str, data: str, *, writer: bool = False, **fields: str) -> Answer:
    """A reader's query with an external table `x`."""
    boundary = uuid.uuid4().hex
    parts = {"query": "SELECT * FROM x", "x_structure": structure, **fields}
    body = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in parts.items()
    )
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="x"; filename="x"'
    body += f"{head}\r\n\r\n{data}\r\n--{boundary}--\r\n"
    login = "user=fairpixel&password=correct+horse" if writer else ""
    request = urllib.request.Request(
        f"{server.url}/?{login}",
        data=body.encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    return server._send(request)


@pytest.mark.parametrize(
    "structure",
    [
        "n UInt64, s String) ENGINE = Buffer('default', 'kept', 1, 0, 0, 1, 1, 1, 1) --",
        "n UInt64, s String) ENGINE = Merge('default', 'kept') --",
        "n UInt64) ENGINE = Memory AS SELECT sleep(1) --",
        "n UInt64) ENGINE = Memory AS SELECT number FROM numbers(10) --",
        "n UInt64) AS kept --",
        "n UInt64) ENGINE = Memory SETTINGS max_threads = 1 --",
        "n UInt64) ENGINE = Memory COMMENT 'x' /*",
        "n UInt64) ENGINE = Memory; DROP TABLE kept --",
        "n UInt64, s String DEFAULT file('PATH')",
        "n UInt64, s String ALIAS arrayMap(file, ['PATH'])[1]",
        "n UInt64 DEFAULT 1",
        "n UInt64 CODEC(ZSTD)",
        "n UInt64 TTL now()",
        "n UInt64, INDEX i n TYPE minmax",
        "n UInt64, CONSTRAINT c CHECK sleep(1)",
        "n UInt64, PROJECTION p (SELECT n)",
        "n AggregateFunction(groupBitmap, UInt32)",
        "n Array(AggregateFunction(uniq, String))",
        "n UInt64 PRIMARY KEY, PRIMARY KEY (n)",
        "n UInt64 /*",
        "(" * 100_000,
        "$0$ $1$ $2$",
    ],
)
def test_an_external_table_is_names_and_types_in_memory(server: Server, secret: str, structure: str) -> None:
    before = server.ask("SELECT count() FROM kept").text
    assert_refused(send(server, structure.replace("PATH", secret), "7\tx\n"), UNANSWERED)
    assert server.ask("SELECT count() FROM kept").text == before


@pytest.mark.parametrize(
    "name", ["Values", "Native", "Protobuf", "CapnProto", "Template", "AvroConfluent", "x y"]
)
def test_an_external_table_comes_in_a_plain_format(server: Server, secret: str, name: str) -> None:
    assert_refused(send(server, "s String", f"(file('{secret}'))", x_format=name), (*REFUSALS, "73"))


def test_plain_external_tables_are_read(server: Server) -> None:
    assert send(server, "n UInt64, `a b` Array(String)", "7\t['x']\n").text == "7\t['x']\n"
    assert send(server, "", "7\t1.50\n", x_types="UInt8,Decimal(10, 2)").text == "7\t1.5\n"
    assert send(server, "n UInt8", '{"n": 3}\n', x_format="JSONEachRow").text == "3\n"
    assert send(server, "n UInt8", "3\n", writer=True).text == "3\n"


def test_limits_bind_before_an_external_table_is_read(server: Server) -> None:
    answer = send(
        server,
        "n UInt8",
        "1\n",
        query="SELECT getSetting('max_execution_time'), getSetting('readonly'), currentRoles() FROM x",
    )
    assert answer.text == "60\t1\t['reader']\n"


# Limits and settings.


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 SETTINGS max_execution_time = 0",
        "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)",
        "SELECT (SELECT 1 SETTINGS max_memory_usage = 0)",
        "WITH a AS (SELECT 1 SETTINGS max_memory_usage = 0) SELECT * FROM a",
        "SELECT * FROM view(SELECT 1 SETTINGS readonly = 0)",
        "SELECT 1 WHERE 1 IN (SELECT 1 SETTINGS max_threads = 64)",
        "SELECT 1 SETTINGS max_execution_time = DEFAULT",
        "SELECT 1 UNION ALL SELECT 1 SETTINGS readonly = 0",
        "EXPLAIN SELECT 1 SETTINGS max_execution_time = 0",
        "SELECT 1 SETTINGS param_f = 'file'",
        "SET max_execution_time = 0",
        "SET param_f = 'file'",
        "SET ROLE owner",
        "SET ROLE ALL",
        "SET DEFAULT ROLE owner TO default",
    ],
)
def test_a_reader_changes_no_setting_and_no_role(server: Server, query: str) -> None:
    assert_refused(server.ask(query, writer=False))


# Row 10: the queries of others.


@pytest.mark.parametrize(
    "query",
    [
        "SELECT query FROM {0}",
        "SELECT * FROM (SELECT * FROM {0})",
        "SELECT 1 WHERE 1 IN {0}",
        "SELECT 1 WHERE (1, 2) NOT IN ({0})",
        "SELECT globalIn(1, {0})",
        "WITH a AS (SELECT * FROM {0}) SELECT * FROM a",
        "SELECT * FROM system.one AS a JOIN {0} AS b ON 1",
        "SELECT * FROM view(SELECT * FROM {0})",
        "EXPLAIN SELECT * FROM {0}",
    ],
)
@pytest.mark.parametrize(
    "table", ["processes", "stack_trace", "user_processes", "errors", "query_cache", "mutations"]
)
def test_a_reader_sees_nothing_of_others_in_system_tables(server: Server, query: str, table: str) -> None:
    for spelled in (f"system.{table}", f"`system`.`{table}`", f'"system".{table}'):
        assert_refused(server.ask(query.format(spelled), writer=False))
    assert_refused(
        server.ask(query.format("{t:Identifier}"), writer=False, param_t=f"system.{table}"), UNANSWERED
    )
    named = query.format("{d:Identifier}.{t:Identifier}")
    assert_refused(server.ask(named, writer=False, param_d="system", param_t=table), UNANSWERED)
    assert_refused(server.ask(query.format(table), writer=False, database="system"))


@pytest.mark.parametrize(
    "query",
    [
        "SHOW PROCESSLIST",
        "SELECT * FROM merge('system', '^processes')",
        "SELECT * FROM merge(REGEXP('.*'), '^processes')",
        "SELECT * FROM merge(concat('sys', 'tem'), '^processes')",
        "SELECT * FROM merge(REGEXP('syst.m'), 'processes')",
        "WITH 'system' AS d SELECT * FROM merge(d, '^processes')",
        "SELECT * FROM merge({d:Identifier}, '^processes')",
        "SELECT * FROM merge({d:String}, '^processes')",
        "SELECT * FROM merge({currentDatabase:String}, '^processes')",
        "WITH x -> 'system' AS currentDatabase SELECT * FROM merge(currentDatabase(1), '^processes')",
    ],
)
def test_no_other_way_leads_to_the_queries_of_others(server: Server, query: str) -> None:
    parameters = {"param_d": "system", "param_currentDatabase": "system"}
    assert_refused(server.ask(query, writer=False, **parameters), UNANSWERED)
    assert_refused(server.ask("SELECT * FROM merge('^processes')", writer=False, database="system"))
    assert_refused(
        server.ask("SELECT * FROM merge(currentDatabase(), '^processes')", writer=False, database="system")
    )


def test_what_tools_ask_of_the_system_is_answered(server: Server) -> None:
    for table in sorted(allowed.READER_SYSTEM_TABLES):
        answer = server.ask(f"SELECT * FROM system.{table} LIMIT 1", writer=False)
        assert answer.status == 200, f"{table}: {answer.text}"
    for query in (
        "SHOW TABLES",
        "SHOW DATABASES",
        "SHOW CREATE TABLE kept",
        "DESCRIBE TABLE system.processes",
        "SELECT table_name FROM information_schema.tables WHERE table_name = 'kept'",
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'kept'",
        "SELECT name FROM tables WHERE name = 'kept'",
        "SELECT * FROM merge(currentDatabase(), '^kept$')",
        "SHOW FUNCTIONS LIKE 'sum'",
        "SHOW COLUMNS FROM kept",
        "SHOW INDEXES FROM kept",
    ):
        database = "system" if " FROM tables" in query else "default"
        answer = server.ask(query, writer=False, database=database)
        assert answer.status == 200, f"{query}: {answer.text}"
    assert server.ask("SELECT count() > 0 FROM system.processes").text == "1\n"


# Row 8: what is too much is refused before a parser meets it.


@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"${n}$" for n in range(40_000)),
        "SELECT " + " ".join(f"$a{n}$" for n in range(30_000)),
        "(" * (250 << 10),
        "SELECT " + "[" * (250 << 10),
        "SELECT " + "((" * 100_000,
        "SELECT 1 " + "/*" * 120_000,
        "SELECT '" + "\\'" * 120_000,
        "SELECT " + "`\\`" * 80_000,
        "SELECT '" * 30_001,
        "SELECT 1" + "+1" * 120_000,
        "SELECT " + "-" * 100 + " " + "- " * 120_000 + "1",
        "SELECT " + "NOT " * 60_000 + "1",
        "SELECT " + "CASE " * 50_000,
        "SELECT 1" + "::UInt8" * 35_000,
        "SELECT a" + ".1" * 120_000,
        "SELECT " + "x -> " * 50_000 + "1",
        "SELECT 1" + " UNION ALL SELECT 1" * 13_000,
        "SELECT " + "1," * 125_000 + "1",
        "SELECT 1 WHERE 1 " + "AND 1 " * 40_000,
        "SELECT 1 BETWEEN 1 AND " * 10_000,
        "SELECT " + "INTERVAL " * 28_000,
        "SELECT * FROM " + "a JOIN " * 36_000,
        "SELECT " + "if(1," * 200 + "1" + ",1)" * 200,
        "WITH " + ",".join(f"x{n} AS (SELECT 1)" for n in range(9_000)) + " SELECT 1",
        "SELECT CAST(1, '" + "Array(" * 40_000 + "')",
        "SELECT * FROM values('a " + "Array(" * 40_000 + "', 1)",
        "SELECT JSON_VALUE('{}', '" + "".join(f"${n}$" for n in range(30_000)) + "')",
        "DESCRIBE " + "(" * 200_000,
        "INSERT INTO t (" + "(" * 200_000,
    ],
    ids=lambda text: text[:24],
)
def test_a_bomb_for_parsers_costs_little(server: Server, text: str) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    server.ask("SELECT 1")
    before, spent = process.memory_info().rss, sum(process.cpu_times()[:2])
    server.ask(text, writer=False)
    assert server.ask("SELECT 1").text == "1\n"
    # Unguarded: 14 s of one core for the dollar signs, gigabytes for the brackets. CPU time, so that a busy machine
    # is no finding.
    assert sum(process.cpu_times()[:2]) - spent < 6
    assert process.memory_info().rss - before < 400 << 20


def test_a_query_longer_than_the_engine_would_take_is_refused(server: Server) -> None:
    for text in ("(" * (16 << 20), "SELECT " + "1," * (1 << 20) + "1", " " * (1 << 20) + "SELECT 1"):
        try:
            answer = server.ask(text, writer=False)
        except (ConnectionError, urllib.error.URLError):
            # It said why before all of the body was sent.
            continue
        assert code(answer) in ("223", "306"), answer.text[:200]
    assert server.ask("SELECT 1").text == "1\n"


def test_no_function_gets_a_computed_text_to_parse(server: Server) -> None:
    bomb = "arrayStringConcat(arrayMap(x -> concat('$', toString(x), '$ '), range(1000000)))"
    for query in (
        "SELECT JSON_VALUE('{}', {0})",
        "SELECT JSON_QUERY('{}', {0})",
        "SELECT CAST(1, {0})",
        "SELECT accurateCast(1, {0})",
        "SELECT reinterpret(1, {0})",
        "SELECT JSONExtract('{}', {0})",
        "SELECT JSONExtract('{}', 'a', {0})",
        "SELECT defaultValueOfTypeName({0})",
        "SELECT arrayReduce({0}, [1])",
        "SELECT initializeAggregation({0}, 1)",
        "SELECT formatQuery({0})",
        "SELECT parseQueryToJSON({0})",
        "SELECT normalizeQuery({0})",
        "SELECT tokenizeQuery({0})",
        "SELECT structureToProtobufSchema({0})",
    ):
        started = time.process_time()
        assert_refused(server.ask(query.replace("{0}", bomb), writer=False))
        assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "body",
    [
        b"a\r\n" * (5 << 20),
        b"--b\r\n" * (3 << 20),
        (b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n' * 200_000),
        b"--b\r\n" + b"X: y\r\n" * (2 << 20),
        b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\n' + b"(" * (15 << 20) + b"\r\n--b--\r\n",
        b"\r\n" * (8 << 20),
        b"--b--",
    ],
    ids=["lines", "boundaries", "parts", "head", "field", "empty lines", "nothing"],
)
def test_a_form_is_bounded_before_it_is_cut(server: Server, body: bytes) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    before, spent = process.memory_info().rss, sum(process.cpu_times()[:2])
    request = urllib.request.Request(
        f"{server.url}/?", data=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    try:
        answer = server._send(request)
    except (ConnectionError, urllib.error.URLError):
        # It said why before all of the body was sent.
        pass
    else:
        assert answer.status != 200
    assert server.ask("SELECT 1").text == "1\n"
    assert process.memory_info().rss - before < 200 << 20
    assert sum(process.cpu_times()[:2]) - spent < 5


def test_states_of_aggregates_are_made_of_rows_never_of_a_readers_bytes(server: Server) -> None:
    for query in (
        "SELECT finalizeAggregation(CAST(unhex('00'), 'AggregateFunction(groupBitmap, UInt32)'))",
        "SELECT CAST('x' AS AggregateFunction(uniq, String))",
        "SELECT 'x'::AggregateFunction(uniq, String)",
        "SELECT JSONExtract('{}', 'a', 'AggregateFunction(uniq, String)')",
        "SELECT {x:AggregateFunction(uniq, String)}",
        "SELECT * FROM values('a AggregateFunction(uniq, String)', ('x'))",
        "SELECT * FROM format(RowBinary, 'a AggregateFunction(uniq, String)', 'x')",
        "SELECT CAST('x', '`Aggregate\\\\x46unction`(uniq, String)')",
        "SELECT CAST('x', '\"Aggregate\\\\x46unction\"(uniq, String)')",
        "SELECT CAST(['x'], 'Array(`Aggregate\\\\x46unction`(uniq, String))')",
        "SELECT JSONExtract('{}', 'a', '`Aggregate\\\\x46unction`(uniq, String)')",
        "SELECT {x:`Aggregate\\x46unction`(uniq, String)}",
        "SELECT JSONExtractKeysAndValues('{}', 'AggregateFunction(uniq, String)')",
    ):
        assert_refused(server.ask(query, writer=False, param_x="x"), REFUSALS)
    # A binary value of these types says itself of which type it is: a sum of UInt64, and its eight bytes.
    state = "%\0\x03sum\0\x01\x04" + "\0" * 8
    for structure, data in (
        ("d Dynamic", state),
        ("d Array(Dynamic)", f"\x01{state}"),
        ("d Tuple(a Dynamic(max_types = 3))", state),
        ("d JSON", f"\x01\x01a{state}"),
    ):
        assert_refused(send(server, structure, data, x_format="RowBinary"))
    assert send(server, "d JSON", '{"d": {"a": 1}}', x_format="JSONEachRow").text == '{"a":1}\n'
    assert server.ask("SELECT uniqMerge(s) FROM (SELECT uniqState(1) AS s)", writer=False).text == "1\n"


AGGREGATES = (
    "groupConcat(file('PATH'))",
    "groupConcat( /**/ file('PATH'))",
    "groupConcat(`file`('PATH'))",
    "groupConcat(arrayMap(file, ['PATH'])[1])",
    "groupConcat((SELECT file('PATH')))",
    "groupConcat((SELECT any(s) FROM kept))",
    "groupConcat(1.file('PATH'))",
    "groupConcat('a' || file('PATH'))",
    "groupConcat(',', file('PATH'))",
    "groupConcat(x -> 1)",
    "groupConcat(',')(file('PATH'))",
    "groupConcat('\\\\', file('PATH'))",
    "quantiles(length(file('PATH')) / 1000.)",
)
AGGREGATE_TAKERS = (
    "SELECT arrayReduce({}, ['a', 'b'])",
    "SELECT arrayReduceInRanges({}, [(1, 2)], ['a', 'b'])",
    "SELECT initializeAggregation({}, 'a')",
    "SELECT arrayMap(x -> arrayReduce({}, x), [['a', 'b']])",
)


@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("writer", [True, False])
def test_the_parameters_of_an_aggregate_in_a_text_are_no_sql(
    server: Server, secret: str, aggregate: str, writer: bool
) -> None:
    quoted = "'" + aggregate.replace("PATH", secret).replace("\\", "\\\\").replace("'", "\\'") + "'"
    for taker in AGGREGATE_TAKERS:
        assert_refused(server.ask(taker.format(quoted), writer=writer))


def test_an_aggregate_in_a_text_takes_plain_parameters(server: Server) -> None:
    for query, rows in (
        ("SELECT arrayReduce('sumIf', [1, 2], [0, 1])", "2\n"),
        ("SELECT arrayReduce('quantiles(0.5, 1e0)', [1, 3])", "[2,3]\n"),
        ("SELECT arrayReduce('groupConcat(\\', \\')', ['a', 'b'])", "a, b\n"),
        ("SELECT arrayReduceInRanges('sum', [(1, 2)], [1, 2])", "[3]\n"),
    ):
        assert server.ask(query, writer=False).text == rows


def test_files_stay_where_they_are(tmp_path: Path) -> None:
    """The mark must be readable to this user, or the tests above would prove nothing."""
    path = tmp_path / "ring"
    path.write_text(MARK)
    assert path.read_text() == MARK
