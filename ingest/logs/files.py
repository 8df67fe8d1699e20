"""Log files as they are imported: plain, packed or standard input, line by line."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ingest.logs.compressed import MAGIC_BYTES, Damaged, check_readable, open_plain, packed_by

LINE_BYTES_MAX = 1_000_000  # a longer line is none of a server's, and few bytes of gzip make one of gigabytes
STDIN = Path("-")


@contextmanager
def open_log(
    path: Path, damaged: list[str] | None = None
) -> Iterator[tuple[Iterator[bytes], Callable[[], int]]]:
    """The lines of a log, and how many bytes of the file are read; `-` is standard input. Raises UserError for what
    cannot be a log, such as a ZIP archive.

    The lines of a file that breaks off end with the last whole one; then a sentence with its name is added to damaged.
    Where there is no such list Damaged is raised.
    """
    source: Any = sys.stdin.buffer if path == STDIN else path.open("rb")
    position = _counting(source) if path == STDIN else source.raw.tell
    name = name_of(path)
    with io.BufferedReader(source.raw, 1 << 20) as raw:
        plain: io.BufferedReader = raw
        if packer := packed_by(raw.peek(MAGIC_BYTES)[:MAGIC_BYTES]):
            plain = open_plain(raw, packer)
        with suppress(Damaged):  # its lines say so
            check_readable(plain.peek(MAGIC_BYTES)[:MAGIC_BYTES], name)
        yield _lines(plain, name, damaged), position


def name_of(path: Path) -> str:
    """A file as we speak of it."""
    return "standard input" if path == STDIN else path.name


def _lines(file: Any, name: str, damaged: list[str] | None) -> Iterator[bytes]:
    """The lines of a file; of one that is too long the beginning."""
    try:
        for line in iter(partial(file.readline, LINE_BYTES_MAX), b""):
            yield line
            rest = line
            while len(rest) == LINE_BYTES_MAX and rest[-1:] != b"\n":
                rest = file.readline(LINE_BYTES_MAX)
    except Damaged as error:
        if damaged is None:
            raise
        damaged.append(f"{name} cannot be read to its end: {error}")


def _counting(_: object) -> Callable[[], int]:
    """A pipe cannot say how much was read of it."""
    return lambda: 0
