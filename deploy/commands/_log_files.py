"""Log files for `fairpixel logs import`: plain, gzip or standard input, with a bar that shows the way."""

from __future__ import annotations

import gzip
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.logs.importer import Imported

GZIP_MAGIC = b"\x1f\x8b"
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


@contextmanager
def show_progress(
    paths: Sequence[Path], result: Imported
) -> Iterator[Callable[[Path, Callable[[], int]], Callable[[], None]]]:
    """A bar over all files with rate and time left, on stderr; nothing where nobody looks.

    Gives a function that begins a file and returns what is to be called now and then.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    sizes = {path: 0 if path == STDIN else path.stat().st_size for path in paths}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None if STDIN in sizes else sum(sizes.values()), rate="")
        started, before = time.monotonic(), 0

        def begin(path: Path, position: Callable[[], int]) -> Callable[[], None]:
            nonlocal before
            start, shown_at = before, 0.0
            before += sizes[path]
            bar.update(task, description=path.name)

            def advance() -> None:
                nonlocal shown_at
                now = time.monotonic()
                if now - shown_at < 0.1:
                    return
                shown_at = now
                rate = result.lines / max(now - started, 0.001)
                bar.update(task, completed=start + position(), rate=f"{rate:,.0f} lines/s")

            return advance

        yield begin


def _counting(_: object) -> Callable[[], int]:
    """A pipe cannot say how much was read of it."""
    return lambda: 0
