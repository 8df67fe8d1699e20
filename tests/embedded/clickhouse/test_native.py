"""Native answers for clients of newer protocols: a head before each block, a byte before the data of each column."""

from __future__ import annotations

import pytest

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.native import NativeWalker, read_type
from tests.embedded.clickhouse.conftest import Server

HEAD = b"\x01\x00\x02\xff\xff\xff\xff\x00"
# What stands behind each column of these tests: found again only when the column was walked to its very end.
SENTINEL = b"\x08sentinel\x06String"
# A value made of `number`, and so of another length in each row, for each way that a type lies in a column.
VALUES = {
    "numbers": "number",
    "wide numbers": "toInt256(number)",
    "decimals": "toDecimal128(number, 3)",
    "texts": "repeat('x', number % 400)",
    "texts of fixed length": "toFixedString('ab', 5)",
    "times": "toDateTime64(number, 3, 'Asia/Tokyo')",
    "intervals": "toIntervalDay(number)",
    "uuids": "generateUUIDv4(number)",
    "nothing": "NULL",
    "nullable": "if(number % 3 = 0, NULL, toString(number))",
    "enums": "CAST(if(number % 2, 'a', 'b,(') AS Enum16('a' = 1, 'b,(' = 2))",
    "arrays": "arrayMap(n -> toString(n), range(number % 7))",
    "arrays of arrays": "arrayMap(n -> range(n), range(number % 5))",
    "empty arrays": "emptyArrayString()",
    "maps": "CAST(map(toString(number), range(number % 3)) AS Map(String, Array(UInt64)))",
    "tuples": "tuple(number, toString(number), [number])",
    "named tuples": "CAST(tuple(number, 'x') AS Tuple(`a, b` UInt64, `Array(` String))",
    "dictionaries": "toLowCardinality(toString(number % 300))",
    "nullable dictionaries": "CAST(if(number % 2, NULL, 'x') AS LowCardinality(Nullable(String)))",
    "arrays of dictionaries": "CAST(arrayMap(n -> toString(n), range(number % 4)) AS Array(LowCardinality(String)))",
    "empty arrays of dictionaries": "CAST([] AS Array(LowCardinality(Nullable(String))))",
    "tuples of dictionaries": "CAST(tuple('a', number) AS Tuple(LowCardinality(String), LowCardinality(String)))",
    "points": "CAST((1., 2.) AS Point)",
    "polygons": "CAST([[(1., 2.), (3., 4.)]] AS Polygon)",
    "addresses": "tuple(toIPv4('192.0.2.1'), toIPv6('2001:db8::1'))",
}


def ask(server: Server, query: str, version: int) -> bytes:
    answer = server.ask(f"{query} FORMAT Native", writer=False, client_protocol_version=str(version))
    assert answer.status == 200, answer.text
    return answer.body


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_each_type_is_walked_to_its_end(clickhouse: Server, value: str) -> None:
    query = (
        f"SELECT {value} AS v, toString(number) AS sentinel FROM numbers(1000) SETTINGS max_block_size = 300"
    )
    before, after = (
        ask(clickhouse, query, 0),
        ask(clickhouse, query, 54460),
    )
    blocks = before.count(SENTINEL)
    assert blocks >= 4
    assert after.count(SENTINEL + b"\x00") == after.count(HEAD) == blocks
    assert len(after) == len(before) + blocks * (len(HEAD) + 2)


def test_an_answer_of_one_value_is_what_clickhouse_writes(clickhouse: Server) -> None:
    assert ask(clickhouse, "SELECT 1 AS check", 54460) == HEAD + b"\x01\x01\x05check\x05UInt8\x00\x01"
    assert ask(clickhouse, "SELECT 1 AS check", 54405) == b"\x01\x01\x05check\x05UInt8\x01"


def test_a_long_answer_streams_in_the_same_form(clickhouse: Server) -> None:
    query = "SELECT number AS v, repeat('y', number % 200) AS sentinel FROM numbers(500000)"
    after = ask(clickhouse, query, 54460)
    blocks = after.count(SENTINEL + b"\x00")
    assert blocks == after.count(HEAD) > 5
    assert len(after) == len(ask(clickhouse, query, 0)) + blocks * (len(HEAD) + 2)


def test_a_type_that_cannot_be_walked_is_refused_by_name(clickhouse: Server) -> None:
    for value, kind in (("uniqState(1)", "AggregateFunction"), ("CAST(1 AS Dynamic)", "Dynamic")):
        for rows in (1, 1_000_000):
            query = f"SELECT {value} AS v FROM numbers({rows}) GROUP BY number FORMAT Native"
            answer = clickhouse.ask(query, writer=False, client_protocol_version="54460")
            assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (501, "48")
            assert kind in answer.text


def test_pieces_of_any_length_give_the_same() -> None:
    plain = b"\x02\x02\x01a\x0dArray(String)" + b"\x01" + b"\0" * 7 + b"\x02" + b"\0" * 7 + b"\x01x\x01y"
    plain += b"\x01b\x06String" + bytes((200, 1)) + b"z" * 200 + b"\0"
    expected = NativeWalker().push(plain * 3)
    for step in range(1, 40):
        walker = NativeWalker()
        assert (
            b"".join(walker.push((plain * 3)[at : at + step]) for at in range(0, 3 * len(plain), step))
            == expected
        )


@pytest.mark.parametrize(
    "written", ["", "(", "Array()", "FixedString(x)", "Decimal(99, 1)", "\x04", "Array(" * 200]
)
def test_what_is_no_type_is_no_layout(written: str) -> None:
    with pytest.raises(ClickHouseError):
        read_type(written)
