"""`fairpixel sql`: one query to ClickHouse, as a table or in any of its formats."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

FORMAT_TERMINAL, FORMAT_PIPE = "PrettyCompact", "TSVWithNames"
ANSWER_S_MAX = 600.0


def run(
    query: Annotated[str, typer.Argument(help="SQL, or - to read it from standard input")],
    output_format: Annotated[
        str,
        typer.Option("--format", help="any format of ClickHouse, such as JSONEachRow; a table by default"),
    ] = "",
    write: Annotated[bool, typer.Option("--write", help="log in as the user that may write")] = False,
) -> None:
    """Run one query; reading needs no password."""
    from deploy.local import Platform
    from runtime.clickhouse import ClickHouseClient, ClickHouseError
    from runtime.errors import UserError

    settings = Platform.from_env(os.environ).settings
    text = sys.stdin.read() if query == "-" else query
    chosen = output_format or (FORMAT_TERMINAL if sys.stdout.isatty() else FORMAT_PIPE)
    login = ("", "")
    if write:
        login = settings.clickhouse_user, _password(settings.clickhouse_password, settings.secrets_path)
    client = ClickHouseClient(settings.warehouse_url, *login)
    try:
        for part in client.stream(
            text, seconds_max=ANSWER_S_MAX, database="fairpixel", default_format=chosen
        ):
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    except ClickHouseError as error:
        if error.status:
            answer = error.detail.decode("utf-8", "replace").strip()
            raise UserError(
                f"ClickHouse refuses the query: {answer}", "Correct it; writing needs --write."
            ) from None
        raise UserError(f"{error} ({settings.warehouse_url}).", "See: fairpixel status") from None


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
