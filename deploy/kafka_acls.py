"""Who may do what on Kafka: the one list that the broker, docs/kafka-acls.md and the tests are made from.

A program may do what it needs and no more. Whoever may read or write a topic may also describe it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.topics import (
    ALERTS_READER,
    CLEAN,
    DEAD,
    DIRECT,
    DIRECT_GROUP,
    RAW,
    SINKS_GROUP,
    SINKS_READER,
    STREAMS_GROUP,
    STREAMS_READER,
    TAIL_READER,
    user_name,
)

Resource = Literal["topic", "group"]
Operation = Literal["read", "write", "describe", "describe_configs"]

PROGRAMS = ("ingest", "streams", "sinks", "alerts", "operator")
# The embedded broker's own login: its super user, which sets up topics, logins and this list.
BROKER = "broker"
ANONYMOUS = "ANONYMOUS"
# So that a crowd on the open listener slows itself and nobody else: bytes a second, and per cent of one broker thread.
ANONYMOUS_QUOTAS = {"producer_byte_rate": 16_000_000.0, "request_percentage": 100.0}


@dataclass(frozen=True, slots=True)
class Rule:
    """One principal may do this with one topic or group; `why` is its line in the documentation."""

    principal: str
    resource: Resource
    name: str
    operations: tuple[Operation, ...]
    why: str


def all_rules(sinks_group: str = SINKS_GROUP) -> tuple[Rule, ...]:
    """Everything that is allowed; the rest is not."""
    ingest, streams, sinks, alerts, operator = map(user_name, PROGRAMS)
    return (
        Rule(ANONYMOUS, "topic", DIRECT, ("write",), "people's own producers, on the open listener"),
        Rule(ingest, "topic", RAW, ("write",), "packs of accepted events"),
        Rule(ingest, "topic", DIRECT, ("read",), "events of people's own producers"),
        Rule(ingest, "group", DIRECT_GROUP, ("read",), "shares them among the edge's workers"),
        Rule(ingest, "topic", DEAD, ("write",), "direct messages nobody can read"),
        Rule(streams, "topic", RAW, ("read",), "packs to decide"),
        Rule(streams, "group", STREAMS_GROUP, ("read",), "shares them among workers"),
        Rule(streams, "group", STREAMS_READER, ("describe",), "reads logs again after a start"),
        Rule(streams, "topic", CLEAN, ("read", "write"), "what may be kept, and where it left off"),
        Rule(streams, "topic", DEAD, ("read", "write"), "packs nobody can read, each once"),
        Rule(sinks, "topic", CLEAN, ("read",), "packs to load"),
        Rule(sinks, "group", sinks_group, ("read",), "its place, and what it is about to insert"),
        Rule(sinks, "group", SINKS_READER, ("describe",), "reads a partition again after a start"),
        Rule(sinks, "topic", DEAD, ("read", "write"), "packs nobody can read, each once"),
        Rule(
            sinks,
            "topic",
            RAW,
            ("read",),
            "whether a clean pack tells its origin right; raw packs are sealed",
        ),
        Rule(alerts, "topic", RAW, ("describe",), "where raw ends: whether a minute is closed"),
        Rule(alerts, "group", ALERTS_READER, ("describe",), "the client asks for it"),
        Rule(
            operator,
            "topic",
            RAW,
            ("read", "write", "describe_configs"),
            "logs import, replay, ledger, doctor",
        ),
        Rule(operator, "topic", CLEAN, ("read", "describe_configs"), "tail, replay, doctor"),
        Rule(operator, "topic", DEAD, ("read", "describe_configs"), "replay, doctor"),
        Rule(operator, "topic", DIRECT, ("write", "describe_configs"), "replay, doctor"),
        Rule(operator, "group", SINKS_READER, ("describe",), "ledger"),
        Rule(operator, "group", TAIL_READER, ("describe",), "tail"),
        Rule(operator, "group", STREAMS_READER, ("describe",), "replay"),
    )


def principals(rules: Sequence[Rule]) -> tuple[str, ...]:
    """Every principal of the list, once."""
    return tuple(dict.fromkeys(rule.principal for rule in rules))
