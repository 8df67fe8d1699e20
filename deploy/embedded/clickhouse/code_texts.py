"""Arguments that are code to the engine: types, aggregate functions, formats and paths, written as texts.

The engine parses them, some in more than linear time, so they must stand in the statement, short, and be judged there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from deploy.embedded.clickhouse import allowed
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.lexer import read_tokens

TEXT_CHARS_MAX = 4096

# An aggregate function as a text: its parameters are evaluated as SQL, so they are numbers and plain texts only.
_AGGREGATE = re.compile(r"(\w++)(?:\((?:[\s\d.,+\-\[\]]|(?<=\d)[eE](?=[-+\d])|'[^'\\]*+')*+\))?", re.ASCII)

Node = dict[str, Any]

# The place of the argument that is a type; -1: the last one.
_TYPE_AT = {
    "cast": 1,
    "_cast": 1,
    "accuratecast": 1,
    "accuratecastornull": 1,
    "accuratecastordefault": 1,
    "reinterpret": 1,
    "defaultvalueoftypename": 0,
    "dynamicelement": 1,
    "variantelement": 1,
    "getsubcolumn": 1,
    "jsonextract": -1,
    "jsonextractcaseinsensitive": -1,
    "jsonextractkeysandvalues": -1,
    "jsonextractkeysandvaluescaseinsensitive": -1,
}
_AGGREGATE_AT = {"arrayreduce": 0, "arrayreduceinranges": 0, "initializeaggregation": 0}
_PATH_AT = {"json_value": 1, "json_query": 1, "json_exists": 1}
_FORMAT_AT = {"formatrow": 0, "formatrownonewline": 0}


def check_code_argument(name: str, given: list[Node], node: Node, *, reader: bool) -> None:
    """Raise ClickHouseError when a text that `name` takes as code is computed, too long, or names what is refused."""
    lower = name.lower()
    if lower in _TYPE_AT and given:
        _check(name, given, _TYPE_AT[lower], check_type if reader else _check_shape)
    elif lower in _AGGREGATE_AT and given:
        _check(name, given, _AGGREGATE_AT[lower], _check_aggregate)
    elif lower in _PATH_AT:
        _check(name, given, _PATH_AT[lower], _check_path)
    elif lower in _FORMAT_AT:
        _check(name, given, _FORMAT_AT[lower], _check_output_format)
    elif lower.startswith("groupformat"):
        _check(name, (node.get("parameters") or {}).get("children", []), 0, _check_output_format)


def check_type(text: str) -> None:
    """Raise ClickHouseError for a type that reads bytes as the state of an aggregate function."""
    _check_shape(text)
    if "\\" in text and ("`" in text or '"' in text):
        raise _refused("a quoted name with a backslash in a type", "it may be any name")
    if re.search(r"(?<!simple)aggregatefunction", text.lower()):
        raise _refused("a text as a state of an aggregate function", "the engine trusts such bytes")


def _check(name: str, given: list[Node], at: int, check: Callable[[str], None]) -> None:
    if at >= len(given):
        return
    value = given[at].get("value")
    if given[at].get("type") != "Literal" or not isinstance(value, dict):
        raise _refused(f"a computed type, format, path or function for {name}", "it must be written out")
    if value.get("field_type") == "String":
        check(str(value.get("value")))


def _check_shape(text: str) -> None:
    if len(text) > TEXT_CHARS_MAX:
        raise _refused("a type or path of this length", f"the limit is {TEXT_CHARS_MAX} characters")
    for _ in read_tokens(text):
        pass


def _check_path(text: str) -> None:
    _check_shape(text.replace("$", " "))  # a path begins with what opens a quote in SQL


def _check_aggregate(text: str) -> None:
    _check_shape(text)
    match = _AGGREGATE.fullmatch(text)
    if match is None:
        raise _refused(f"function {text[:64]}", "its parameters must be numbers and plain texts")
    if not allowed.is_function(match[1]):
        raise _refused(f"function {text[:64]}", "it is not one of the reviewed functions")


def _check_output_format(text: str) -> None:
    if text.lower() not in {name.lower() for name in allowed.OUTPUT_FORMATS}:
        raise _refused(f"format {text[:64]}", "it is unknown, needs a schema, or speaks to another server")


def _refused(what: str, why: str) -> ClickHouseError:
    return ClickHouseError(497, "ACCESS_DENIED", f"Refused by this server: {what}: {why}")
