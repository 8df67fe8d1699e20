"""What clients may send is no way around a reader's walls: settings, sessions and compressed blocks."""

from __future__ import annotations

import os
import signal
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import lz4.block
import psutil  # type: ignore[import-untyped]
import pytest
from clickhouse_cityhash.cityhash import CityHash128

from deploy.embedded.clickhouse import allowed, reader_settings, sessions
from deploy.embedded.clickhouse.blocks import BLOCK_BYTES, encode_block, read_blocks
from deploy.embedded.clickhouse.bodies import zstd
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.request import Options, SessionRequest
from tests.attacks.outside import OpenServer
from tests.attacks.refusals import REFUSALS, assert_refused, code
from tests.embedded.clickhouse.conftest import Answer, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("clients"))
    server.start()
    yield server
    server.end(signal.SIGTERM)


# Settings.


def test_each_allowed_setting_is_known_and_none_is_locked(server: Server) -> None:
    types = dict(
        line.split("\t") for line in server.ask("SELECT name, type FROM system.settings").text.splitlines()
    )
    assert reader_settings.ALLOWED - types.keys() == set()
    texts = {name for name in reader_settings.ALLOWED if types[name] in allowed.FREE_TEXT_TYPES}
    assert texts <= allowed.TEXT_SETTINGS
    assert not reader_settings.ALLOWED & allowed.RESERVED_SETTINGS


WIDER = {
    "max_execution_time": ("0", "61", "60.1", "-1", "1e9", "0x3d", "inf", "", "+61", "60s", "٦٠"),
    "max_memory_usage": ("0", str((2 << 30) + 1), "18446744073709551616", "4Gi"),
    "max_result_bytes": ("0", str((4 << 30) + 1)),
    "max_threads": ("0", "3", "auto", "auto(64)"),
    "max_block_size": ("0", "65410", "1000000000"),
    "readonly": ("0", "1", "2"),
    "profile": ("default",),
    "allow_ddl": ("1",),
    "log_comment": ("x",),
    "allow_introspection_functions": ("1",),
    "memory_overcommit_ratio_denominator": ("0",),
    "max_bytes_before_external_sort": ("1",),
    "count_distinct_implementation": ("groupArray",),
    "format_schema": ("x:y",),
    "additional_table_filters": ("{'kept': '1'}",),
    "use_query_cache": ("1",),
    "allow_experimental_analyzer": ("0",),
}


@pytest.mark.parametrize(("name", "value"), [(name, one) for name, values in WIDER.items() for one in values])
def test_no_way_of_sending_a_setting_gives_a_reader_more(server: Server, name: str, value: str) -> None:
    refusals = (*REFUSALS, "115", "62")
    assert_refused(server.ask("SELECT 1", writer=False, **{name: value}), refusals)
    for written in (f"'{value}'", value):
        for query in (
            f"SELECT 1 SETTINGS {name} = {written}",
            f"SELECT 1 SETTINGS max_threads = 1, {name} = {written}",
            f"SELECT 1 FORMAT TSV SETTINGS {name} = {written}",
            f"SELECT * FROM (SELECT 1 SETTINGS {name} = {written})",
            f"EXPLAIN SELECT 1 SETTINGS {name} = {written}",
        ):
            assert_refused(server.ask(query, writer=False), refusals)
        assert_refused(server.ask(f"SET {name} = {written}", writer=False, session_id="wider"), refusals)
    answer = server.ask(
        "SELECT getSetting('max_execution_time'), getSetting('max_memory_usage'), getSetting('readonly')",
        writer=False,
        session_id="wider",
    )
    assert answer.text == f"60\t{2 << 30}\t1\n"


