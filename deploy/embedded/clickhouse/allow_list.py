"""Refuse every statement that reaches outside the database, judged by the engine's own syntax tree.

The tree comes from parseQueryToJSON, which reads the statement as a value and runs nothing of it: one
statement only. What the tree does not show cannot hide: spelled back from its tree, a statement must be what it was.
Of the kinds it cannot describe, DESCRIBE, SHOW CREATE and EXISTS are judged by EXPLAIN AST; GRANT,
CREATE USER, named collections and the rest are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from deploy.embedded.clickhouse import allowed
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.lexer import read_tokens
from deploy.embedded.clickhouse.reader_settings import ReaderSettings
from deploy.embedded.clickhouse.rights import WRITER, Rights
from deploy.embedded.clickhouse.statement import PIPE_MARK, after_describe
from deploy.embedded.clickhouse.structures import check_columns, columns_of
from deploy.embedded.clickhouse.tree import (
    Node,
    TreeJudge,
    changed_settings,
    refused,
    shows_settings,
    substitute,
)

# The same few statements come again and again: 512 texts of at most 8 KiB, 16 MiB at worst.
_REMEMBERED_COUNT_MAX = 512
_REMEMBERED_CHARS_MAX = 8 << 10

_SHAPE_ALONE = re.compile(r"[-()\s]+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tree says about an allowed statement."""

    kind: str
    format: str | None
    piped: bool
    identifiers: tuple[str, ...] = ()
    # (name, value) of what SET or its SETTINGS set, wherever they stand; None for DEFAULT.
    settings: tuple[tuple[str, str | None], ...] = ()
    # Whether it reads system.settings, by which clients learn what they may set.
    shows_settings: bool = False
    makes_temporary: bool = False


class Parser(Protocol):
    """The engine's parser: nothing of what it reads is run."""

    setting_types: dict[str, str]
    # As a reader has them.
    setting_values: dict[str, str]

    def parse(self, text: str) -> str:
        """The syntax tree of one statement as JSON; raises ClickHouseError."""

    def outline(self, text: str) -> str:
        """EXPLAIN AST of one statement that `parse` has seen to be only one; raises ClickHouseError."""

    def spell(self, tree: str) -> str:
        """The statement of a tree, on one line; raises ClickHouseError."""

    def respell(self, text: str) -> str:
        """The statement as `spell` would write it, but from its text; raises ClickHouseError."""


