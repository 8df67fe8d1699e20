"""What on-call reads: the fields of a message, stable and documented, and one plain sentence as its title. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from sinks.alerts.rules import SETTLED, Kind, State, Transition

BODY_VERSION = 1
NAME_CHARS_MAX = 80  # of an event name inside a title
_IN_NAMES = "_-.:$()+"


def body_of(one: Transition, warehouse_url: str) -> dict[str, Any]:
    """The JSON body; a field is never renamed or removed within a version.

    version; dedup_key: the same for all messages of one incident; alert_id; sequence: counts up within it; state: open,
    update, resolved; severity: warning, critical; kind: conversion_drop, drop, silence, spike; site; subject: event
    name, "" for all traffic; direction: down, up; title; observed, expected: human hits a minute; interval: low and
    high; window_minutes; started_at, minute: ISO 8601, UTC; detail; link: all rows of this incident, in ClickHouse.
    """
    return {
        "version": BODY_VERSION,
        "dedup_key": f"fairpixel/{one.key}/{one.alert_id}",
        "alert_id": one.alert_id,
        "sequence": one.sequence,
        "state": one.state.value,
        "severity": one.severity.value,
        "kind": one.kind.value,
        "site": one.site,
        "subject": one.subject,
        "direction": one.direction.value,
        "title": title_of(one),
        "observed": one.observed,
        "expected": one.expected,
        "interval": [one.low, one.high],
        "window_minutes": one.window,
        "started_at": iso(one.started_at),
        "minute": iso(one.minute),
        "detail": one.detail,
        "link": _link(one, warehouse_url),
    }


def row_of(one: Transition) -> dict[str, Any]:
    """The row of the table `alerts`."""
    return {
        "alert_id": one.alert_id,
        "sequence": one.sequence,
        "key": one.key,
        "state": one.state.value,
        "kind": one.kind.value,
        "severity": one.severity.value,
        "site": one.site,
        "subject": one.subject,
        "direction": one.direction.value,
        "started_at": one.started_at,
        "minute": one.minute,
        "window_minutes": one.window,
        "observed": one.observed,
        "expected": one.expected,
        "low": one.low,
        "high": one.high,
        "title": title_of(one),
        "detail": one.detail,
    }


def iso(seconds: int) -> str:
    """2026-11-22T18:24:00Z"""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def title_of(one: Transition) -> str:
    """One plain sentence a tired person understands."""
    subject = f"{_as_words(one.subject)} on {one.site}" if one.subject else f"all traffic on {one.site}"
    normal = f"{_number(one.expected)} were expected ({_number(one.low)}-{_number(one.high)})"
    now = f"{_number(one.observed)} a minute"
    if one.state is State.RESOLVED:
        if one.detail.startswith(SETTLED):
            return f"Settled: {subject} stays at {now}; this is taken as normal from now on"
        return f"Resolved: {subject} is back at {now}; {normal}"
    match one.kind:
        case Kind.CONVERSION_DROP:
            return _sentence(f"{subject} fell to {now}; {normal}, traffic is steady")
        case Kind.DROP:
            return _sentence(f"{subject} fell to {now}; {normal}")
        case Kind.SILENCE:
            return _sentence(f"{subject} went silent; {_number(one.expected)} a minute were expected")
        case Kind.SPIKE:
            return _sentence(f"{subject} rose to {now}; {normal}")


def _link(one: Transition, warehouse_url: str) -> str:
    sql = f"SELECT * FROM fairpixel.alerts FINAL WHERE alert_id = '{one.alert_id}' ORDER BY sequence FORMAT Vertical"
    return f"{warehouse_url}/?query={quote(sql)}"


def _as_words(name: str) -> str:
    """An event name inside a sentence.

    Any sender with a public key chooses it, so nothing of it may look like a link, a new line or markup where on-call
    reads it; the field `subject` has it as it is.
    """
    words = "".join(c if c.isalnum() or c in _IN_NAMES else " " for c in name[:NAME_CHARS_MAX])
    return " ".join(words.split()) or "an event"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
