"""Hostile queries against the engine's process: the kernel's wall, slots, connections and HTTP at 8123."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded.clickhouse.confine import _report, landlock_version
from tests.attacks.outside import MARKER, OpenServer, Outside

needs_landlock = pytest.mark.skipif(landlock_version() == 0, reason="this kernel has no Landlock")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    return Outside(tmp_path_factory.mktemp("outside"))


@pytest.fixture(scope="module")
def open_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenServer]:
    """Its data folder is reached through a symlink and has secrets beside it, as a real one."""
    root = tmp_path_factory.mktemp("platform")
    (root / "real").mkdir()
    (root / "link").symlink_to(root / "real")
    server = OpenServer(root / "link")
    (root / "real" / "secrets.toml").write_text(f'identity_secret = "{MARKER}"\n')
    server.start()
    yield server
    server.end(signal.SIGTERM)


STATEMENTS = (
    "SELECT file('{keys}/2026-11.key')",
    "SELECT arrayMap(file, ['{keys}/2026-11.key'])",
    "SELECT file('{data}/secrets.toml')",
    "SELECT file('{data}/clickhouse/../secrets.toml')",
    "SELECT file('/proc/self/root{keys}/2026-11.key')",
    "SELECT file('/proc/self/cwd/README.md')",
    "SELECT b FROM values('a UInt8, b String ALIAS file(\\'{keys}/2026-11.key\\')', (1))",
    "SELECT * FROM file('{keys}/2026-11.key', 'RawBLOB')",
    "SELECT * FROM file('{folder}/*', 'LineAsString')",
    "SELECT * FROM sqlite('{folder}/secrets.csv', 'x')",
    "SELECT * FROM executable('/bin/cat {keys}/2026-11.key', 'TSV', 's String')",
    "SELECT * FROM url('file://{keys}/2026-11.key', 'RawBLOB')",
    "SELECT 1 INTO OUTFILE '{folder}/made'",
    "SELECT 1 INTO OUTFILE '{keys}/2026-11.key' TRUNCATE",
    "SELECT 1 INTO OUTFILE '{keys}/2026-11.key' APPEND",
    "INSERT INTO FUNCTION file('{folder}/made.csv', 'CSV', 'n UInt8') SELECT 1",
    "INSERT INTO FUNCTION file('{folder}/secrets.csv', 'CSV', 'n UInt8') SELECT 1 "
    "SETTINGS engine_file_truncate_on_insert = 1",
    "CREATE TABLE outside_file (s String) ENGINE = File(LineAsString, '{keys}/2026-11.key')",
    "SELECT * FROM outside_file",
    "INSERT INTO outside_file SELECT 'x'",
    "BACKUP DATABASE default TO File('{folder}/backup')",
    "CREATE DATABASE outside_db ENGINE = Atomic SETTINGS disk = disk(type = 'local', path = '{folder}/db/')",
    "CREATE TABLE on_disk (n UInt8) ENGINE = MergeTree ORDER BY n "
    "SETTINGS disk = disk(type = 'local', path = '{folder}/d/')",
    "CREATE FUNCTION outside_f AS () -> file('{keys}/2026-11.key')",
    "SELECT outside_f()",
    "CREATE DICTIONARY outside_d (a UInt64, b String) PRIMARY KEY a "
    "SOURCE(FILE(path '{folder}/secrets.csv' format 'CSV')) LAYOUT(FLAT()) LIFETIME(0)",
    "SELECT dictGet('outside_d', 'b', toUInt64(1))",
)


@needs_landlock
def test_behind_the_guard_the_kernel_keeps_the_engine_from_every_other_file(
    open_engine: OpenServer, outside: Outside
) -> None:
    words = {"keys": outside.keys, "folder": outside.folder, "data": open_engine.data}
    for statement in STATEMENTS:
        answer = open_engine.ask(statement.format(**words))
        assert MARKER not in answer.text, statement
    assert "errno: 13" in open_engine.ask(STATEMENTS[0].format(**words)).text
    assert outside.is_untouched


CALLS = (
    "SELECT * FROM url('http://127.0.0.1:{port}/', 'RawBLOB')",
    "SELECT * FROM remote('127.0.0.1:{port}', system.one)",
    "SELECT * FROM mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "SELECT * FROM mongodb('127.0.0.1:{port}', 'd', 't', 'u', 'p', 'a UInt8')",
    "SELECT * FROM redis('127.0.0.1:{port}', 'k', 'k String, v String')",
    "SELECT * FROM s3('http://127.0.0.1:{port}/b/k', 'CSV', 'a String')",
    "INSERT INTO FUNCTION url('http://127.0.0.1:{port}/', 'CSV', 'a UInt8') SELECT 1",
)


@needs_landlock
def test_behind_the_guard_the_kernel_keeps_the_engine_from_every_other_program(
    open_engine: OpenServer, outside: Outside
) -> None:
    short = {
        "connect_timeout": "1",
        "http_max_tries": "1",
        "s3_max_connections": "1",
        "connect_timeout_with_failover_ms": "100",
    }
    for statement in CALLS:
        answer = open_engine.ask(statement.format(port=outside.port), **short)
        assert answer.status != 200, statement
    assert outside.callers == 0


def test_the_engines_own_work_goes_on_inside_its_folder(open_engine: OpenServer) -> None:
    open_engine.ask("CREATE TABLE work (n UInt32, s String) ENGINE = MergeTree ORDER BY n")
    for start in range(3):
        query = f"INSERT INTO work SELECT number + {start * 1000}, toString(number) FROM numbers(1000)"
        assert open_engine.ask(query).status == 200
    assert open_engine.ask("OPTIMIZE TABLE work FINAL").status == 200
    assert open_engine.ask("ALTER TABLE work DELETE WHERE n = 5", mutations_sync="1").status == 200
    assert open_engine.ask("ALTER TABLE work ADD COLUMN d DateTime('Asia/Tokyo')").status == 200
    spilling = "SELECT s, count() FROM work GROUP BY s ORDER BY s LIMIT 1"
    assert open_engine.ask(spilling, max_bytes_before_external_group_by="1").text == "0\t3\n"
    assert open_engine.ask("SELECT count() FROM work").text == "2999\n"


def test_the_writers_password_is_in_no_environment_that_the_engine_can_read(open_engine: OpenServer) -> None:
    assert open_engine.process is not None
    task = f"/proc/self/task/{open_engine.process.pid}/environ"
    answer = open_engine.ask(f"SELECT file('{task}')")
    assert "PATH=" in answer.text or answer.status != 200
    assert "correct horse" not in answer.text


def test_no_core_is_dumped(open_engine: OpenServer) -> None:
    assert open_engine.process is not None
    limits = Path(f"/proc/{open_engine.process.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)


def test_the_metrics_say_which_walls_stand(open_engine: OpenServer) -> None:
    shown = open_engine.get("/metrics").text
    for wall, oldest in (("files", 1), ("truncate", 3), ("connections", 4), ("devices", 5), ("signals", 6)):
        kept = float(landlock_version() >= oldest)
        assert f'fairpixel_clickhouse_confined{{wall="{wall}"}} {kept}' in shown
    assert 'fairpixel_clickhouse_confined{wall="secrets"} 1.0' in shown


@pytest.mark.parametrize(
    ("abi", "missing"),
    [
        (0, {"files", "truncate", "connections", "devices", "signals"}),
        (1, {"truncate", "connections", "devices", "signals"}),
        (3, {"connections", "devices", "signals"}),
        (5, {"signals"}),
        (7, set()),
    ],
)
def test_an_older_kernel_is_told_what_it_lacks(abi: int, missing: set[str]) -> None:
    report = _report(abi, True, "", [])
    assert {name for name, kept in report.walls if not kept} == missing
    assert [sentence.split(":")[0] for sentence in report.missing] == [
        name for name, kept in report.walls if not kept
    ]
