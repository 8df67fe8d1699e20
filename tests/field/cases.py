"""Cases of requests and Kafka messages: how they are read, what stands for the time of sending, how a find is compared.

A case is one line of any `*.jsonl` here whose `input` has the kind `http` or `kafka`:

    {"id", "source", "why", "input": {...}, "expect": {...}}

`input` of http: `requests`, each {method, path, headers (an object, or pairs where a name repeats), body or body_b64 or
json, times, sign (as SendGrid does: null for this body, else what is signed instead)}; of kafka: `messages` of
events.direct.v1, each {key, value (a text, an object or null)}.

`expect`: `answers`, for each request {status, text, json, headers}; `messages`, for each message {delivered, dead};
`rows`, by event id what its row has, null for none; `found`, a list of {where, rows} for events whose id nobody knows
beforehand, rows in the order of receipt; `drops`, by event name {reason: count}; `absent`, texts that stand in none of
the case's rows and in no log. What is expected of an object are the values it names; `fits` has the other words.

Event ids and names are the case's own: all cases share one run of the platform.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
KINDS = ("http", "kafka")
UNITS_S = {"s": 1, "h": 3_600, "d": 86_400}
_PLACEHOLDER = re.compile(r"\{\{([A-Z_0-9]+)(?:([+-]\d+)([shd]?)|\(([^{}]*)\))?\}\}")
_WORDS = frozenset({"near", "within", "has", "lacks", "any", "text", "without", "empty"})


@dataclass(frozen=True)
class Case:
    """One line."""

    id: str
    source: str
    input: dict[str, Any]
    expect: dict[str, Any]
    why: str = ""


@dataclass
class Outcome:
    """What became of one case."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by event id
    found: list[list[dict[str, Any]]] = field(default_factory=list)
    drops: dict[str, dict[str, int]] = field(default_factory=dict)
    logs: str = ""


def read_cases() -> Iterator[Case]:
    """Every case of ours, in the order of files and lines."""
    for path in sorted(FOLDER.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            case = json.loads(line)
            if isinstance(case.get("input"), dict) and case["input"].get("kind") in KINDS:
                yield Case(case["id"], case["source"], case["input"], case["expect"], case.get("why", ""))


def fill(text: str, secrets: dict[str, str], now: float | None = None) -> str:
    """A text with its placeholders filled.

    `{{NOW_S}}`, `_MS`, `_US`, `_NS`, `_ISO` and `_FORM` (as Mailchimp writes it), each with `-60`, `+2h`, `-14d` behind
    it: a bare number in the unit itself (seconds for texts); `{{REPEAT(x,250)}}`; `{{BASE64(...)}}`, with names of
    secrets inside; and the names of secrets.
    """
    at = time.time() if now is None else now

    def replace(found: re.Match[str]) -> str:
        name, shift, unit, inner = found.groups()
        if name in secrets:
            return secrets[name]
        if name == "BASE64":
            for secret in sorted(secrets, key=len, reverse=True):
                inner = inner.replace(secret, secrets[secret])
            return base64.b64encode(inner.encode()).decode()
        if name == "REPEAT":
            letter, _, count = inner.partition(",")
            return letter * int(count)
        scale = {"NOW_MS": 10**3, "NOW_US": 10**6, "NOW_NS": 10**9}.get(name, 1)
        moved = int(shift or 0) * UNITS_S[unit or "s"] * (scale if unit else 1)
        if name == "NOW_ISO":
            moment = datetime.fromtimestamp(at + moved, UTC)
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if name == "NOW_FORM":
            return datetime.fromtimestamp(at + moved, UTC).strftime("%Y-%m-%d+%H%%3A%M%%3A%S")
        assert name in ("NOW_S", "NOW_MS", "NOW_US", "NOW_NS"), f"nobody knows {found[0]}"
        return str(int(at * scale) + moved)

    return _PLACEHOLDER.sub(replace, text)


def fits(found: Any, wanted: Any) -> bool:
    """Whether something is as it was wanted: equal; an object with at least these values; or by a word.

    near (within 5,000 unless `within` says otherwise), has and lacks (bits of a number), any (one of several), text and
    without (inside a text, or what an object or a list looks like as JSON), empty (true or false).
    """
    if not isinstance(wanted, dict):
        if isinstance(wanted, list):
            return isinstance(found, list) and len(found) == len(wanted) and all(map(fits, found, wanted))
        return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)
    if not wanted or not _WORDS.issuperset(wanted):
        return isinstance(found, dict) and all(
            name in found and fits(found[name], value) for name, value in wanted.items()
        )
    as_text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    checks = {
        "near": lambda value: abs(found - value) <= wanted.get("within", 5_000),
        "within": lambda _: True,
        "has": lambda bits: found & bits == bits,
        "lacks": lambda bits: not found & bits,
        "any": lambda values: any(fits(found, value) for value in values),
        "text": lambda part: part in as_text,
        "without": lambda part: part not in as_text,
        "empty": lambda empty: (not found) == empty,
    }
    return all(checks[word](value) for word, value in wanted.items())


def check(case: Case, outcome: Outcome) -> None:
    """AssertionError naming the first thing that is not as the case wants it."""
    expect = case.expect
    for number, wanted in enumerate(expect.get("answers", [])):
        assert fits(outcome.answers[number], wanted), f"answer {number}: {outcome.answers[number]}"
    for number, wanted in enumerate(expect.get("messages", [])):
        assert fits(outcome.messages[number], wanted), f"message {number}: {outcome.messages[number]}"
    for event_id, wanted in expect.get("rows", {}).items():
        rows = outcome.rows.get(event_id, [])
        assert len(rows) == (wanted is not None), f"{len(rows)} rows of {event_id}"
        assert wanted is None or fits(rows[0], wanted), f"{event_id}: {_shown(rows[0], wanted)}"
    for number, wanted in enumerate(expect.get("found", [])):
        rows = outcome.found[number]
        assert len(rows) == len(wanted["rows"]), f"{len(rows)} rows where {wanted['where']}"
        for row, one in zip(rows, wanted["rows"], strict=True):
            assert fits(row, one), f"{wanted['where']}: {_shown(row, one)}"
    for name, wanted in expect.get("drops", {}).items():
        assert outcome.drops.get(name, {}) == wanted, f"drops of {name}: {outcome.drops.get(name)}"
    rows = [row for some in (*outcome.rows.values(), *outcome.found) for row in some]
    kept = json.dumps([rows, outcome.drops], ensure_ascii=False)
    for text in expect.get("absent", []):
        assert text not in kept, "a row holds what none may hold"
        assert text not in outcome.logs, "a log holds what none may hold"


def _shown(row: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Of a row, what was asked for."""
    return {name: row.get(name) for name in wanted}
