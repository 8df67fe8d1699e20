"""`fairpixel logs import`: puts the lines of web server logs in as events; the same lines twice add nothing."""

from __future__ import annotations

import gzip
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.errors import Trouble

if TYPE_CHECKING:
    from ingest.log_import import Imported

GZIP_MAGIC = b"\x1f\x8b"
METADATA_S_MAX = 10.0

app = typer.Typer(no_args_is_help=True, help="Web server logs as events.")


@app.callback()
def _logs() -> None:
    """Web server logs as events."""


@app.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(help="log files, plain or gzip", exists=True, dir_okay=False, readable=True),
    ],
    site: Annotated[str, typer.Option(help="the site whose requests these are")],
    host: Annotated[
        str, typer.Option(help="host of the addresses, such as shop.example; without it they are paths")
    ] = "",
    format: Annotated[
        str, typer.Option(help="format of the lines; combined is nginx's and Apache's default")
    ] = "combined",
) -> None:
    """Import access logs. Ends when Kafka has acknowledged every line; run it again without fear."""
    if format != "combined":
        raise Trouble(f"The log format {format!r} is not known.", "Known is: combined.")
    started = time.monotonic()
    result = _import(files, site, host)
    seconds = time.monotonic() - started
    rate = f"{result.lines / seconds:,.0f} lines/s" if seconds else ""
    print(
        f"{result.lines:,} lines: {result.accepted:,} accepted, {result.invalid:,} invalid, in {seconds:.1f} s ({rate})"
    )
    if result.invalid:
        more = result.invalid - len(result.invalid_lines)
        numbers = ", ".join(map(str, result.invalid_lines)) + (f" and {more:,} more" if more else "")
        print(f"Lines that cannot be read, by number in their file: {numbers}")
    print("What became of them: fairpixel ledger")


def _import(files: list[Path], site: str, host: str) -> Imported:
    from ingest.access_log import CombinedFormat, LineIds
    from ingest.live import read_ring
    from ingest.log_import import ImportFailed, LogImport
    from ingest.outbox import KafkaOutbox
    from schemas.config import ConfigError, parse_config
    from schemas.ring import RingError
    from schemas.secrets import SecretsError, parse_secrets
    from schemas.settings import PlatformSettings, SettingError

    now_ms = int(time.time() * 1000)
    try:
        settings = PlatformSettings.from_env(os.environ)
        config = parse_config(settings.config_path.read_text("utf-8"))
        secret = parse_secrets(settings.secrets_path.read_text("utf-8"), os.environ).identity_secret
        key = read_ring(settings.keys).newest(now_ms)
    except OSError as error:
        raise Trouble(
            f"{error.filename}: {error.strerror}.", "`fairpixel up` makes it; FAIRPIXEL_DATA says where."
        ) from None
    except (SettingError, ConfigError, SecretsError, RingError) as error:
        raise Trouble(str(error), "Check with: fairpixel config check") from None
    if site not in config.sites:
        raise Trouble(
            f"There is no site {site!r}.",
            f"Sites of {settings.config_path.name}: {', '.join(config.sites) or 'none'}.",
        )
    outbox = KafkaOutbox(settings.bootstrap)
    partitions = outbox.fetch_partition_count(METADATA_S_MAX)
    if partitions is None:
        raise Trouble(f"Kafka does not answer on {settings.bootstrap}.", "Start the platform: fairpixel up")
    importing = LogImport(outbox, partitions, site, key, now_ms, os.urandom)
    try:
        for path in files:
            with _open_log(path) as (lines, position), _progress(path, position, importing.result) as advance:
                importing.feed(lines, CombinedFormat(site, host, now_ms), LineIds(secret), advance)
        return importing.finish()
    except ImportFailed as error:
        raise Trouble(
            f"{error}.", "When `fairpixel status` is well, run the same import again: nothing is added twice."
        ) from None
    except (OSError, EOFError) as error:  # such as a gzip file that ends early
        raise Trouble(
            f"The log cannot be read to its end: {error}.",
            "Mend the file and import it again: nothing is added twice.",
        ) from None


@contextmanager
def _open_log(path: Path) -> Iterator[tuple[Iterator[bytes], Callable[[], int]]]:
    """The lines of a log, and how many bytes of the file are read."""
    with path.open("rb", buffering=0) as raw:
        plain: Any = raw
        magic = raw.read(2)
        raw.seek(0)
        if magic == GZIP_MAGIC:
            plain = gzip.GzipFile(fileobj=raw, mode="rb")
        with io.BufferedReader(plain, 1 << 20) as lines:
            yield iter(lines), raw.tell


@contextmanager
def _progress(path: Path, position: Callable[[], int], result: Imported) -> Iterator[Callable[[], None]]:
    """A bar with rate and time left, on stderr; nothing where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(path.name, total=path.stat().st_size, rate="")
        started, lines_before, shown_at = time.monotonic(), result.lines, 0.0

        def advance() -> None:
            nonlocal shown_at
            now = time.monotonic()
            if now - shown_at < 0.1:
                return
            shown_at = now
            rate = (result.lines - lines_before) / max(now - started, 0.001)
            bar.update(task, completed=position(), rate=f"{rate:,.0f} lines/s")

        yield advance