def test_a_query_with_settings_still_reads_only_and_as_the_reader(server: Server) -> None:
    """It runs where settings may change, so nothing else may hang on readonly=1."""
    assert server.ask("SELECT currentRoles() SETTINGS max_threads = 1", writer=False).text == "['reader']\n"
    for query in (
        "CREATE TEMPORARY TABLE t ENGINE = Memory AS SELECT 1 AS x SETTINGS max_threads = 1",
        "CREATE TABLE t ENGINE = Memory AS SELECT 1 AS x SETTINGS max_threads = 1",
        "INSERT INTO FUNCTION null('x UInt8') SETTINGS max_threads = 1 VALUES (1)",
        "SELECT * FROM format(CSV, '1,2') SETTINGS max_threads = 1",
        "SELECT * FROM system.processes SETTINGS max_threads = 1",
        "SELECT arrayMap(file, ['/etc/passwd']) SETTINGS max_threads = 1",
        "SELECT 1 INTO OUTFILE '/tmp/x' SETTINGS max_threads = 1",
        "SHOW TABLES SETTINGS max_result_bytes = 4294967296",
    ):
        assert_refused(server.ask(query, writer=False), (*REFUSALS, "62"))


def test_an_answer_that_is_held_whole_stays_short_whatever_is_asked(server: Server) -> None:
    query = "EXPLAIN SYNTAX SELECT 1"
    assert server.ask(query, writer=False, max_result_bytes=str(4 << 30)).status == 200
    assert code(server.ask(query + " SETTINGS max_result_bytes = 100", writer=False)) == "164"


def test_behind_the_allow_list_the_engine_itself_holds_readers_to_their_settings(tmp_path: Path) -> None:
    server = OpenServer(tmp_path / "open")
    server.start()
    for name, value in (
        ("max_execution_time", "61"),
        ("max_memory_usage", str((2 << 30) + 1)),
        ("max_threads", "64"),
        ("log_comment", "x"),
        ("format_schema", "x"),
        ("allow_introspection_functions", "1"),
        ("max_bytes_before_external_sort", "1"),
    ):
        assert_refused(server.ask("SELECT 1", writer=False, **{name: value}), ("452",))
    assert server.ask("SELECT 1", writer=False, max_execution_time="59").text == "1\n"
    server.end(signal.SIGTERM)


# Sessions.


def test_a_session_gives_nobody_another_ones_rights(server: Server) -> None:
    assert server.ask("SET max_memory_usage = 3000000000", session_id="shared").status == 200
    answer = server.ask("SELECT getSetting('max_memory_usage')", writer=False, session_id="shared")
    assert answer.text == f"{2 << 30}\n"
    assert_refused(server.ask("SET ROLE owner", writer=False, session_id="shared"))
    assert_refused(server.ask("SET param_x = 'y'", writer=False, session_id="shared"))
    assert server.ask("USE system", writer=False, session_id="inside").status == 200
    assert_refused(server.ask("SELECT * FROM processes", writer=False, session_id="inside"))
    assert_refused(server.ask("CREATE TEMPORARY TABLE t (x UInt8)", session_id="shared"), ("48",))


def test_readers_cannot_use_sessions_up(server: Server) -> None:
    def set_one(name: str) -> Answer:
        return server.ask("SET extremes = 1", writer=False, session_id=name, session_timeout="3600")

    assert set_one("kept").status == 200
    assert code(server.ask("SELECT 1", writer=False, session_id="x" * 201)) == "36"
    long = "SET format_csv_null_representation = '" + "x" * sessions.CHARS_MAX + "'"
    assert code(server.ask(long, writer=False, session_id="kept")) == "36"


def test_when_all_sessions_hold_something_the_next_one_is_told_so() -> None:
    now = [0.0]
    known = sessions.Sessions(count_max=3, clock=lambda: now[0])

    def join(name: str, **more: object) -> sessions.Session:
        asked = SessionRequest(name, **more)  # type: ignore[arg-type]
        _, session = known.join(Options(session=asked), is_reader=True)
        assert session is not None
        return session

    for name in ("a", "b", "c"):
        known.remember(join(name), [("extremes", "1")])
    late = join("d")
    with pytest.raises(ClickHouseError, match="session"):
        known.check_room(late, [("extremes", "1")])
    assert join("a").settings == {"extremes": "1"}  # nobody was forgotten for it
    join("b", ends=True)
    known.check_room(join("d"), [("extremes", "1")])
    now[0] = 61.0
    assert join("a").settings == {}
    with pytest.raises(ClickHouseError, match="no such session"):
        join("c", must_exist=True)


