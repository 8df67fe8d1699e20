"""Finds every pattern of the programs, how it is used, and texts that are worst for it."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import re2

from tests.processes import REPO

PACKAGES = ("schemas", "runtime", "ingest", "streams", "sinks", "deploy")
SEARCHING = {"search", "sub", "subn", "finditer", "findall", "split"}
MATCHING = {"match", "fullmatch"}
KINDS = (re.Pattern, re2._Regexp)


@dataclass(frozen=True)
class Found:
    """A pattern, where it stands and which ways of it are used."""

    where: str
    pattern: Any
    searched: bool  # anywhere in a text; else at its beginning

    def run(self, text: str) -> None:
        """Use it on all of a text."""
        given = text.encode("latin-1", "replace") if isinstance(self.pattern.pattern, bytes) else text
        if not self.searched:
            self.pattern.match(given)
            self.pattern.fullmatch(given)
            return
        for _ in self.pattern.finditer(given):
            pass


def find_patterns() -> list[Found]:
    """Those that modules, their classes and containers hold, and those that a function compiles or names."""
    found: dict[tuple[str, Any], Found] = {}
    used = _uses()
    for module in _modules():
        held = {
            name: one for name, value in vars(module).items() for one in _patterns_in(value, module.__name__)
        }
        for name, pattern in held.items():
            ways = used.get((module.__file__, name)) or used.get(("", name), set())
            searched = not ways or bool(ways & SEARCHING)
            found.setdefault(
                (pattern.pattern, searched), Found(f"{module.__name__}.{name}", pattern, searched)
            )
    for path in _sources():
        for pattern, searched, line in _written(path):
            found.setdefault((pattern.pattern, searched), Found(f"{path.name}:{line}", pattern, searched))
    return sorted(found.values(), key=lambda one: one.where)


def _modules() -> Iterator[Any]:
    for package in map(importlib.import_module, PACKAGES):
        yield package
        for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not one.name.endswith("__main__"):
                yield importlib.import_module(one.name)


def _sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((REPO / package).rglob("*.py"))


def _patterns_in(value: Any, module: str, depth: int = 3) -> Iterator[Any]:
    if isinstance(value, KINDS):
        yield value
    elif depth and isinstance(value, dict):
        for one in (*value.keys(), *value.values()):
            yield from _patterns_in(one, module, depth - 1)
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _patterns_in(one, module, depth - 1)
    elif depth and (isinstance(value, type) and value.__module__ == module):
        for one in vars(value).values():
            yield from _patterns_in(one, module, depth - 1)
    elif depth and type(value).__module__ == module and hasattr(value, "__dict__"):
        yield from _patterns_in(vars(value), module, depth - 1)


def _uses() -> dict[tuple[str, str], set[str]]:
    """File and name of a pattern -> the methods that are called on it there; without a file: anywhere."""
    used: dict[tuple[str, str], set[str]] = {}
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in SEARCHING | MATCHING:
                name = getattr(node.value, "id", getattr(node.value, "attr", ""))
                for where in (str(path), ""):
                    used.setdefault((where, name), set()).add(node.attr)
    return used


def _written(path: Path) -> Iterator[tuple[re.Pattern[Any], bool, int]]:
    """Patterns a function gives to `re`, or a schema says, as constants; those of a module are found in it."""
    tree = ast.parse(path.read_text())
    of_module = {id(one) for node in tree.body if isinstance(node, ast.Assign) for one in ast.walk(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or id(node) in of_module:
            continue
        called = node.func
        on_re = isinstance(called, ast.Attribute) and getattr(called.value, "id", "") == "re"
        given = [node.args[0]] if on_re and node.args else []
        given += [one.value for one in node.keywords if one.arg == "pattern"]
        for one in given:
            if isinstance(one, ast.Constant) and isinstance(one.value, str | bytes):
                method = called.attr if on_re and isinstance(called, ast.Attribute) else "match"
                yield re.compile(one.value), method not in MATCHING, node.lineno


def worst_texts(pattern: str | bytes, flags: int, seed: int = 1) -> list[tuple[str, str, str]]:
    """(beginning, what is repeated, end): pieces of the pattern, so that it goes far and then fails."""
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    tree = parser.parse(text, flags & ~re.UNICODE if isinstance(pattern, bytes) else flags)
    rng = Random(seed)
    pieces: dict[str, None] = {}
    for _ in range(12):
        for part in _parts(tree):
            pieces[_sample(part, rng)[:400]] = None
    pieces |= dict.fromkeys(GENERIC)
    pieces.pop("", None)
    some = list(pieces)
    rng.shuffle(some)
    some = some[:PIECES_MAX]
    texts = [("", one, end) for one in some for end in ("", "\x00")]
    texts += [(rng.choice(some), one, rng.choice(ENDS)) for one in some]
    texts += [("", one + rng.choice(some), rng.choice(ENDS)) for one in some]
    return texts


GENERIC = (
    "a", "0", " ", "(", '"', "\\", "-", "_", ".", "@", "%40", "é", "a.", "a-", "1 ", "[", "{", "<", "/", "=", ":", "'",
)  # fmt: skip
ENDS = ("", "\x00", "!", "a", " ", '"', "é", "\n")
PIECES_MAX = 24


def _parts(tree: Any) -> Iterator[Any]:
    """Every part of a parsed pattern that may be a worst piece: each sequence up to each of its places, each repeat."""
    for end in range(1, len(tree) + 1):
        yield tree[:end]
        yield tree[end - 1 : end]
    for code, argument in tree:
        for inner in _inner(code, argument):
            yield from _parts(inner)


def _inner(code: Any, argument: Any) -> list[Any]:
    if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        return [argument[2]]
    if code is op.SUBPATTERN:
        return [argument[3]]
    if code is op.BRANCH:
        return list(argument[1])
    if code in (op.ASSERT, op.ASSERT_NOT):
        return [argument[1]]
    return [argument] if code is op.ATOMIC_GROUP else []


def _sample(tree: Any, rng: Random) -> str:
    """A text that this part matches, as a rule."""
    made = []
    for code, argument in tree:
        if code is op.LITERAL:
            made.append(chr(argument))
        elif code is op.NOT_LITERAL:
            made.append("a" if argument != ord("a") else "b")
        elif code is op.ANY:
            made.append(rng.choice("a0 ."))
        elif code is op.IN:
            made.append(_one_of(argument, rng))
        elif code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            least, most, inner = argument
            times = rng.choice((least, min(most, least + 1), min(most, max(least, 2))))
            made += [_sample(inner, rng) for _ in range(min(times, 40))]
        elif code is op.BRANCH:
            made.append(_sample(rng.choice(argument[1]), rng))
        elif code not in (op.ASSERT, op.ASSERT_NOT):
            made += [_sample(inner, rng) for inner in _inner(code, argument)]
    return "".join(made)


def _one_of(items: Any, rng: Random) -> str:
    """A character of a class."""
    if items and items[0][0] is op.NEGATE:
        out = {code for kind, code in items[1:] if kind is op.LITERAL}
        ranges = [code for kind, code in items[1:] if kind is op.RANGE]
        free = [
            c for c in "aA0 _-.é\x00" if ord(c) not in out and not any(a <= ord(c) <= b for a, b in ranges)
        ]
        return rng.choice(free or ["~"])
    kind, code = rng.choice(items)
    if kind is op.LITERAL:
        return chr(code)
    if kind is op.RANGE:
        return chr(rng.choice((code[0], min(code[1], code[0] + 3))))
    return {op.CATEGORY_DIGIT: "0", op.CATEGORY_SPACE: " ", op.CATEGORY_WORD: "a"}.get(code, "-")
