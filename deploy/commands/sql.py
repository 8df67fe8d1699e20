"""`fairpixel sql`: one query to ClickHouse, as a table or in any of its formats."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

FORMAT_TERMINAL, FORMAT_PIPE = "PrettyCompact", "TSVWithNames"


def run(
    query: Annotated[str, typer.Argument(help="SQL, or - to read it from standard input")],
    output_format: Annotated[
        str,
        typer.Option("--format", help="any format of ClickHouse, such as JSONEachRow; a table by default"),
    ] = "",
    write: Annotated[bool, typer.Option("--write", help="log in as the user that may write")] = False,
) -> None:
    """Run one query; reading needs no password."""
    import urllib.error
    import urllib.parse
    import urllib.request

    from deploy.local import Platform
    from runtime.errors import UserError

    settings = Platform.from_env(os.environ).settings
    text = sys.stdin.read() if query == "-" else query
    chosen = output_format or (FORMAT_TERMINAL if sys.stdout.isatty() else FORMAT_PIPE)
    parameters = urllib.parse.urlencode({"database": "fairpixel", "default_format": chosen})
    request = urllib.request.Request(f"{settings.warehouse_url}/?{parameters}", text.encode())
    if write:
        request.add_header("X-ClickHouse-User", settings.clickhouse_user)
        request.add_header("X-ClickHouse-Key", _password(settings.clickhouse_password, settings.secrets_path))
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            while part := answer.read(1 << 16):
                sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
    except urllib.error.HTTPError as error:
        answer = error.read().decode("utf-8", "replace").strip()
        raise UserError(
            f"ClickHouse refuses the query: {answer}", "Correct it; writing needs --write."
        ) from None
    except OSError as error:
        raise UserError(
            f"ClickHouse does not answer at {settings.warehouse_url}: {error}.", "See: fairpixel status"
        ) from None


def _password(given: str, path: os.PathLike[str]) -> str:
    import tomllib
    from pathlib import Path

    from runtime.errors import UserError

    if given:
        return given
    try:
        return str(tomllib.loads(Path(path).read_text(encoding="utf-8"))["clickhouse_password"])
    except (OSError, KeyError, ValueError):
        raise UserError(
            f"{path} holds no clickhouse_password that can be read.", "Set FAIRPIXEL_CLICKHOUSE_PASSWORD."
        ) from None