# Compressed blocks.


def block(method: int, packed: bytes, plain_size: int) -> bytes:
    body = struct.pack("<BII", method, 9 + len(packed), plain_size) + packed
    number = CityHash128(body)
    return struct.pack("<QQ", number >> 64, number & (1 << 64) - 1) + body


def post(server: Server, body: bytes) -> Answer | None:
    """The answer; None when it was given before all of the body was sent."""
    try:
        return server._send(urllib.request.Request(f"{server.url}/?decompress=1", data=body))
    except (ConnectionError, urllib.error.URLError):
        return None


ZEROS = b"\0" * (64 << 20)
QUERY = b"SELECT 1"
BOMBS = {
    "LZ4 that says so": (block(0x82, lz4.block.compress(ZEROS, store_size=False), len(ZEROS)), "49"),
    "LZ4 that says less": (block(0x82, lz4.block.compress(ZEROS, store_size=False), 100), "271"),
    "zstd that says so": (block(0x90, zstd.compress(ZEROS), len(ZEROS)), "49"),
    "zstd that says less": (block(0x90, zstd.compress(ZEROS), 100), "271"),
    "zstd with a window of a gigabyte": (
        block(
            0x90,
            zstd.compress(QUERY, options={zstd.CompressionParameter.window_log: 30}),
            len(QUERY),
        ),
        "",
    ),
    "many blocks": (encode_block(b" " * BLOCK_BYTES) * 200, "223"),
    "four gigabytes": (b"\0" * 16 + struct.pack("<BII", 0x82, 0xFFFFFFFF, 0xFFFFFFFF), "49"),
    "shorter than its head": (block(0x82, b"", 0)[:16] + struct.pack("<BII", 0x82, 3, 0), "271"),
    "an unknown method": (block(0x99, QUERY, len(QUERY)), "432"),
    "several methods in one": (block(0x91, QUERY, len(QUERY)), "432"),
    "another checksum": (b"\0" * 16 + encode_block(QUERY)[16:], "40"),
    "a bit turned": (encode_block(QUERY)[:-1] + b"\xff", "40"),
    "cut short": (encode_block(QUERY)[:-1], "33"),
    "no block": (b"SELECT 1 FROM a_plain_body_that_is_no_block", "432"),
    "more than it says": (block(0x02, QUERY, 3), "271"),
    "less than it says": (block(0x82, lz4.block.compress(QUERY, store_size=False), 9), "271"),
    "no LZ4": (block(0x82, os.urandom(50), 50), "271"),
    "no zstd": (block(0x90, os.urandom(50), 50), "271"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_block_that_is_not_what_it_says_is_refused_by_name(server: Server, name: str) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    before, spent = process.memory_info().rss, sum(process.cpu_times()[:2])
    body, expected = BOMBS[name]
    answer = post(server, body)
    if expected and answer is not None:
        assert code(answer) == expected, answer.text
        assert expected == "223" or "decompress=1" in answer.text
    assert server.ask("SELECT 1").text == "1\n"
    assert process.memory_info().rss - before < 100 << 20
    assert sum(process.cpu_times()[:2]) - spent < 3


def test_a_block_comes_back_as_it_was_however_its_bytes_arrive() -> None:
    plain = os.urandom(3000) + b"x" * (BLOCK_BYTES + 5)
    packed = b"".join(
        (
            encode_block(plain[:BLOCK_BYTES]),
            block(0x90, zstd.compress(plain[BLOCK_BYTES:]), len(plain) - BLOCK_BYTES),
            block(0x02, b"end", 3),
            encode_block(b""),
        )
    )
    for step in (1 << 20, 4099, 1000):
        pieces = (packed[at : at + step] for at in range(0, len(packed), step))
        assert b"".join(read_blocks(pieces, BLOCK_BYTES)) == plain + b"end"
