"""Every command that a page shows is one we have, with options and arguments it takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from deploy.cli import build, command_names
from tests.house.tables import DOCS, ROOT

PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / ".github").glob("*.md"),
    *(ROOT / "examples").glob("*.md"),
    *DOCS.rglob("*.md"),
]
CLI: Any = get_command(build(command_names()))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def shown() -> Iterator[tuple[str, str]]:
    """(page, line of a shell) of every block, and every command within a sentence."""
    for page in PAGES:
        name, text = str(page.relative_to(ROOT)), page.read_text("utf-8")
        for block in re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            yield from ((name, line) for line in block.replace("\\\n", " ").splitlines())
        yield from (
            (name, line) for line in re.findall(r"`((?:\.venv/bin/)?fairpixel [^`]+|make [^`]+)`", text)
        )


def calls(pattern: str) -> list[tuple[str, str]]:
    """(page, what stands behind the program's name), each once."""
    return sorted({(page, found) for page, line in shown() for found in re.findall(pattern, line)})


@pytest.mark.parametrize(("page", "words"), calls(r"(?:^|\| )(?:\.venv/bin/)?fairpixel ([^|<>#]+)"))
def test_a_command_of_a_page_can_be_called_so(page: str, words: str) -> None:
    command, given = CLI, shlex.split(words.replace("...", ""))
    while given and hasattr(command, "commands"):
        assert given[0] in command.commands, page
        command, given = command.commands[given[0]], given[1:]
    options = {option: one for one in command.params for option in getattr(one, "opts", ())}
    for word in given:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, (page, word)


@pytest.mark.parametrize(("page", "target"), calls(r"(?:^|\s)make ([a-z]+)\b"))
def test_a_target_of_a_page_is_in_the_makefile(page: str, target: str) -> None:
    assert target in TARGETS, page


def test_there_are_commands_to_look_at() -> None:
    assert len({Path(page) for page, _ in shown()}) > 10
