"""The open loads of a bench, and the programs whose cost is counted: names and rates alone, no measuring."""

from __future__ import annotations

from dataclasses import dataclass

from tests.speed.http_load import BATCH

# As people call them -> as the platform calls them.
PROGRAMS = {
    "kafka": "kafka", "clickhouse": "clickhouse", "edge": "ingest", "streams": "streams", "loader": "sinks",
    "alerts": "alerts",
}  # fmt: skip


@dataclass(frozen=True)
class Load:
    """So many requests a second whatever the answers do; 0 is nothing at all.

    kind: one of http_load's: pixel (one event), beacon (two), batch (a hundred).
    """

    kind: str
    per_second: float

    @property
    def name(self) -> str:
        """As in the names of figures and on the command line: `200`, `20x100`, `idle`."""
        if not self.per_second:
            return "idle"
        return f"{self.per_second:g}x{BATCH}" if self.kind == "batch" else f"{self.per_second:g}"

    @property
    def title(self) -> str:
        """As in a table."""
        if not self.per_second:
            return "idle"
        return f"{self.per_second:,g} {'batches' if self.kind == 'batch' else self.kind + 's'}/s"

    @property
    def events(self) -> int:
        """Events of one request."""
        return {"batch": BATCH, "beacon": 2}.get(self.kind, 1)


LOADS = (
    Load("pixel", 0), Load("pixel", 20), Load("pixel", 200), Load("pixel", 2_000),
    Load("batch", 20), Load("batch", 150),
)  # fmt: skip


def parse_loads(text: str) -> tuple[Load, ...]:
    """`idle,200` as loads, in the table's order. ValueError names what is none of them."""
    known = {load.name: load for load in LOADS}
    asked = [one.strip() for one in text.split(",")]
    for one in asked:
        if one not in known:
            raise ValueError(f"{one!r} is no load; there are {', '.join(known)}")
    return tuple(load for name, load in known.items() if name in asked)
