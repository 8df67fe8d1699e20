"""Cut a ClickHouse query into tokens: enough to find where its clauses end, never enough to judge it.

What a statement may do is decided from the engine's own syntax tree (guard.py); a slip here can only lead to a
statement that the tree then shows for what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>[\s\x00-\x20\xa0]+)
    |(?P<comment>--[^\n]*|\#[\x20!][^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<heredoc>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    |(?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`)
    |(?P<word>[A-Za-z_][A-Za-z0-9_$]*)
    |(?P<number>[0-9][0-9A-Za-z_.]*)
    |(?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of text that means something; `depth` counts the brackets open around it."""

    kind: str
    text: str
    start: int
    end: int
    depth: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.upper() in words


def read_tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of `text` without spaces and comments. Lazy: reading may stop where data begins."""
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "mark"
        if kind in ("space", "comment"):
            continue
        piece = match.group()
        if piece in (")", "]", "}") and kind == "mark":
            depth = max(0, depth - 1)
        yield Token(kind, piece, match.start(), match.end(), depth)
        if piece in ("(", "[", "{") and kind == "mark":
            depth += 1
