"""How the platform looks on a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from deploy.supervisor.look import Look
from runtime.settings import PlatformSettings

COLOURS = {"ok": "green", "starting": "yellow", "unhealthy": "red", "stopped": "dim"}


def status_table(looks: Sequence[Look]) -> Table:
    """A line for each program."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in ("program", "health", "pid", "consumer lag"):
        table.add_column(
            column, justify="right" if column in ("pid", "consumer lag") else "left", header_style="dim"
        )
    for one in looks:
        consumer_lag = "" if one.consumer_lag is None else f"{one.consumer_lag:,}"
        table.add_row(one.name, Text(one.health, COLOURS[one.health]), str(one.pid or ""), consumer_lag)
    return table


def status_line(looks: Sequence[Look]) -> str:
    """The same in one line, for logs."""
    return ", ".join(
        f"{one.name} {one.health}" + (f" (consumer lag {one.consumer_lag})" if one.consumer_lag else "")
        for one in looks
    )


def welcome(settings: PlatformSettings, secret_keys: Mapping[str, str], *, show_secrets: bool) -> str:
    """The endpoints, the keys, a first event and the query that shows it."""
    edge, warehouse = settings.edge_url, settings.warehouse_url
    lines = [
        "",
        "Endpoints",
        f"  edge        {edge}/p.gif   {edge}/v1/events",
        f"  ClickHouse  {warehouse}/   (reading needs no password)",
        f"  Kafka       {settings.bootstrap}",
        "",
        "Keys",
        "  public      demo",
    ]
    if show_secrets:
        lines += [
            f"  secret      {key}   (site {site}; shown this once)" for site, key in secret_keys.items()
        ]
    lines += [f"  more        {settings.secrets_path} (readable by you alone), {settings.config_path}"]
    pixel = f"{edge}/p.gif?k=demo&e=page_view&consent=all&a=visitor-1&url=https://shop.example/"
    query = (
        "SELECT event_id, name, path, basis, visitor FROM fairpixel.events ORDER BY received_at DESC LIMIT 5"
    )
    lines += [
        "",
        "A first event, and the query that shows it",
        f"  curl -i '{pixel}'",
        f"  curl '{warehouse}/' --data {_quoted(query + ' FORMAT PrettyCompact')}",
        "",
    ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return json.dumps(text)
