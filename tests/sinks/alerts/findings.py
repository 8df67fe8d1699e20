"""A finding as judges make it, and the alert it opens."""

from __future__ import annotations

from sinks.alerts.rules import (
    MINUTE,
    AlertState,
    Direction,
    Finding,
    Kind,
    Transition,
    advance,
)

NOON = 1_800_000_000 // MINUTE * MINUTE


def fall(
    minute: int = NOON, subject: str = "purchase", kind: Kind = Kind.CONVERSION_DROP, site: str = "demo"
) -> Finding:
    return Finding(
        site=site, subject=subject, direction=Direction.DOWN, kind=kind, window=1, minute=minute, observed=24.0,
        expected=60.0, low=42.0, high=81.0, dispersion=1.1, rate=0.2 if kind is Kind.CONVERSION_DROP else None,
    )  # fmt: skip


def opened(*findings: Finding) -> tuple[AlertState, list[Transition]]:
    return advance(AlertState(NOON - MINUTE), NOON, findings or [fall()], {}, ["demo"])
