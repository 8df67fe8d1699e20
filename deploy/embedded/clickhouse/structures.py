"""Texts of columns (`a UInt8, b String`): names and types, and nothing that the engine would evaluate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deploy.embedded.clickhouse import allowed
from deploy.embedded.clickhouse.errors import ClickHouseError

Node = dict[str, Any]

COLUMN_COUNT_MAX = 1000

_COLUMN_KEYS = frozenset({"type", "name", "data_type", "null_modifier"})
_TYPE_NODES = frozenset(
    {
        "DataType",
        "EnumDataType",
        "TupleDataType",
        "NameTypePair",
        "ExpressionList",
        "Literal",
        "Function",
        "Identifier",
    }
)


def columns_of(tree_of: Callable[[str], Node], structure: str) -> Node:
    """The tree of a table with the columns of `structure` in Memory; raises ClickHouseError when it is no such table.

    Whatever closes the bracket early, or adds an engine, an index or a SELECT, makes another tree.
    """
    tree = tree_of(f"CREATE TABLE held ({structure}\n) ENGINE = Memory")
    plain = tree_of("CREATE TABLE held (n UInt8) ENGINE = Memory")
    rest = {key: value for key, value in tree.items() if key != "columns_list"}
    if rest != {key: value for key, value in plain.items() if key != "columns_list"}:
        raise _refused(structure, "it is more than columns")
    return tree


def check_columns(tree: Node, known: frozenset[str] = allowed.DATA_TYPES) -> None:
    """Raise ClickHouseError unless every column of `columns_of` is a name and one of the types `known`."""
    listed = tree["columns_list"]
    columns = listed.get("columns", {}).get("children", ())
    if set(listed) != {"type", "columns"} or len(columns) > COLUMN_COUNT_MAX:
        raise _refused("", "an index, a constraint, a projection or too many columns")
    for column in columns:
        given = {key for key, value in column.items() if value is not False}
        if not given <= _COLUMN_KEYS or "data_type" not in given:
            extra = ", ".join(sorted(given - _COLUMN_KEYS)) or "no type"
            raise _refused(str(column.get("name")), f"a column has a name and a type only, not {extra}")
        _check_type(column["data_type"], known)


def _check_type(root: Node, known: frozenset[str]) -> None:
    waiting: list[Any] = [root]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        if not isinstance(item, dict):
            continue
        kind, name = item.get("type"), str(item.get("name", ""))
        if kind is not None and kind not in _TYPE_NODES:
            raise _refused(str(kind), "no part of a type")
        # Dynamic(max_types = 3) is the one place where a type has something like a function in it.
        if kind == "Function" and name != "equals":
            raise _refused(name, "a type calls no function")
        if kind in ("DataType", "EnumDataType", "TupleDataType") and not allowed.is_data_type(name, known):
            raise _refused(name, "not one of the types of plain values")
        waiting.extend(item.values())


def _refused(what: str, why: str) -> ClickHouseError:
    return ClickHouseError(
        497, "ACCESS_DENIED", f"Refused by this server: the text of columns '{what[:100]}': {why}"
    )
