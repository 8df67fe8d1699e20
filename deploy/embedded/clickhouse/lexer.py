"""Cut a ClickHouse query into tokens: enough to find where its clauses end, never enough to judge it.

What a statement may do is decided from the engine's own syntax tree (allow_list.py); a slip here can only lead to a
statement that the tree then shows for what it is. Every text is lexed before the engine's parser meets it, in time
and memory that grow with its length alone: what is never closed, or too deep, is refused at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.embedded.clickhouse.errors import ClickHouseError

# Brackets within brackets; the engine's own limit on recursion is 1000 and counts more than brackets.
DEPTH_MAX = 250

# Possessive, so that no text is read twice: a quote that is never closed is an error, not another try.
_TOKEN = re.compile(
    r"""(?P<space>[\s\x00-\x20\xa0]++)
    |(?P<comment>--[^\n]*+|//[^\n]*+|\#[\x20!][^\n]*+)
    |(?P<block>/\*)
    |(?P<heredoc>\$)
    |(?P<quoted>'(?:[^'\\]|\\.|'')*+'|"(?:[^"\\]|\\.|"")*+"|`(?:[^`\\]|\\.|``)*+`)
    |(?P<word>[A-Za-z_][A-Za-z0-9_$]*+)
    |(?P<number>[0-9][0-9A-Za-z_]*+(?:\.[0-9A-Za-z_]*+)?(?:(?<=[eEpP])[+-][0-9A-Za-z_]*+)?)
    |(?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)
_TAG = re.compile(r"\$\w*+\$")
_EDGE_OF_COMMENT = re.compile(r"/\*|\*/")


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
    """Yield the tokens of `text` without spaces and comments. Lazy: reading may stop where data begins.

    Raises ClickHouseError for what is never closed (62) and for brackets deeper than DEPTH_MAX (306).
    """
    depth = at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None, "the last alternative takes any character"
        kind = match.lastgroup or "mark"
        start, at = at, match.end()
        if kind in ("space", "comment"):
            continue
        if kind == "block":
            at = _end_of_comment(text, at)
            continue
        if kind == "heredoc":
            at = _end_of_heredoc(text, start)
        piece = text[start:at]
        if kind != "mark":
            yield Token(kind, piece, start, at, depth)
            continue
        if piece in ("'", '"', "`"):
            raise _unclosed(start, f"the quote {piece}")
        if piece in (")", "]", "}"):
            depth = max(0, depth - 1)
        yield Token(kind, piece, start, at, depth)
        if piece in ("(", "[", "{"):
            depth += 1
            if depth > DEPTH_MAX:
                raise ClickHouseError(
                    306,
                    "TOO_DEEP_RECURSION",
                    f"The query has more than {DEPTH_MAX} brackets within brackets at position {start + 1}",
                    status=400,
                )


def _end_of_comment(text: str, at: int) -> int:
    """Where the comment ends that was opened just before `at`; comments nest, as in the engine."""
    opened = at
    level = 1
    while level:
        edge = _EDGE_OF_COMMENT.search(text, at)
        if edge is None:
            raise _unclosed(opened - 2, "the comment /*")
        level += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return at


def _end_of_heredoc(text: str, start: int) -> int:
    """Where $tag$...$tag$ ends; a dollar sign means nothing else where a token begins."""
    tag = _TAG.match(text, start)
    end = -1 if tag is None else text.find(tag.group(), tag.end())
    if tag is None or end < 0:
        raise _unclosed(start, "the dollar quote $")
    return end + len(tag.group())


def _unclosed(at: int, what: str) -> ClickHouseError:
    return ClickHouseError(
        62, "SYNTAX_ERROR", f"Syntax error: failed at position {at + 1}: {what} is not closed"
    )