class AllowList:
    """Judges statements by the trees of `parser`."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._setting_types = parser.setting_types
        self._reader_settings = ReaderSettings(parser.setting_types, parser.setting_values)
        self._remembered = lru_cache(maxsize=_REMEMBERED_COUNT_MAX)(self._judge)

    def judge(
        self, text: str, rights: Rights = WRITER, identifiers: Mapping[str, str] | None = None
    ) -> Verdict:
        """Return the verdict on one statement; raises ClickHouseError when it is refused or no SQL.

        `identifiers` are the values of parameters by name, for those that stand for names: {table:Identifier}.
        """
        for _ in read_tokens(text):  # too deep or never closed: no parser meets it
            pass
        judge = self._remembered if len(text) <= _REMEMBERED_CHARS_MAX else self._judge
        verdict = judge(text, rights)
        named = {name: value for name, value in (identifiers or {}).items() if name in verdict.identifiers}
        return self._judge(text, rights, named) if named else verdict

    def temporary_table(self, name: str, structure: str, format_name: str) -> str:
        """The statement that makes a table in memory with the plain columns of `structure`, built from its tree.

        `format_name` is the format that its rows come in.
        """
        tree = self._parse_columns(structure)
        check_columns(tree, allowed.types_of_format(format_name))
        tree.update(table=name, table_ast={"type": "Identifier", "name": name}, is_temporary=True)
        return self._parser.spell(json.dumps(tree))

    def _judge(self, text: str, rights: Rights, identifiers: Mapping[str, str] | None = None) -> Verdict:
        try:
            tree = self._tree(text)
        except ClickHouseError as error:
            if error.code == 36 and "parseQueryToJSON" in error.message:
                return self._judge_outline(text, rights)  # one statement it is, of a kind that has no JSON
            raise
        kind = str(tree.get("type", ""))
        if kind not in allowed.STATEMENTS:
            raise refused(f"a statement of kind {kind}")
        judged = dict(tree)
        piped = False
        outfile = judged.pop("out_file", None)
        if outfile is not None:
            piped = outfile == {"type": "Literal", "value": {"field_type": "String", "value": PIPE_MARK}}
            if not piped:
                raise refused("INTO OUTFILE")
        asked = substitute(judged, identifiers or {})
        self.check_tree(judged, rights)
        if not asked:
            self._check_whole(text, tree)
        name = tree.get("format_ast") or {}
        return Verdict(
            kind,
            name.get("name"),
            piped,
            tuple(asked),
            changed_settings(judged),
            shows_settings(judged, rights),
            makes_temporary=bool(tree.get("is_temporary")),
        )

    def check_tree(self, tree: Node, rights: Rights) -> None:
        """Raise ClickHouseError for the first thing in `tree` that is not allowed."""
        TreeJudge(rights, self._check_structure, self._check_changes, self.check_reader_setting).check(tree)

    def _tree(self, text: str) -> Node:
        try:
            tree: Node = json.loads(self._parser.parse(text))
        except RecursionError:
            raise ClickHouseError(
                306, "TOO_DEEP_RECURSION", "The query is nested too deep", status=400
            ) from None
        return tree

    def _check_whole(self, text: str, tree: Node) -> None:
        """What the tree leaves out would run unjudged; brackets and the sign of a zero may differ."""
        spelled, written = self._parser.spell(json.dumps(tree)), self._parser.respell(text)
        if spelled != written and _SHAPE_ALONE.sub("", spelled) != _SHAPE_ALONE.sub("", written):
            raise refused("this statement", "its syntax tree does not show all of it")

    def _judge_outline(self, text: str, rights: Rights) -> Verdict:
        lines = self._parser.outline(text).splitlines()
        kind = lines[0].split(" ", 1)[0] if lines else ""
        if kind not in allowed.DESCRIBING_STATEMENTS:
            raise refused(f"a statement of kind {kind}")
        if rights.reader and kind == "ShowProcesslistQuery":
            raise refused("SHOW PROCESSLIST", "it shows the queries of others")
        described = after_describe(text)
        if described is not None:
            self._check_described(described, rights)
        for line in lines[1:]:
            node = line.strip().partition(" ")[0]
            if node in ("Function", "Subquery", "SelectWithUnionQuery") and described is None:
                raise refused(f"{node} in a statement of kind {kind}")
            if node == "Set" or line.startswith(" Literal"):
                raise refused("a statement of this kind with SETTINGS or INTO OUTFILE")
        return Verdict(kind, None, False)

    def _check_described(self, described: str, rights: Rights) -> None:
        """DESCRIBE analyses what it describes, constants and all: a query of the same table must be allowed."""
        tree = self._tree(f"SELECT * FROM {described}")
        if "table_function" not in json.dumps(tree) and '"Subquery"' not in json.dumps(tree):
            rights = Rights(reader=False, database=rights.database)  # a reader may know any table's columns
        self.check_tree(tree, rights)

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

    def check_reader_setting(self, name: str, value: str) -> None:
        """Raise ClickHouseError when a reader may not give `name` this value, wherever it stands."""
        self.check_setting(name)
        self._reader_settings.check(name, value)

    def _check_changes(self, node: Node) -> None:
        for change in node.get("changes", ()):
            self.check_setting(str(change.get("name", "")))
            name, value = str(change.get("name", "")), change.get("value", {}).get("field_type")
            if value == "CustomType" or (value == "String" and not self._is_known(name)):
                raise refused(f"this value of {name}")
        for name in node.get("default_settings", ()):
            self.check_setting(str(name))

    def _is_known(self, name: str) -> bool:
        return name in self._setting_types or f"merge_tree_{name}" in self._setting_types

    def _check_structure(self, structure: str) -> None:
        """A structure inside a statement: plain columns, or data that no parser of columns would take for some."""
        try:
            tree = self._parse_columns(structure)
        except ClickHouseError as error:
            if error.code == 62 and "(" not in structure:
                return  # `values('a', 'b')`: no columns, and nothing in it could be called
            raise refused(f"the text of columns '{structure[:100]}'", error.message[:200]) from None
        check_columns(tree)

    def _parse_columns(self, structure: str) -> Node:
        for _ in read_tokens(structure):
            pass
        return columns_of(self._tree, structure)
