"""`fairpixel logs`: the lines of web server logs as events; the same lines twice add nothing."""

from __future__ import annotations

import gc
import itertools
import json
import sys
import time
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands._log_dependencies import Dependencies, check_format, find_format
from deploy.commands._log_files import STDIN, open_log, show_progress
from deploy.errors import UserError

if TYPE_CHECKING:
    from ingest.logs.importer import Imported

GC_THRESHOLD = 20_000  # objects; a pack's rows are 500

app = typer.Typer(no_args_is_help=True, help="Web server logs as events.")

Site = Annotated[str, typer.Option(help="the site whose requests these are")]
Host = Annotated[
    str,
    typer.Option(help="host of addresses whose line names none, such as shop.example; else they are paths"),
]
Format = Annotated[
    str,
    typer.Option(
        help="combined, vhost_combined, common, nginx-json, caddy, cloudfront, alb or fairpixel-pixel; "
        "without it the first lines tell"
    ),
]


@app.callback()
def _logs() -> None:
    """Web server logs as events."""


@app.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(help="log files, plain or gzip; - is standard input"),
    ],
    site: Site = "",
    host: Host = "",
    format: Format = "",
    as_json: Annotated[bool, typer.Option("--json", help="the summary as JSON")] = False,
) -> None:
    """Import access logs. Ends when Kafka has acknowledged every line; run it again without fear."""
    for path in files:
        if path != STDIN and not path.is_file():
            raise UserError(f"{path}: no such file.", "Name log files, or - for standard input.")
    started = time.monotonic()
    result, formats = _import(files, site, host, check_format(format))
    seconds = time.monotonic() - started
    summary = asdict(result) | {
        "seconds": round(seconds, 3), "lines_per_second": round(result.lines / seconds), "formats": formats,
    }  # fmt: skip
    print(json.dumps(summary) if as_json else _in_words(summary))


def _in_words(summary: dict[str, Any]) -> str:
    told = [
        "{lines:,} lines: {accepted:,} accepted, {invalid:,} invalid, in {seconds:.1f} s"
        " ({lines_per_second:,} lines/s)".format(**summary)
    ]
    if summary["skipped"]:
        told.append(f"Skipped: {summary['skipped']:,} lines that are no requests, such as headers.")
    if invalid := summary["invalid"]:
        numbers = summary["invalid_lines"]
        more = f" and {invalid - len(numbers):,} more" if invalid > len(numbers) else ""
        told.append(
            f"Lines that cannot be read, by number in their file: {', '.join(map(str, numbers))}{more}"
        )
        if again := summary["invalid_again"]:
            told.append(f"Counted by an import before this one: {again:,} of them.")
        told.append("They are kept sealed: fairpixel logs rejected")
    return "\n".join([*told, "What became of them: fairpixel ledger"])


def _import(files: list[Path], site: str, host: str, format: str) -> tuple[Imported, list[str]]:
    from ingest.logs.access_log import LineIds
    from ingest.logs.formats import LINES_LOOKED_AT
    from ingest.logs.importer import ImportFailed

    dependencies = Dependencies.read()
    site = dependencies.check_site(site, format)
    rejects = dependencies.rejects()
    importing = dependencies.build_import(*dependencies.outbox(), site, rejects)
    gc.freeze()  # rows make no cycles: looking for some costs 1 µs a line
    gc.set_threshold(GC_THRESHOLD)
    formats: list[str] = []
    try:
        importing.send_pending()
        with show_progress(files, importing.result) as begin:
            for path in files:
                with open_log(path) as (lines, position):
                    first = [] if format else list(itertools.islice(lines, LINES_LOOKED_AT))
                    if not format and not first:
                        continue
                    name = format or find_format(first, "standard input" if path == STDIN else path.name)
                    formats.append(name)
                    reader = dependencies.build_reader(name, site, host)
                    ids = LineIds(dependencies.secret)
                    importing.feed(itertools.chain(first, lines), reader, ids, begin(path, position))
        return importing.finish(), formats
    except ImportFailed as error:
        raise UserError(
            f"{error}.", "When `fairpixel status` is well, run the same import again: nothing is added twice."
        ) from None
    except (OSError, EOFError, zlib.error) as error:  # such as a gzip file that ends early
        raise UserError(
            f"The log cannot be read to its end: {error}.",
            "Mend the file and import it again: nothing is added twice.",
        ) from None


@app.command()
def follow(
    file: Annotated[Path, typer.Argument(help="the log; it need not be there yet", dir_okay=False)],
    site: Site = "",
    host: Host = "",
    format: Format = "",
    remove_acknowledged: Annotated[
        bool, typer.Option("--remove-acknowledged", help="delete a rotated file once Kafka has all of it")
    ] = False,
    nginx_pid: Annotated[
        Path | None, typer.Option(help="pid file of an nginx whose log this is: rotate it as below")
    ] = None,
    rotate_mb: Annotated[float, typer.Option(help="size at which the log is rotated")] = 64,
    rotate_seconds: Annotated[float, typer.Option(help="age at which it is rotated")] = 60,
) -> None:
    """Follow a log through its rotations, for as long as it runs; after a kill it goes on exactly where it was."""
    from deploy.commands._log_follower import Follower

    dependencies = Dependencies.read()
    format = check_format(format)
    site = dependencies.check_site(site, format)
    follower = Follower(dependencies, file.absolute(), site, host, format, remove_acknowledged)
    if nginx_pid is not None:
        follower.rotate(nginx_pid, round(rotate_mb * 1e6), rotate_seconds)
    total = follower.run()
    print(
        f"{total.lines:,} lines: {total.accepted:,} accepted, {total.invalid:,} invalid, {total.skipped:,} skipped"
    )


@app.command()
def rejected(
    site: Annotated[str, typer.Option(help="only lines of this site's logs")] = "",
    show: Annotated[
        bool, typer.Option("--show", help="write the lines themselves to standard output")
    ] = False,
) -> None:
    """List the lines nobody could read; with --show, open them: they may hold addresses."""
    dependencies = Dependencies.read()
    ring = dependencies.ring()
    for batch, lines in dependencies.rejects().lines(ring):
        if site and batch.site != site:
            continue
        if not show:
            when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(batch.minute))
            gone = "" if lines is not None else ", sealed under a key that is gone"
            print(f"{when}  {batch.site or 'nginx ingestion'}  {batch.count:,} lines{gone}")
            continue
        for line in lines or ():
            sys.stdout.buffer.write(line + b"\n")


@app.command()
def nginx(
    queue: Annotated[Path, typer.Option(help="the log nginx writes and `logs follow` empties")],
    listen: Annotated[str, typer.Option(help="address and port nginx listens on")] = "127.0.0.1:8088",
) -> None:
    """Write the configuration that makes nginx take pixels, with the public keys of all sites, to standard output."""
    from deploy.commands._log_follower import render_nginx

    print(render_nginx(sorted(Dependencies.read().sites.public), queue.absolute(), listen))
