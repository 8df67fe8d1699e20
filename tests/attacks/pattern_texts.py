"""Texts made from patterns: what matches each of their branches, nearly matches, or repeats until it does not end."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from random import Random
from typing import Any

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

with warnings.catch_warnings():  # the only parser of patterns there is, under its two names
    warnings.simplefilter("ignore", DeprecationWarning)
    _PARSER = import_module("re._parser") if hasattr(re, "_parser") else import_module("sre_parse")

PACKAGES = ("schemas", "runtime", "ingest", "streams")  # whoever reads a stranger's text
# The heart of each branch, for patterns in a form that this parser cannot read, or that are put together as text.
PUMPS = (
    "eyJ", "eyJaaaaaaaa.", "eyJ-", "sk_", "sk-aaaaaaaaaaaaaaaa", "ghp_", "xoxb", "AKIA", "AIza", "glpat-", "a1",
    "aA1", "aA1_",
    "0123456789abcdef", "f", "A", "_", "a@a.", "a@", "a%40a.", "%40", "@", ".", "a.b", "'", "+1 ", "00 1", "+", "%2B",
    "(01) ",
    "1 ", "1-", "123 ", "123-456-7890 ", "0123 45678", "4111 1111 1111 111", "4111111111111111 ", "3782 822463 10005 ",
    "4", "user", "_ip_", "first_name", "lat_", "//", "a://", "a@b:", "[", "/a;", "?a=", "#", "%25", "%", "%u",
    "&utm_source=a",
    "&", "=", "\\", '"', "{", "[[", "measurement,", ",", "consent=all&", "Mozilla/5.0 (", "Android 1; ", "bot/", "; ",
    "iPhone OS 1_",
    "Build/", "http://", " ",
)  # fmt: skip
REPEATS_MAX = 3  # of an unbounded repeat inside one matching text; the whole is repeated anyway


@cache
def patterns() -> tuple[str, ...]:
    """The sources of all patterns of PACKAGES, as compiled or as text, and of the list of bots."""
    found: dict[str, None] = {}
    for name in sorted(_modules()):
        for label, value in vars(import_module(name)).items():
            # Patterns that are put together of others stand there as text, under a name of capitals.
            source = getattr(value, "pattern", value if label.isupper() else None)
            if isinstance(source, bytes):
                source = source.decode("latin-1")
            if isinstance(source, str) and any(mark in source for mark in "[(\\"):
                found[source] = None
    return (*found, *(one["pattern"] for one in CRAWLER_USER_AGENTS_DATA[::20]))


def _modules() -> Iterator[str]:
    for package in PACKAGES:
        for module in walk_packages(import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                yield module.name


@cache
def _parsed(source: str) -> Any:
    try:
        return _PARSER.parse(source)
    except re.error:
        return None


def matching(source: str, rng: Random) -> str:
    """A text that a pattern matches or nearly matches (what it looks ahead for is not looked at); "" for none."""
    tree = _parsed(source)
    return "".join(_texts(tree, rng)) if tree is not None else ""


def _texts(tree: Any, rng: Random) -> Iterator[str]:
    for operation, given in tree:
        match str(operation):
            case "LITERAL":
                yield chr(given)
            case "NOT_LITERAL" | "ANY":
                yield rng.choice("aZ0. -")
            case "IN":
                yield _one_of(given, rng)
            case "BRANCH":
                yield from _texts(rng.choice(given[1]), rng)
            case "SUBPATTERN":
                yield from _texts(given[-1], rng)
            case "ATOMIC_GROUP":
                yield from _texts(given, rng)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inner = given
                for _ in range(rng.randint(least, max(least, min(int(most), least + REPEATS_MAX)))):
                    yield from _texts(inner, rng)


_CATEGORIES = {
    "CATEGORY_DIGIT": "0123456789٣", "CATEGORY_SPACE": " \t\u00a0", "CATEGORY_WORD": "aZ_0é",
    "CATEGORY_NOT_DIGIT": "a-. ", "CATEGORY_NOT_SPACE": "aZ0.", "CATEGORY_NOT_WORD": "-. ",
}  # fmt: skip


def _one_of(members: Any, rng: Random) -> str:
    if str(members[0][0]) == "NEGATE":
        return rng.choice("aZ0_-. ~")
    operation, given = rng.choice(members)
    match str(operation):
        case "LITERAL":
            return chr(given)
        case "RANGE":
            return chr(rng.randint(given[0], given[1]))
    return rng.choice(_CATEGORIES.get(str(given), "a"))


def hostile_text(rng: Random, length: int) -> str:
    """A text of this length that is bad for patterns: one heart or match repeated, perhaps with something else at its
    ends, where a search that must fail fails last."""
    heart = rng.choice(PUMPS) if rng.random() < 0.5 else matching(rng.choice(patterns()), rng)
    if heart and rng.random() < 0.3:  # a near miss
        at = rng.randrange(len(heart))
        heart = heart[:at] + rng.choice(("", "!", "\0", "é", "_", "9")) + heart[at + 1 :]
    if rng.random() < 0.2:
        heart += rng.choice(PUMPS)
    heart = heart or "a"
    front, back = (
        rng.choice(("", "", "!", "eyJ", "a", "https://")),
        rng.choice(("", "", "!", "@", "\n", ".", "é", "-")),
    )
    body = (heart * (length // len(heart) + 1))[: max(0, length - len(front) - len(back))]
    return (front + body + back)[:length]
