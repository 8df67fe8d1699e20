"""The allow-list over a whole syntax tree: node kinds, functions wherever they are named, tables, settings, texts.

A name is a function not only where it is called: `arrayMap(file, ...)` names one in an Identifier, `* APPLY(file)` in a
transformer. And some arguments are no data but code to the engine: the structure `a UInt8, b String ALIAS file('x')`,
the name of a format or type. Such an argument must be written out, so that it can be judged; see code_texts.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deploy.embedded.clickhouse import allowed
from deploy.embedded.clickhouse.code_texts import check_code_argument, check_type
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.reader_settings import refused_change
from deploy.embedded.clickhouse.rights import Rights

Node = dict[str, Any]

_SLOW = (
    "its time grows with the square of the length and it cannot be cancelled, so it needs the writer's login"
)

# `x IN name`: there a name is a table's.
_IN = frozenset(
    f"{scope}{rest}{ending}".lower()
    for scope in ("", "global")
    for rest in ("in", "notIn", "nullIn", "notNullIn")
    for ending in ("", "IgnoreSet")
)
_WITH_STRUCTURE = frozenset({"values", "SQLStandardValues", "format", "generateRandom", "null"})
_OUTSIDE_KEYS = ("out_file", "infile", "attach_from_path", "dictionary", "backup_name")


def refused(what: str, why: str = "it reaches outside the database") -> ClickHouseError:
    return ClickHouseError(497, "ACCESS_DENIED", f"Refused by this server: {what}: {why}")


class TreeJudge:
    """Judges one tree; `check_structure` judges a text of columns.

    `check_change` judges what anybody sets, `check_reader_setting` a name and a value that a reader sets.
    """

    def __init__(
        self,
        rights: Rights,
        check_structure: Callable[[str], None],
        check_change: Callable[[Node], None],
        check_reader_setting: Callable[[str, str], None],
    ) -> None:
        self._rights = rights
        self._check_structure = check_structure
        self._check_change = check_change
        self._check_reader_setting = check_reader_setting
        self._names: frozenset[str] = frozenset()
        self._lambdas: frozenset[str] = frozenset()

    def check(self, tree: Node) -> None:
        """Raise ClickHouseError for the first thing that is not allowed."""
        nodes = list(walk(tree))
        self._names = frozenset(
            str(node.get("alias") or node.get("name"))
            for _, node, _ in nodes
            if node.get("alias") or node.get("type") == "WithElement"
        )
        self._lambdas = frozenset(
            str(node["alias"])
            for _, node, _ in nodes
            if node.get("alias") and node.get("type") == "Function" and node.get("name") == "lambda"
        )
        for key, node, within in nodes:
            self._check_node(key, node, within)

    def _check_node(self, key: str, node: Node, within: str) -> None:
        kind = node.get("type")
        if kind is not None and kind not in allowed.NODES:
            raise refused(f"{kind} in a statement")
        if kind == "Function":
            self._check_function(key, node)
        elif kind in ("Identifier", "TableIdentifier"):
            self._check_identifier(key, node, within)
        elif kind == "ColumnsApplyTransformer":
            self._check_named(str(node.get("func_name", "")))
        elif kind == "SetQuery":
            self._check_settings(node, within)
        elif kind == "QueryParameter" and self._rights.reader and node.get("param_type") != "Identifier":
            check_type(str(node.get("param_type")))
        elif kind == "AlterCommand" and node.get("command_type") not in allowed.ALTER_COMMANDS:
            raise refused(f"ALTER TABLE ... {str(node.get('command_type')).replace('_', ' ')}")
        elif kind == "InsertQuery" and node.get("format"):
            check_format(str(node["format"]), allowed.INPUT_FORMATS)
        if "format_ast" in node:
            check_format(str(node["format_ast"].get("name")), allowed.OUTPUT_FORMATS)
        for name in _OUTSIDE_KEYS:
            if node.get(name):
                raise refused(name.replace("_", " ").upper())
        if node.get("has_attach_from_path") or node.get("attach"):
            raise refused("ATTACH")

    def _check_function(self, key: str, node: Node) -> None:
        name, kind = str(node.get("name", "")), node.get("kind")
        if kind == "TABLE_ENGINE":
            if name not in allowed.TABLE_ENGINES:
                raise refused(f"table engine {name}")
        elif kind == "DATABASE_ENGINE":
            if name not in allowed.DATABASE_ENGINES:
                raise refused(f"database engine {name}")
        elif key in ("table_function", "as_table_function"):
            # The one name that the engine takes in any case, as standard SQL has it.
            name = "values" if name.lower() == "values" else name
            if name not in allowed.TABLE_FUNCTIONS:
                raise refused(f"table function {name}")
            self._check_table_function(name, arguments(node))
        else:
            self._check_named(name)
            check_code_argument(name, arguments(node), node, reader=self._rights.reader)
            given = arguments(node)
            if name.lower() in _IN and len(given) == 2 and given[1].get("type") == "Identifier":
                self._check_table(given[1])

    def _check_named(self, name: str) -> None:
        if self._is_slow(name):
            raise refused(f"function {name}", _SLOW)
        # A lambda may have a name of its own: WITH x -> x + 1 AS next SELECT next(1).
        if name in self._lambdas and not allowed.is_refused(name):
            return
        if not allowed.is_function(name):
            raise refused(f"function {name}")

    def _check_identifier(self, key: str, node: Node, within: str) -> None:
        parts = name_parts(node)
        if node.get("type") == "TableIdentifier":
            self._check_table(node)
            return
        # As an argument the engine takes a name that is no column for a function's. Elsewhere it is a column's, unless
        # an alias carries it on.
        if len(parts) == 1 and allowed.is_refused(parts[0]) and (within == "Function" or node.get("alias")):
            raise refused(
                f"{parts[0]} as an argument",
                "it may name the function; a column of this name needs its table's before it",
            )
        if len(parts) == 1 and self._is_slow(parts[0]) and (within == "Function" or node.get("alias")):
            raise refused(f"{parts[0]} as an argument", _SLOW)
        if len(parts) > 2 and parts[0].lower() == "system" and self._rights.reader:
            self._check_system_table(parts[1])  # a column with its table and database before it
        elif len(parts) > 1 and parts[0].lower() == "system":
            self._check_table(node)

    def _is_slow(self, name: str) -> bool:
        return self._rights.reader and name.lower() in allowed.SLOW_FUNCTIONS

    def _check_table(self, node: Node) -> None:
        """Readers see of `system` what is listed; every other database is theirs to read."""
        if not self._rights.reader:
            return
        parts = name_parts(node)
        database = parts[-2] if len(parts) > 1 else self._rights.database
        # A name with a dot in one piece is read either way, whatever the engine makes of it.
        whole = (".".join(parts) if len(parts) > 1 else f"{database}.{parts[0]}").lower()
        if (
            database.lower() == "system"
            or whole.startswith("system.")
            or parts[0].lower().startswith("system.")
        ):
            self._check_system_table(parts[-1].rpartition(".")[2])

    def _check_system_table(self, table: str) -> None:
        if table not in allowed.READER_SYSTEM_TABLES:
            raise refused(
                f"table system.{table}",
                "a reader without a login sees of the system only what describes databases, tables and functions",
            )

    def _check_table_function(self, name: str, given: list[Node]) -> None:
        if name == "merge" and self._rights.reader:
            self._check_merge(given)
        if name not in _WITH_STRUCTURE or not given:
            return
        if name == "format":
            self._check_text(given[0], "a computed format")
            check_format(_text(given[0]) or "", allowed.PLAIN_INPUT_FORMATS)
            given = given[1:2] if len(given) > 2 else []
        first = given[0] if given else {"type": "Literal", "value": {}}
        structure = _text(first) if first.get("type") == "Literal" else None
        if structure is not None:
            if structure != "auto" or name != "format":
                self._check_structure(structure)
        elif first.get("type") != "Literal" and not self._calls(first, "tuple"):
            raise refused(
                f"table function {name} with a computed first argument", "it may be a text of columns"
            )

    def _check_merge(self, given: list[Node]) -> None:
        """merge() reads whatever tables match; a reader names the database plainly, and it is not `system`."""
        first = given[0] if len(given) > 1 else {"type": "Function", "name": "currentDatabase"}
        if self._calls(first, "currentDatabase"):
            database: str | None = self._rights.database
        else:
            self._check_text(first, "merge with a computed database")
            database = _text(first)
        if database is None or "system" in database.lower():
            raise refused(
                f"table function merge over {database}", "a reader names one database, not the system's"
            )

    def _calls(self, node: Node, function: str) -> bool:
        """Whether `node` calls the engine's own `function`: no parameter or alias of that name, no lambda."""
        return node.get("type") == "Function" and node.get("name") == function and function not in self._names

    def _check_text(self, node: Node, what: str) -> None:
        """Raise unless `node` is a written text or a bare name that nothing in the statement gives another meaning."""
        if _text(node) is None or (node.get("type") == "Identifier" and _text(node) in self._names):
            raise refused(what, "it must be written out")

    def _check_settings(self, node: Node, within: str) -> None:
        if self._rights.reader and within != "ExplainQuery":
            self._check_reader_settings(node)
        if node.get("query_parameters") and not node.get("is_standalone"):
            raise refused("a parameter in SETTINGS", "parameters are sent beside the statement")
        self._check_change(node)

    def _check_reader_settings(self, node: Node) -> None:
        for change in node.get("changes", ()):
            self._check_reader_setting(str(change.get("name")), setting_value(change))
        for name in node.get("default_settings", ()):
            raise refused_change(str(name), "write the value out instead of DEFAULT")
        for param in node.get("query_parameters", ()):
            raise refused_change(f"param_{param.get('name')}", "parameters are sent beside the statement")


