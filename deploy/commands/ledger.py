"""`fairpixel ledger`: accepted = kept + dropped + dead, and where a difference sits."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sinks.warehouse.ledger import Database, Report


def run(
    site: Annotated[str, typer.Option("--site", help="one site; all by default")] = "",
    since: Annotated[
        str, typer.Option("--since", help="such as 30m, 12h, 7d, 2026-01-31 or 2026-01-31T12:00")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Account for every accepted event, and compare with what the edges sealed; exit 0 when all is equal."""
    from dataclasses import replace

    from deploy.commands._warehouse import connect_reader, explain_errors
    from sinks.warehouse.ledger import read_ledger

    start = parse_since(since, time.time())
    with explain_errors():
        database = connect_reader(os.environ)
        report = read_ledger(database, site, start, time.sleep)
        report = replace(report, sealed=_read_sealed(database))
    if as_json:
        print(json.dumps(report.as_json(), default=str))
    else:
        _show(report)
    raise typer.Exit(0 if report.is_equal else 1)


def _read_sealed(database: Database) -> list[dict[str, Any]]:
    """What the newest raw messages say against what arrived of them; nothing while Kafka is away.

    Raises UserError where the login to Kafka cannot be used.
    """
    from deploy.local import Platform
    from runtime.kafka import KafkaUnavailable, kafka_errors_as_ours
    from runtime.kafka_access import operator_access
    from schemas.topics import RAW
    from sinks.loader.kafka.log_reader import find_topic_id, read_range
    from sinks.loader.kafka.raw_log import KafkaRaw
    from sinks.warehouse.sealed import MESSAGES_MAX, compare_sealed, loaded_until, read_pack

    kafka = operator_access(Platform.from_env(os.environ).settings)
    packs = []
    try:
        with kafka_errors_as_ours():
            topic_id, raw = find_topic_id(kafka, RAW), KafkaRaw(kafka)
        for partition, last in sorted(loaded_until(database, topic_id).items()):
            low, high = raw.bounds(partition)
            end = min(high, last + 1)
            for message in read_range(kafka, RAW, partition, max(low, end - MESSAGES_MAX), end):
                pack = read_pack(partition, message.offset, message.value)
                if pack is not None:
                    packs.append(pack)
        raw.close()
        return compare_sealed(database, topic_id, packs, time.sleep)
    except KafkaUnavailable as away:
        print(f"What the edges sealed was not compared, as Kafka does not answer: {away}", file=sys.stderr)
        return []


def parse_since(text: str, now: float) -> int:
    """Seconds since 1970 for `30m`, `12h`, `7d` before now, or for a date or time in UTC; 0 for "".

    Raises UserError.
    """
    from datetime import UTC, datetime

    from runtime.errors import UserError

    if not text:
        return 0
    unit = {"m": 60, "h": 3_600, "d": 86_400}.get(text[-1])
    if unit and text[:-1].isdecimal():
        return max(0, int(now) - int(text[:-1]) * unit)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
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
    for row in report.sealed:
        console.print(
            f"pack {row['pack_id']} at raw partition {row['partition']} offset {row['offset']}: "
            f"an edge sealed {row['sealed']} events, {row['arrived']} arrived",
            highlight=False,
            soft_wrap=True,
        )
    if not report.differences:
        console.print("accepted = kept + dropped + dead")
    if not report.rollups:
        console.print("rollups = rows")
