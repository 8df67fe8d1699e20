"""Tell the three ways to run a statement apart: rows out by a pipe, rows in from a body, everything else."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.embedded.clickhouse.lexer import Token, read_tokens

# The place of the pipe while a statement is checked; replaced by the number of a descriptor when it runs.
PIPE_MARK = "/dev/fd/0000"


@dataclass(frozen=True, slots=True)
class InsertParts:
    """An INSERT with data: `head` up to its data, `target` the same without FORMAT or VALUES, `data_start` in bytes."""

    head: str
    target: str
    format: str
    data_start: int


def split_insert(raw: bytes) -> InsertParts | None:
    """Find where the data of an INSERT begins in `raw`; None when it is no INSERT or takes its rows from a SELECT.

    Raises UnicodeDecodeError when the text before the data is not UTF-8.
    """
    text = raw.decode("latin-1")  # one character a byte: offsets stay those of the bytes
    tokens = read_tokens(text)
    first = next(tokens, None)
    if first is None or not first.is_word("INSERT"):
        return None
    into = next(tokens, None)
    if into is None:
        return None
    previous = into
    named = not into.is_word("INTO", "TABLE", "FUNCTION")
    for token in tokens:
        if token.is_word("TABLE", "FUNCTION") and previous.is_word("INTO"):
            previous = token
            continue
        if not named or previous.text == ".":  # a table may be called format or values
            named, previous = True, token
            continue
        previous = token
        if token.depth or token.kind != "word":
            if token.text == "(" and token.depth == 0:
                continue
            if token.kind == "word" and token.depth == 1 and token.is_word("SELECT", "WITH"):
                return None
            continue
        if token.is_word("SELECT", "WITH", "FROM", "WATCH"):
            return None
        if token.is_word("VALUES"):
            return _parts(raw, token.start, token.end, "Values", token.end)
        if token.is_word("FORMAT"):
            name = next(tokens, None)
            if name is None or name.kind != "word":
                return None
            return _parts(raw, token.start, name.end, name.text, _after_line_end(raw, name.end))
    return None


def _parts(raw: bytes, cut: int, head_end: int, name: str, data_start: int) -> InsertParts:
    return InsertParts(raw[:head_end].decode(), raw[:cut].decode(), name, data_start)


def _after_line_end(raw: bytes, at: int) -> int:
    """Skip blanks and one line end after FORMAT X, as ClickHouse does, so that binary data begins exactly there."""
    while at < len(raw) and raw[at : at + 1] in (b" ", b"\t", b"\r"):
        at += 1
    return at + 1 if raw[at : at + 1] in (b"\n", b";") else at


def with_pipe(text: str, default_format: str) -> tuple[str, str] | None:
    """Return (`text` writing its rows into PIPE_MARK, name of the format), or None when it is no plain SELECT.

    Reads `text` to its end and holds four tokens of it; raises ClickHouseError as the lexer does.
    """
    first: Token | None = None
    clause: tuple[Token, Token] | None = None
    before: Token | None = None
    last: Token | None = None
    end = 0
    for token in read_tokens(text):
        if first is None and token.text != "(":
            first = token
        if token.text == ";" and token.kind == "mark":
            continue
        if token.is_word("SETTINGS"):
            clause = _format_clause(before, last) or clause
        before, last, end = last, token, token.end
    clause = _format_clause(before, last) or clause
    if first is None or not first.is_word("SELECT", "WITH", "FROM"):
        return None
    outfile = f"\nINTO OUTFILE '{PIPE_MARK}' APPEND\nFORMAT "
    if clause is None:
        return f"{text[:end]}{outfile}{default_format}", default_format
    keyword, name = clause
    return f"{text[: keyword.start]}{outfile}{name.text}{text[name.end : end]}", name.text


def _format_clause(keyword: Token | None, name: Token | None) -> tuple[Token, Token] | None:
    if keyword is None or name is None or keyword.depth or name.kind != "word":
        return None
    return (keyword, name) if keyword.is_word("FORMAT") else None


def after_describe(text: str) -> str | None:
    """What a DESCRIBE statement describes; None for any other statement."""
    tokens = read_tokens(text)
    first, second = next(tokens, None), next(tokens, None)
    if first is None or second is None or not first.is_word("DESCRIBE", "DESC"):
        return None
    return text[second.end if second.is_word("TABLE") else second.start :]
