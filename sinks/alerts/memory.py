"""What the watcher remembers, as one JSON text: one write decides; a crash leaves the old decision or the new."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sinks.alerts.rules import (
    MINUTE,
    Alert,
    AlertState,
    Direction,
    Finding,
    Kind,
    Severity,
    State,
    Stretch,
    Transition,
)

OUTBOX_MAX = 1_000  # messages; beyond it the oldest leave unsent, counted and logged: the table keeps them
UNSENT_SECONDS_MAX = 86_400  # a message nobody took for a day is not sent any more


@dataclass(frozen=True, slots=True)
class Message:
    """A decided transition, and where it still has to go."""

    transition: Transition
    routes: tuple[str, ...]  # not told yet
    stored: bool = False  # it stands in the table `alerts`


@dataclass(frozen=True, slots=True)
class Memory:
    """The book and the outbox; `version` grows by one with each write."""

    alert_state: AlertState
    outbox: tuple[Message, ...] = ()
    version: int = field(default=0, compare=False)

    def decided(
        self, alert_state: AlertState, transitions: list[Transition], routes: tuple[str, ...], quiet: set[str]
    ) -> Memory:
        """After a judgement. quiet: ids of transitions nobody is told about (see loop.untold)."""
        added = tuple(Message(one, () if one.transition_id in quiet else routes) for one in transitions)
        return replace(self, alert_state=alert_state, outbox=self.outbox + added, version=self.version + 1)

    def stored(self) -> Memory:
        """After all transitions stand in the table."""
        return self._keep(replace(one, stored=True) for one in self.outbox)

    def told(self, transition_id: str, route: str) -> Memory:
        """After one route has one message."""
        return self._keep(
            replace(one, routes=tuple(r for r in one.routes if r != route))
            if one.transition.transition_id == transition_id
            else one
            for one in self.outbox
        )

    def trimmed(self, now: int) -> tuple[Memory, int]:
        """Without messages too old or too many to be of use; and how many those were. now: seconds since 1970."""
        fresh = tuple(
            one
            for one in self.outbox
            if not one.stored or now - one.transition.minute - MINUTE <= UNSENT_SECONDS_MAX
        )[-OUTBOX_MAX:]
        lost = len(self.outbox) - len(fresh)
        return (replace(self, outbox=fresh, version=self.version + 1), lost) if lost else (self, 0)

    def _keep(self, messages: Iterable[Message]) -> Memory:
        open_ones = tuple(one for one in messages if one.routes or not one.stored)
        return replace(self, outbox=open_ones, version=self.version + 1)


def encode_memory(memory: Memory) -> str:
    """JSON text; the version stands beside it in the table."""
    alert_state = memory.alert_state
    return json.dumps(
        {
            "judged": alert_state.judged,
            "open": [asdict(alert) for alert in alert_state.open.values()],
            "past": [asdict(stretch) for stretch in alert_state.past],
            "seen": dict(alert_state.seen),
            "outbox": [asdict(message) for message in memory.outbox],
        },
        separators=(",", ":"),
    )


def decode_memory(text: str, version: int) -> Memory:
    """Raises ValueError, KeyError or TypeError when the text is not one of ours."""
    data: Mapping[str, Any] = json.loads(text)
    alerts = [_alert(one) for one in data["open"]]
    return Memory(
        alert_state=AlertState(
            judged=int(data["judged"]),
            open={alert.finding.key: alert for alert in alerts},
            past=tuple(Stretch(**one) for one in data["past"]),
            seen={str(site): int(minute) for site, minute in data["seen"].items()},
        ),
        outbox=tuple(
            Message(_transition(one["transition"]), tuple(one["routes"]), bool(one["stored"]))
            for one in data["outbox"]
        ),
        version=version,
    )


def _alert(data: dict[str, Any]) -> Alert:
    found = data["finding"]
    finding = Finding(**{**found, "direction": Direction(found["direction"]), "kind": Kind(found["kind"])})
    return Alert(
        **{**data, "finding": finding, "kind": Kind(data["kind"]), "severity": Severity(data["severity"])}
    )


def _transition(data: dict[str, Any]) -> Transition:
    return Transition(
        **{
            **data,
            "state": State(data["state"]),
            "kind": Kind(data["kind"]),
            "severity": Severity(data["severity"]),
            "direction": Direction(data["direction"]),
        }
    )
