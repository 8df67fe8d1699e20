"""The bar of `fairpixel logs import`: how far it is, how fast, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.logs.importer import Imported


@contextmanager
def show_progress(
    paths: Sequence[Path], result: Imported
) -> Iterator[Callable[[Path, Callable[[], int]], Callable[[], None]]]:
    """A bar over all files with rate and time left, on stderr; nothing where nobody looks.

    Gives a function that begins a file and returns what is to be called now and then.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from ingest.logs.files import STDIN

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
