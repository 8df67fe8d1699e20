"""`fairpixel logs`: the lines of web server logs as events; the same lines twice add nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands._files import read_files
from deploy.commands._progress import show_progress
from runtime.errors import UserError

if TYPE_CHECKING:
    from ingest.logs.dependencies import Dependencies

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
Pattern = Annotated[
    str,
    typer.Option(
        help="how a line is, where no format fits: nginx's log_format, Apache's LogFormat, or fields such as "
        "'{ip} [{time}] \"{request}\" {status} {_}'"
    ),
]


@app.callback()
def _logs() -> None:
    """Web server logs as events."""


@app.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(help="log files, plain or packed by gzip, zstd, xz or bzip2; - is standard input"),
    ],
    site: Site = "",
    host: Host = "",
    format: Format = "",
    pattern: Pattern = "",
    as_json: Annotated[bool, typer.Option("--json", help="the summary as JSON")] = False,
) -> None:
    """Import access logs. Ends when Kafka has acknowledged every line; run it again without fear."""
    from ingest.logs.dependencies import check_format
    from ingest.logs.files import STDIN
    from ingest.logs.import_program import import_files

    for path in files:
        if path != STDIN and not path.is_file():
            raise UserError(f"{path}: no such file.", "Name log files, or - for standard input.")
    started = time.monotonic()
    chosen = check_format(format, pattern)
    imported = import_files(_read_dependencies(), files, site, host, chosen, show_progress)
    result, seconds = imported.result, time.monotonic() - started
    summary = asdict(result) | {
        "seconds": round(seconds, 3), "lines_per_second": round(result.lines / seconds), "formats": imported.formats,
    }  # fmt: skip
    if result.lines or not imported.problems:
        print(json.dumps(summary) if as_json else _in_words(summary), flush=True)
    _raise_all(imported.problems)


def _raise_all(problems: Sequence[UserError]) -> None:
    """Raise the last, and say those before it."""
    for problem in problems[:-1]:
        _tell(f"fairpixel: {problem}")
    if problems:
        raise problems[-1]


def _read_dependencies() -> Dependencies:
    """What an import needs, from the files of this platform. Raises UserError."""
    from ingest.logs.dependencies import Dependencies

    return Dependencies.of(*read_files())


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


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
    told += summary["remarks"]
    return "\n".join([*told, "What became of them: fairpixel ledger"])


@app.command()
def follow(
    file: Annotated[Path, typer.Argument(help="the log; it need not be there yet", dir_okay=False)],
    site: Site = "",
    host: Host = "",
    format: Format = "",
    pattern: Pattern = "",
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
    from ingest.logs.dependencies import check_format, name_of_format
    from ingest.logs.follow_program import Follower

    dependencies = _read_dependencies()
    chosen = check_format(format, pattern)
    site = dependencies.check_site(site, name_of_format(chosen))
    follower = Follower(dependencies, file.absolute(), site, host, chosen, remove_acknowledged)
    if nginx_pid is not None:
        follower.rotate(nginx_pid, round(rotate_mb * 1e6), rotate_seconds)
    total = follower.run(_tell)
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
    dependencies = _read_dependencies()
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
    from deploy.commands._nginx import render_nginx

    print(render_nginx(sorted(_read_dependencies().sites.public), queue.absolute(), listen))
