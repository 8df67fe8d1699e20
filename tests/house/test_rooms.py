"""Rooms stand one upon the other: imports go down, never up and never in a circle, and no room is crowded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.modules import ROOT, modules_of
from tests.house.rooms import FILES_MAX, ORDER


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The program's own modules that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (one if one in known else node.module for one in whole)


def room_of(module: str) -> str:
    """The room a module lives in; a file in the program's own folder is one by itself."""
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("program", ORDER)
def test_rooms_import_only_those_below_them(program: str) -> None:
    known, order = modules_of(program), ORDER[program]
    assert {room_of(module) for module in known} - {""} == set(order), (
        "a room is missing in the plan, or in the house"
    )
    climbing = {
        f"{module} imports {other}"
        for module, path in known.items()
        for other in imported(path, known)
        if room_of(module) and room_of(other) and order.index(room_of(other)) > order.index(room_of(module))
    }
    assert not climbing


@pytest.mark.parametrize("program", ORDER)
def test_tests_stand_in_folders_like_the_rooms(program: str) -> None:
    rooms = {str(folder.relative_to(ROOT)) for folder in (ROOT / program).rglob("*/")}
    tests = {
        str(path.parent.relative_to(ROOT / "tests")) for path in (ROOT / "tests" / program).rglob("test_*.py")
    }
    assert tests - {program} <= rooms


@pytest.mark.parametrize("program", ORDER)
def test_no_room_is_crowded(program: str) -> None:
    for folder in [ROOT / program, *(ROOT / program).rglob("*/")]:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(files) <= FILES_MAX, f"{folder.relative_to(ROOT)} has {len(files)} files"


@pytest.mark.parametrize("program", ORDER)
def test_each_room_says_who_lives_there(program: str) -> None:
    for path in (ROOT / program).rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), f"{path.relative_to(ROOT)} says nothing"
