"""Log files as they are imported: plain, gzip or standard input, line by line."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ingest.logs.generation import GZIP_MAGIC

LINE_BYTES_MAX = 1_000_000  # a longer line is none of a server's, and few bytes of gzip make one of gigabytes
STDIN = Path("-")


@contextmanager
def open_log(path: Path) -> Iterator[tuple[Iterator[bytes], Callable[[], int]]]:
    """The lines of a log, and how many bytes of the file are read; `-` is standard input."""
    source: Any = sys.stdin.buffer if path == STDIN else path.open("rb")
    position = _counting(source) if path == STDIN else source.raw.tell
    with io.BufferedReader(source.raw, 1 << 20) as raw:
        plain: Any = raw
        if raw.peek(2)[:2] == GZIP_MAGIC:
            plain = io.BufferedReader(gzip.GzipFile(fileobj=raw, mode="rb"), 1 << 20)
        yield _lines(plain), position


def _lines(file: Any) -> Iterator[bytes]:
    """The lines of a file; of one that is too long the beginning."""
    for line in iter(partial(file.readline, LINE_BYTES_MAX), b""):
        yield line
        rest = line
        while len(rest) == LINE_BYTES_MAX and rest[-1:] != b"\n":
            rest = file.readline(LINE_BYTES_MAX)


def _counting(_: object) -> Callable[[], int]:
    """A pipe cannot say how much was read of it."""
    return lambda: 0
