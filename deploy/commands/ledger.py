"""`fairpixel ledger`: accepted = kept + dropped + dead, and where a difference sits."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sinks.ledger import Report


def run(
    site: Annotated[str, typer.Option("--site", help="one site; all by default")] = "",
    since: Annotated[
        str, typer.Option("--since", help="such as 30m, 12h, 7d, 2026-01-31 or 2026-01-31T12:00")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Account for every accepted event; exit 0 when all is equal, 1 when not."""
    from deploy.commands._warehouse import connect_reader, explain_errors
    from sinks.ledger import read_ledger

    start = parse_since(since, time.time())
    with explain_errors():
        report = read_ledger(connect_reader(os.environ), site, start, time.sleep)
    if as_json:
        print(json.dumps(report.as_json(), default=str))
    else:
        _show(report)
    raise typer.Exit(0 if report.is_equal else 1)


def parse_since(text: str, now: float) -> int:
    """Seconds since 1970 for `30m`, `12h`, `7d` before now, or for a date or time in UTC; 0 for "". Raises Trouble."""
    from datetime import UTC, datetime

    from deploy.errors import Trouble

    if not text:
        return 0
    unit = {"m": 60, "h": 3_600, "d": 86_400}.get(text[-1])
    if unit and text[:-1].isdecimal():
        return max(0, int(now) - int(text[:-1]) * unit)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Trouble(
            f'--since "{text}" is no time.', "Write 30m, 12h, 7d, or a date such as 2026-01-31."
        ) from None
    return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))


def _show(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(
        "site", "accepted", "kept", "dropped", "dead", "difference", "refused", box=None, pad_edge=False
    )
    for row in report.totals:
        dropped, refused = (
            ", ".join(f"{reason} {count}" for reason, count in sorted(row[name].items())) or 0
            for name in ("dropped", "refused_by")
        )
        counts = (row["accepted"], row["kept"], dropped, row["dead"], row["difference"], refused)
        table.add_row(row["site"] or "(unknown)", *map(str, counts))
    console.print(table if report.totals else "Nothing was accepted in that time.")
    for row in report.differences:
        console.print(f"{row['site']} {row['minute']}: difference {row['difference']}", highlight=False)
        for pack in row["packs"]:
            console.print(
                f"  pack {pack['pack_id'] or '(unknown)'} at raw partition {pack['partition']} "
                f"offset {pack['offset']}: "
                f"accepted {pack['accepted']}, kept {pack['kept']}, dropped {pack['dropped']}, dead {pack['dead']}",
                highlight=False,
                soft_wrap=True,
            )
    for row in report.drops:
        console.print(
            f"{row['site']} {row['minute']}: drops under {row['reason']}: "
            f"{row['listed']} listed, {row['counted']} counted",
            highlight=False,
        )
    for row in report.rollups:
        console.print(
            f"{row['site']} {row['name']} {row['minute']}: the rollup says {row['hits']:+d} hits, "
            f"{row['value']:+} value against the rows",
            highlight=False,
        )
    if not report.differences:
        console.print("accepted = kept + dropped + dead")
    if not report.rollups:
        console.print("rollups = rows")
