"""Refuse every statement that reaches outside the database, judged by the engine's own syntax tree.

The tree comes from parseQueryToJSON, which reads the statement as a value and runs nothing of it: one
statement only. Of the kinds it cannot describe, DESCRIBE, SHOW CREATE and EXISTS are judged by EXPLAIN AST; GRANT,
CREATE USER, named collections and the rest are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from deploy.embedded.clickhouse import allowed
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.statement import PIPE_MARK

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tree says about an allowed statement."""

    kind: str
    format: str | None
    piped: bool


def refused(what: str) -> ClickHouseError:
    return ClickHouseError(
        497, "ACCESS_DENIED", f"Refused by this server: {what} reaches outside the database"
    )


class Guard:
    """Judges statements; `parse` gives the tree of one as JSON, `outline` as indented lines (EXPLAIN AST)."""

    def __init__(
        self, parse: Callable[[str], str], outline: Callable[[str], str], setting_types: dict[str, str]
    ) -> None:
        self._parse = parse
        self._outline = outline
        self._setting_types = setting_types
        self.judge = lru_cache(maxsize=512)(self._judge)  # the same few statements come again and again

    def _judge(self, text: str) -> Verdict:
        """Return the verdict on one statement; raises ClickHouseError when it is refused or no SQL."""
        try:
            tree: Node = json.loads(self._parse(text))
        except ClickHouseError as error:
            if error.code == 36 and "parseQueryToJSON" in error.message:
                return self._judge_outline(text)  # one statement it is, of a kind that has no JSON
            raise
        kind = str(tree.get("type", ""))
        if kind not in allowed.STATEMENTS:
            raise refused(f"a statement of kind {kind}")
        piped = False
        outfile = tree.get("out_file")
        if outfile is not None:
            piped = outfile == {"type": "Literal", "value": {"field_type": "String", "value": PIPE_MARK}}
            if not piped:
                raise refused("INTO OUTFILE")
            tree = {key: value for key, value in tree.items() if key != "out_file"}
        self._check(tree)
        name = tree.get("format_ast") or {}
        return Verdict(kind, name.get("name"), piped)

    def _judge_outline(self, text: str) -> Verdict:
        lines = self._outline(text).splitlines()
        kind = lines[0].split(" ", 1)[0] if lines else ""
        if kind not in allowed.DESCRIBING_STATEMENTS:
            raise refused(f"a statement of kind {kind}")
        for line in lines[1:]:
            node, _, rest = line.strip().partition(" ")
            name = rest.split(" (children", 1)[0]
            if node == "Function" and name not in allowed.TABLE_FUNCTIONS:
                _check_named(name)
            elif node == "Set" or line.startswith(" Literal"):
                raise refused("a statement of this kind with SETTINGS or INTO OUTFILE")
        return Verdict(kind, None, False)

    def check_setting(self, name: str) -> None:
        """Raise ClickHouseError when nobody may set `name` here."""
        plain = name.removeprefix("merge_tree_")
        kind = self._setting_types.get(name) or self._setting_types.get(f"merge_tree_{name}")
        if name in allowed.RESERVED_SETTINGS:
            raise ClickHouseError(
                452, "SETTING_CONSTRAINT_VIOLATION", f"Setting {name} should not be changed"
            )
        if kind in allowed.FREE_TEXT_TYPES and plain not in allowed.TEXT_SETTINGS:
            raise ClickHouseError(
                452,
                "SETTING_CONSTRAINT_VIOLATION",
                f"Setting {name} should not be changed: it may name files or SQL",
            )

    def _is_known(self, name: str) -> bool:
        return name in self._setting_types or f"merge_tree_{name}" in self._setting_types

    def _check(self, tree: Node) -> None:
        for key, node in _walk("", tree):
            kind = node.get("type")
            if kind == "Function":
                _check_function(key, node)
            elif kind == "ColumnsApplyTransformer":
                _check_named(str(node.get("func_name", "")))
            elif kind == "SetQuery":
                self._check_changes(node)
            elif kind == "AlterCommand" and node.get("command_type") not in allowed.ALTER_COMMANDS:
                raise refused(f"ALTER TABLE ... {str(node.get('command_type')).replace('_', ' ')}")
            for name in ("out_file", "infile", "attach_from_path", "dictionary", "backup_name"):
                if node.get(name):
                    raise refused(name.replace("_", " ").upper())
            if node.get("has_attach_from_path") or node.get("attach"):
                raise refused("ATTACH")

    def _check_changes(self, node: Node) -> None:
        for change in node.get("changes", ()):
            self.check_setting(str(change.get("name", "")))
            name, value = str(change.get("name", "")), change.get("value", {}).get("field_type")
            if value == "CustomType" or (value == "String" and not self._is_known(name)):
                raise refused(f"this value of {name}")
        for name in node.get("default_settings", ()):
            self.check_setting(str(name))


def _check_function(key: str, node: Node) -> None:
    name, kind = str(node.get("name", "")), node.get("kind")
    if kind == "TABLE_ENGINE":
        if name not in allowed.TABLE_ENGINES:
            raise refused(f"table engine {name}")
    elif kind == "DATABASE_ENGINE":
        if name not in allowed.DATABASE_ENGINES:
            raise refused(f"database engine {name}")
    elif key in ("table_function", "as_table_function"):
        if name not in allowed.TABLE_FUNCTIONS:
            raise refused(f"table function {name}")
        if name == "format":
            _check_format(node)
    else:
        _check_named(name)


def _check_format(node: Node) -> None:
    """format() reads text as data; the format Values would run that text as SQL, which no tree shows."""
    given: Node = next(iter(node.get("arguments", {}).get("children", ())), {})
    name = given.get("name") if given.get("type") == "Identifier" else given.get("value", {}).get("value")
    if (
        given.get("type") not in ("Identifier", "Literal")
        or not isinstance(name, str)
        or name.lower() == "values"
    ):
        raise refused("table function format with Values or a computed format")


def _check_named(name: str) -> None:
    if not allowed.is_function(name):
        raise refused(f"function {name}")


def _walk(key: str, value: Any) -> Iterator[tuple[str, Node]]:
    """Every object of the tree with the name it hangs under; a loop, for trees may be deep."""
    waiting: list[tuple[str, Any]] = [(key, value)]
    while waiting:
        name, item = waiting.pop()
        if isinstance(item, dict):
            yield name, item
            waiting.extend(item.items())
        elif isinstance(item, list):
            waiting.extend((name, part) for part in item)
