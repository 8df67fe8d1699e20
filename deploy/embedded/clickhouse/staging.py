"""Insert in two steps, because the engine's streaming insert says nothing when storing fails.

chdb 26.9 reports the end of a streamed INSERT as a success, with rows written, also when a constraint, a limit on parts
or a view refused every row (tried); only errors of parsing are told. So rows are streamed into a temporary table in
memory, counted there, and stored by INSERT SELECT, whose errors are told. Costs: the rows of one insert in memory, and
about 15 ms; the rate stays the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from deploy.embedded.clickhouse.lexer import read_tokens

HELD = "held_rows"
_GIVEN = ("", "DEFAULT", "EPHEMERAL")  # kinds of columns an INSERT may name; the others are computed

Ask = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Staging:
    """The statements around one insert, in order: `create`, the stream into `fill`, `count`, `store`."""

    create: str
    fill: str
    count: str
    store: tuple[str, ...]


def plan_staging(target: str, ask: Ask, judge: Callable[[str], object]) -> Staging | None:
    """The plan for `target`, INSERT INTO up to its FORMAT; None for a table function. `ask` answers in JSONEachRow.

    The plan is cut from the text of a judged statement; each piece is judged again by `judge`, which raises.
    """
    split = _split_target(target)
    if split is None:
        return None
    table, rest, names = split
    describe = f"DESCRIBE TABLE {table}"
    judge(describe)
    columns = [json.loads(line) for line in ask(describe).splitlines()]
    given = [column for column in columns if column["default_type"] in _GIVEN]
    plan = Staging(
        create=f"CREATE TEMPORARY TABLE {HELD} ({', '.join(map(_define, given))}) ENGINE = Memory",
        fill=f"INSERT INTO {HELD} {rest}",
        count=f"SELECT count() FROM {HELD}",
        # One thread: the same rows in the same blocks at each repeat, so that a token finds them again.
        store=("SET max_threads = 1", f"INSERT INTO {table} {rest} SELECT {names} FROM {HELD}"),
    )
    for statement in (plan.create, f"{plan.fill} FORMAT TSV", *plan.store):
        judge(statement)
    return plan


def _split_target(target: str) -> tuple[str, str, str] | None:
    """(table, what follows it, names of its columns) of INSERT INTO [TABLE] x.y [(a, b)] [SETTINGS ...]."""
    tokens = list(read_tokens(target))
    at = 1
    while at < len(tokens) - 1 and tokens[at].is_word("INTO", "TABLE"):
        at += 1
    if at >= len(tokens) or tokens[at].is_word("FUNCTION"):
        return None
    start = tokens[at].start
    while at + 2 < len(tokens) and tokens[at + 1].text == ".":
        at += 2
    end = tokens[at].end
    names = "*"
    if at + 1 < len(tokens) and tokens[at + 1].text == "(":
        close = next(
            token for token in tokens[at + 2 :] if token.text == ")" and token.depth == tokens[at + 1].depth
        )
        names = target[tokens[at + 1].end : close.start]
    return target[start:end], target[end:], names


def _define(column: dict[str, str]) -> str:
    name = "`" + column["name"].replace("\\", "\\\\").replace("`", "\\`") + "`"
    default = f" DEFAULT {column['default_expression']}" if column["default_expression"] else ""
    return f"{name} {column['type']}{default}"
