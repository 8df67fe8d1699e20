"""Names, metrics, log events and commands use the words of the field (words.py)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import metrics
from tests.house.words import ALLOWED, ALLOWED_IN, NAMES, PARTS

ROOT = Path(__file__).parents[2]
FOLDERS = ("schemas", "runtime", "ingest", "streams", "sinks", "deploy")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
LOG_METHODS = ("debug", "info", "warning", "error", "exception")
QUALIFIED = {
    "dead": ("letter", "letters"),
    "consumer": ("lag",),
}  # a part that stands behind its own first word


def complaint(name: str, place: str = "") -> str:
    """Why a name may not be, or ""."""
    if name in NAMES:
        return f"{name}: say {NAMES[name]}"
    if name in ALLOWED and place in ALLOWED_IN.get(name, (place,)):
        return ""
    parts = [part.lower() for part in PART.findall(name)]
    for before, part in zip(["", *parts], parts, strict=False):
        if part in PARTS and part not in QUALIFIED.get(before, ()):
            return f"{name}: {part!r} is {PARTS[part]!r}"
    return ""


def names_in(tree: ast.AST) -> Iterator[str]:
    """Each name the file gives: functions, classes, arguments, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.asname or ""


def log_events_in(tree: ast.AST) -> Iterator[str]:
    """The events of structlog: `log.info("batch_cleaned", ...)`."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in LOG_METHODS
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ):
            yield node.args[0].value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_log_events_use_the_words_of_the_field(path: Path) -> None:
    place, tree = str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8"))
    names = {*names_in(tree), *log_events_in(tree), path.stem}
    assert [why for name in sorted(names) if (why := complaint(name, place))] == []


def test_metrics_their_labels_and_commands_use_the_words_of_the_field() -> None:
    known = [one for one in vars(metrics).values() if isinstance(one, metrics.Metric)]
    commands = [path.stem for path in (ROOT / "deploy" / "commands").glob("[a-z]*.py")]
    names = [*(one.name for one in known), *(label for one in known for label in one.labels), *commands]
    assert len(known) > 20
    assert [why for name in names if (why := complaint(name))] == []


@pytest.mark.parametrize(
    "name",
    ["open_door", "OpenDoor", "DOOR", "letters", "lag", "Seen", "_send_letters", "fairpixel_lag_packs"],
)
def test_a_name_of_our_own_language_is_found(name: str) -> None:
    assert complaint(name, "ingest/app.py")


@pytest.mark.parametrize(
    "name", ["endpoint", "DeadLetter", "dead_letters", "consumer_lag", "seen_at", "CONSUMER_LAG"]
)
def test_a_word_of_the_field_passes(name: str) -> None:
    assert complaint(name) == ""
