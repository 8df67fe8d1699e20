"""`fairpixel trace`: what each stage decided about one event."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from runtime.trace import Trace


def run(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="the event's id, as it was sent or answered")],
    site: Annotated[str, typer.Option("--site", help="one site; any by default")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Follow one event from the edge to its row or the reason it has none; exit 1 when nothing is known (yet)."""
    from deploy.commands._warehouse import connect_reader, explain_errors
    from runtime.trace import trace_event

    with explain_errors():
        trace = trace_event(connect_reader(os.environ), event_id, site, _identity_secret())
    if as_json:
        print(json.dumps(trace.as_json(), default=str))
    else:
        for line in describe(trace):
            print(line)
    raise typer.Exit(0 if trace.is_known else 1)


def describe(trace: Trace) -> list[str]:
    """The trace as lines, stage by stage."""
    from runtime.trace import decisions

    lines = [f"{one.stage:<8} {one.text}" for one in decisions(trace)]
    if not trace.is_known:
        lines += [
            "Nothing is known of this id (yet): no row, and no drop of the last 7 days.",
            "It may still be on its way, be older than that, or never have been accepted.",
        ]
        lines += [
            f"  raw partition {row['origin_partition']} is loaded to offset {row['origin_offset']} "
            f"(since {row['loaded_at']})"
            for row in trace.progress
        ]
    if not trace.drops_readable:
        lines.append(
            "Drops could not be looked up: secrets.toml with the identity secret cannot be read from here."
        )
    return lines


def _identity_secret() -> bytes:
    from deploy.local import Platform
    from runtime.secrets import SecretsError, parse_secrets, read_secrets

    path = Platform.from_env(os.environ).settings.secrets_path
    try:
        # Without a file the environment may hold it alone.
        secrets = read_secrets(path, os.environ) if path.exists() else parse_secrets("", os.environ)
        return secrets.identity_secret
    except (OSError, SecretsError):
        return b""