def setting_value(change: Node) -> str:
    """The value in one `name = value` of SETTINGS or SET, spelled as in an address."""
    value = change.get("value", {}).get("value")
    return str(int(value)) if isinstance(value, bool) else str(value)


def changed_settings(tree: Node) -> tuple[tuple[str, str | None], ...]:
    """(name, value) of all that SET or the SETTINGS of a statement set; None for DEFAULT, param_ before parameters."""
    changed: list[tuple[str, str | None]] = []
    for _, node, _ in walk(tree):
        if node.get("type") == "SetQuery":
            changed += [(str(one.get("name")), setting_value(one)) for one in node.get("changes", ())]
            changed += [(str(name), None) for name in node.get("default_settings", ())]
            changed += [(f"param_{one.get('name')}", "") for one in node.get("query_parameters", ())]
    return tuple(changed)


def shows_settings(tree: Node, rights: Rights) -> bool:
    """Whether a statement reads system.settings or system.settings_changes."""
    return any(
        (parts := name_parts(node))[-1].lower().startswith("settings")
        and (parts[-2] if len(parts) > 1 else rights.database).lower() == "system"
        for _, node, _ in walk(tree)
        if node.get("type") == "TableIdentifier"
    )


def check_format(name: str, known: frozenset[str]) -> None:
    """Raise ClickHouseError unless `name` is a format that needs nothing but its data."""
    lower = name.lower()
    if lower in {one.lower() for one in known}:
        return
    if lower in {one.lower() for one in allowed.REFUSED_FORMATS | allowed.INPUT_FORMATS}:
        raise refused(
            f"format {name}", "it needs a schema, speaks to another server, or evaluates what it reads"
        )
    raise ClickHouseError(73, "UNKNOWN_FORMAT", f"Unknown format {name[:64]}")


