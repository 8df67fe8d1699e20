"""The commands that the pages of docs show, read from the pages themselves."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from tests.processes import REPO

DOCS = REPO / "docs"
# A block without a language is a shell's, so whatever else a block holds must be named.
SHELLS = ("", "sh")
OTHERS = ("html", "js", "json", "python", "sql", "text", "toml")
# What a command within a sentence begins with.
PROGRAMS = ("curl", "fairpixel", "kill", "make", "mv", "nginx", "python")


@dataclass(frozen=True, slots=True)
class Shown:
    """A command as a page prints it."""

    page: str
    text: str

    @property
    def key(self) -> str:
        """The command's name: the same with and without the folder of its program, and on one line."""
        return " ".join(self.text.replace("\\\n", " ").replace(".venv/bin/", "").split())


def pages() -> dict[str, str]:
    """The text of each page by its path below docs."""
    return {str(path.relative_to(DOCS)): path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, content) of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def block_commands(block: str) -> Iterator[str]:
    """The commands of a shell's block; one may go over several lines."""
    command = ""
    for line in block.splitlines(keepends=True):
        command += line
        if command.strip() and not command.endswith("\\\n") and _is_whole(command):
            yield command.strip()
            command = ""
    assert not command.strip(), f"a quote is not closed: {command}"


def sentence_commands(text: str) -> Iterator[str]:
    """The commands within sentences: a program's name and what it is called with."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    for found in re.findall(r"`([^`]+)`", prose):
        words = found.split()
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if len(words) > 1 and words[0].removeprefix(".venv/bin/") in PROGRAMS:
            yield " ".join(found.split())


def commands_of(text: str) -> Iterator[str]:
    """Every command of a page."""
    for language, block in blocks(text):
        if language in SHELLS:
            yield from block_commands(block)
    yield from sentence_commands(text)


def all_commands() -> list[Shown]:
    """Every command of every page, each once, where it is shown first."""
    first: dict[str, Shown] = {}
    for page, text in pages().items():
        for command in commands_of(text):
            shown = Shown(page, command)
            first.setdefault(shown.key, shown)
    return list(first.values())


def protocol_requests() -> list[Shown]:
    """The requests that pages of docs/protocols send to the edge: tests/ingest/protocols runs them without Kafka."""
    return [
        one
        for one in all_commands()
        if one.page.startswith("protocols/")
        and one.text.startswith("curl ")
        and "/v1/events/order-42" not in one.text  # it asks ClickHouse
    ]


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command)
    except ValueError:
        return False
    return True
