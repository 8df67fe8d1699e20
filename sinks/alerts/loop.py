"""One step of the watcher, from the clock to the pages: is a minute closed, what stands out in it, who must hear.

The order is the promise. A decision is written as one row before anything else follows from it; then its rows in
`alerts`; then it is sent; then it is written down as sent. A crash between any two of these repeats the later half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sinks.alerts.closing import (
    Snapshot,
    SpoolReading,
    Watermarks,
    closed_through,
    due_minute,
    packs_missing,
    spool_holds,
)
from sinks.alerts.delivery.pager import Delivery
from sinks.alerts.judge import judge_minute, read_again
from sinks.alerts.memory import Memory
from sinks.alerts.rules import MINUTE, AlertState, Direction, Finding, Kind, State, Transition, advance
from sinks.alerts.season import BEFORE_MINUTES, NEAR_MINUTES, Day, is_ordinary
from sinks.alerts.traffic import (
    ALL_TRAFFIC,
    SPAN_MINUTES,
    WINDOWS,
    Series,
    SeriesRow,
    Traffic,
    build_traffic,
    usable_minutes,
)

SETTLE_MS = 1_000  # from the last pack seen loaded to the query: one insert feeds several tables, in turn
# Minutes missed while the watcher was down are judged up to here; earlier ones never.
CATCH_UP_MINUTES_MAX = 60
LATE_MS = 600_000  # a minute still open this long after its end is reported
# Findings a minute that are compared with earlier days; the rest wait for the next minute.
SEASON_LOOKS_MAX = 50


class RawTopic(Protocol):
    """Seam: the raw topic."""

    def ends(self) -> tuple[str, dict[int, Watermarks]]:
        """Topic id and watermarks by partition. Raises KafkaUnavailable."""


class Edge(Protocol):
    """Seam: an edge's metrics."""

    def spool_packs(self) -> int | None:
        """Packs in its spool; None: it does not answer."""


class AlertStore(Protocol):
    """What the loop needs of `store.Store`."""

    def load(self) -> Memory | None: ...
    def version(self) -> int: ...
    def save(self, memory: Memory) -> None: ...
    def store(self, transitions: Sequence[Transition]) -> None: ...
    def loaded(self) -> dict[tuple[str, int], int]: ...
    def traffic(self, first: int, last: int) -> list[SeriesRow]: ...
    def earlier_days(self, finding: Finding) -> list[Day]: ...


class Pager(Protocol):
    """What the loop needs of the webhooks."""

    def routes(self) -> tuple[str, ...]: ...
    def offer(self, transition: Transition, route: str) -> None: ...
    def deliveries(self) -> list[Delivery]: ...
    def recorded(self, delivery: Delivery) -> None: ...


Tell = Callable[..., None]  # an event and its fields, to the log


@dataclass(frozen=True, slots=True)
class Standing:
    """How the watcher stands; for health, metrics and `status`."""

    judged: int = 0  # last judged minute, seconds since 1970; 0: none yet
    packs_missing: int = 0
    spool_holds: bool = False
    late: bool = False
    open_count: int = 0


