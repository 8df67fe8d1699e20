"""The lexer of the embedded ClickHouse, and what finds the clauses of a statement by it."""

from __future__ import annotations

from contextlib import suppress

from deploy.embedded.clickhouse.code_texts import check_type
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.lexer import read_tokens
from deploy.embedded.clickhouse.statement import PIPE_MARK, split_insert, with_pipe
from tests.fuzz.pieces import stretch

LENGTH_MAX = 2_000
STRETCHED_MAX = 8_000  # characters, each of which may be a token
SEEDS = (
    b"\0Map(String, Array(Nullable(Decimal(10, 2))))", b"\xffTuple(", b"\0Enum8('a)' = 1)",
    b"\0SELECT 1 -- a\n FORMAT JSON SETTINGS max_threads = 1;",
    b"\0WITH a AS (SELECT $tag$ x $tag$) SELECT 'it''s \\' /* c */, \"q\", `b` FROM a # x\n FORMAT TSV",
    b"\0INSERT INTO db.format (a, b) SETTINGS x = 1 FORMAT  CSV\r\n1,2\n",
    b"\0INSERT INTO FUNCTION file('x') VALUES (1)", b"\0INSERT INTO t SELECT 1", b"\0INSERT INTO values VALUES",
    b"\xc0$0$ $1$ ", b"\xff(", b"\xc0'", b"\xc0/*", b"\xc0$$", b"\xe0 ;",
    b"\0FROM a SELECT b INTO OUTFILE 'x' FORMAT Null",
    b"\0select\xc2\xa01 format \xe2\x80\x9cJSON\xe2\x80\x9d",
)  # fmt: skip
WORDS = (
    b"Decimal(10, 2)", b"Nullable(", b"Tuple(a UInt8, ", b"Enum8('a' = 1)", b"AggregateFunction(",
    b"SELECT ", b"INSERT INTO ", b"VALUES", b" FORMAT ", b"WITH ", b"FROM ", b"FUNCTION ", b"TABLE ", b"SETTINGS ",
    b"$a$",
    b"$$", b"--", b"/*", b"*/", b"#!", b"''", b"\\'", b"``", b"0x1_0e", b"INTO OUTFILE ", b"WATCH ", b"\xa0",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """A statement, stretched."""
    raw = stretch(data, STRETCHED_MAX)
    text = raw.decode("utf-8", "replace")
    try:
        end = 0
        for token in read_tokens(text):
            assert end <= token.start < token.end <= len(text), "tokens stand in order"
            assert token.text == text[token.start : token.end]
            assert token.depth >= 0
            end = token.end
    except ClickHouseError:
        pass
    with suppress(ClickHouseError):
        check_type(text)
    try:
        parts = split_insert(raw)
    except (UnicodeDecodeError, ClickHouseError):
        parts = None
    if parts is not None:
        assert raw.startswith(parts.target.encode())
        assert raw.startswith(parts.head.encode())
        assert len(parts.target.encode()) <= len(parts.head.encode()) <= parts.data_start
    try:
        piped = with_pipe(text, "TabSeparated")
    except ClickHouseError:
        return
    if piped is not None:
        statement, name = piped
        assert PIPE_MARK in statement
        assert name.replace("_", "").replace("$", "").isalnum()  # what the engine takes for a name