def substitute(tree: Node, values: Mapping[str, str]) -> list[str]:
    """Put `values` in the place of {name:Identifier} in `tree`; returns the names of all such parameters."""
    asked = []
    for _, node, _ in walk(tree):
        if node.get("type") not in ("Identifier", "TableIdentifier"):
            continue
        names = [
            str(child.get("name"))
            for child in node.get("children", ())
            if child.get("type") == "QueryParameter"
        ]
        if not names:
            continue
        asked += names
        waiting = iter(names)
        parts = [part or values.get(next(waiting, ""), "") for part in name_parts(node)]
        node["name_parts"] = parts
        node["name"] = ".".join(parts)
    return asked


def name_parts(node: Node) -> list[str]:
    return [str(part) for part in node.get("name_parts") or [node.get("name", "")]]


def arguments(node: Node) -> list[Node]:
    """What a function is called with."""
    return list((node.get("arguments") or {}).get("children", ()))


def walk(tree: Node) -> Iterator[tuple[str, Node, str]]:
    """Every object of the tree with its key and the kind of the nearest node above; Function wins over lists.

    A loop, for trees may be deep.
    """
    waiting: list[tuple[str, Any, str]] = [("", tree, "")]
    while waiting:
        key, item, within = waiting.pop()
        if isinstance(item, dict):
            yield key, item, within
            kind = str(item.get("type", ""))
            inner = within if within == "Function" or kind in ("", "ExpressionList") else kind
            if kind == "Subquery" or key in ("table_function", "as_table_function"):
                inner = kind
            waiting.extend((name, part, inner) for name, part in item.items())
        elif isinstance(item, list):
            waiting.extend((key, part, within) for part in item)


def _text(node: Node) -> str | None:
    """The text of a string literal or a bare name."""
    if node.get("type") == "Identifier":
        return str(node.get("name", ""))
    value = node.get("value")
    if node.get("type") == "Literal" and isinstance(value, dict) and value.get("field_type") == "String":
        return str(value.get("value"))
    return None