class Watcher:
    """Holds what lives between two steps; `step` may raise what a seam raises, and is then simply called again."""

    def __init__(self, store: AlertStore, topic: RawTopic, edge: Edge, pager: Pager, tell: Tell) -> None:
        self._store, self._topic, self._edge, self._pager, self._tell = store, topic, edge, pager, tell
        self._memory: Memory | None = None
        self._snapshot: Snapshot | None = None
        self._spool: SpoolReading | None = None
        self._closed: tuple[int, int] | None = None  # a minute, and when it was seen closed (ms)
        self._unrecorded: list[Delivery] = []
        self._late_told_ms = 0
        self._as_judged: dict[
            int, dict[Series, float]
        ] = {}  # the last hour; a new process takes what it finds
        self.standing = Standing()

    def step(self, now_ms: int) -> None:
        """Do what can be done now; called a few times a second."""
        if self._memory is None:
            self._memory = self._begin(now_ms)
        self._send(now_ms)
        if due_minute(now_ms) > self._memory.alert_state.judged:
            self._wait_or_judge(now_ms)
        self._stand(now_ms)

    def finish(self) -> None:
        """Write down what was sent meanwhile; the last thing before the program ends."""
        if self._memory is not None:
            self._record(self._memory)

    def _begin(self, now_ms: int) -> Memory:
        memory = self._store.load()
        if (
            memory is None
        ):  # the minute under way is the first to be judged; what is imported before it never is
            memory = Memory(AlertState(judged=now_ms // 60_000 * 60 - MINUTE), version=1)
            self._store.save(memory)
        self._tell(
            "watch_began",
            judged=memory.alert_state.judged,
            open=len(memory.alert_state.open),
            unsent=len(memory.outbox),
        )
        return memory

    def _wait_or_judge(self, now_ms: int) -> None:
        if self._closed is None:
            snapshot = self._take_snapshot(now_ms)
            closed = closed_through(snapshot, self._store.loaded())
            if closed is None:
                return
            self._snapshot = None
            self._closed = (closed, now_ms)
        closed, seen_ms = self._closed
        if now_ms - seen_ms >= SETTLE_MS:
            self._judge_through(closed)
            self._closed = None
            self._send(now_ms)

    def _take_snapshot(self, now_ms: int) -> Snapshot:
        """One that was taken and is not loaded yet stays: a steady lag would outrun a new one each minute."""
        if self._snapshot is None or not self._snapshot.spool_is_empty:
            packs = (
                self._edge.spool_packs()
            )  # read before the offsets: what left the spool is in Kafka by then
            holds = spool_holds(packs, self._spool, now_ms)
            if packs is not None:
                self._spool = SpoolReading(packs, now_ms)
            topic_id, ends = self._topic.ends()
            self._snapshot = Snapshot(now_ms, topic_id, ends, spool_is_empty=not holds)
        return self._snapshot

    def _judge_through(self, closed: int) -> None:
        memory = self._memory
        assert memory is not None
        if self._store.version() != memory.version:  # an answer was lost, or another watcher wrote
            self._memory = None
            self._tell("memory_read_again")
            return
        first = max(memory.alert_state.judged + MINUTE, closed - (CATCH_UP_MINUTES_MAX - 1) * MINUTE)
        if first > closed:
            return
        start = first - (SPAN_MINUTES - 1) * MINUTE
        traffic = build_traffic(self._store.traffic(start, closed), start, closed, self._as_judged)
        alert_state, transitions = memory.alert_state, []
        for minute in range(first, closed + 1, MINUTE):
            alert_state, changed = self._judge(alert_state, minute, traffic.until(minute))
            transitions += changed
        after = memory.decided(alert_state, transitions, self._pager.routes(), untold(transitions))
        self._store.save(after)
        self._memory = after
        for column in range((first - start) // MINUTE, (closed - start) // MINUTE + 1):
            self._as_judged[start + column * MINUTE] = dict(
                zip(traffic.series, traffic.counts[:, column], strict=True)
            )
        for minute in [one for one in self._as_judged if one <= closed - max(WINDOWS) * MINUTE]:
            del self._as_judged[minute]
        for one in transitions:
            self._tell(
                "alert", state=one.state.value, kind=one.kind.value, severity=one.severity.value, site=one.site,
                subject=one.subject, minute=one.minute, observed=one.observed, expected=one.expected,
                low=one.low, high=one.high, alert_id=one.alert_id, sequence=one.sequence,
            )  # fmt: skip

    def _judge(
        self, alert_state: AlertState, minute: int, traffic: Traffic
    ) -> tuple[AlertState, list[Transition]]:
        usable = usable_minutes(traffic, alert_state.spoilt)
        readings = {key: read_again(traffic, alert.finding) for key, alert in alert_state.open.items()}
        findings = [
            one
            for one in judge_minute(traffic, usable, alert_state.is_alive)
            if one.key not in alert_state.open
        ]
        counts = zip(traffic.series, traffic.counts[:, -1], strict=True)
        alive = [site for (site, name), count in counts if not name and count]
        return advance(alert_state, minute, self._extraordinary(findings, traffic), readings, alive)

    def _extraordinary(self, findings: Sequence[Finding], traffic: Traffic) -> list[Finding]:
        """Without what this time of day brings: the site as a whole first, for it explains its names."""
        ordinary: set[tuple[str, Direction]] = set()
        strange: set[tuple[str, Direction]] = set()
        kept = []
        for looks, finding in enumerate(sorted(findings, key=lambda one: one.subject != ALL_TRAFFIC)):
            move = (finding.site, finding.direction)
            explained = finding.kind is not Kind.CONVERSION_DROP
            if (explained and move in ordinary) or looks >= SEASON_LOOKS_MAX:
                continue
            if explained and move in strange:
                kept.append(finding)  # `advance` leaves it out as part of the site's alert
            elif is_ordinary(finding, _before(finding, traffic), self._store.earlier_days(finding)):
                ordinary |= {move} if finding.subject == ALL_TRAFFIC else set()
            else:
                strange |= {move} if finding.subject == ALL_TRAFFIC else set()
                kept.append(finding)
        return kept

    def _send(self, now_ms: int) -> None:
        memory = self._memory
        if memory is None:
            return
        if any(not one.stored for one in memory.outbox):
            self._store.store([one.transition for one in memory.outbox if not one.stored])
            memory = self._keep(memory.stored())
        memory = self._record(memory)
        trimmed, lost = memory.trimmed(now_ms // 1000)
        if lost:
            memory = self._keep(trimmed)
            self._tell("alerts_unsent", messages=lost)
        for one in memory.outbox:
            for route in one.routes:
                self._pager.offer(one.transition, route)

    def _record(self, memory: Memory) -> Memory:
        self._unrecorded += self._pager.deliveries()
        while self._unrecorded:
            delivery = self._unrecorded[0]
            memory = self._keep(memory.told(delivery.transition_id, delivery.route))
            self._pager.recorded(delivery)
            self._tell(
                "alert_sent",
                message=delivery.transition_id,
                route=delivery.route,
                outcome=delivery.outcome.value,
            )
            self._unrecorded.pop(0)
        return memory

    def _keep(self, memory: Memory) -> Memory:
        self._store.save(memory)
        self._memory = memory
        return memory

    def _stand(self, now_ms: int) -> None:
        if self._memory is None:
            return
        judged, snapshot = self._memory.alert_state.judged, self._snapshot
        late = now_ms - (judged + 2 * MINUTE) * 1000 > LATE_MS
        missing = packs_missing(snapshot, self._store.loaded()) if late and snapshot is not None else 0
        holds = snapshot is not None and not snapshot.spool_is_empty
        self.standing = Standing(judged, missing, holds, late, len(self._memory.alert_state.open))
        if late and now_ms - self._late_told_ms > LATE_MS:
            self._late_told_ms = now_ms
            self._tell("minute_not_closed", judged=judged, packs_missing=missing, spool_holds=holds)


def untold(transitions: Sequence[Transition]) -> set[str]:
    """Ids of transitions nobody is told about: after downtime, only how each alert stands now is news.

    An alert that opened and resolved in the minutes caught up on woke nobody then and wakes nobody now.
    """
    last = {one.alert_id: one for one in transitions}
    opened = {one.alert_id for one in transitions if one.state is State.OPEN}
    return {
        one.transition_id
        for one in transitions
        if one is not last[one.alert_id] or (one.state is State.RESOLVED and one.alert_id in opened)
    }


def _before(finding: Finding, traffic: Traffic) -> Any:
    series: Series = (finding.site, finding.subject)
    stop = -finding.window - NEAR_MINUTES
    return traffic.counts[traffic.series.index(series), stop - BEFORE_MINUTES : stop]
