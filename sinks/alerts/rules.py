"""The life of an alert: opened once, updated sparingly, resolved once. Pure; the same minute gives the same decisions.

One alert is open at most for each key: a site, a subject (an event name or all traffic) and a direction. A fall that
becomes a silence, or a falling conversion rate whose count falls too, is one incident and keeps its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256

MINUTE = 60  # seconds
GOOD_MINUTES_TO_RESOLVE = 2  # in a row
UPDATE_EVERY_MINUTES = 15
UPDATE_SLOWLY_AFTER_MINUTES = 120
UPDATE_SLOWLY_EVERY_MINUTES = 60
SETTLED_MINUTES = 360  # a changed level that has held this long is the new normal
SETTLED_DATA_MINUTES = 60  # and in this last stretch there was data in every judged minute
OPEN_ALERTS_MAX = 2_000  # beyond it new findings wait until others resolve; the log says so
SPOILT_KEPT_MINUTES = 300  # stretches under an alert are remembered as long as a baseline can reach


class Direction(StrEnum):
    """Which way something moved."""

    DOWN = "down"
    UP = "up"


class Kind(StrEnum):
    """What an alert says."""

    CONVERSION_DROP = "conversion_drop"  # a name fell against the site's page views, which are steady
    DROP = "drop"
    SILENCE = "silence"
    SPIKE = "spike"


class Severity(StrEnum):
    """How soon somebody must look."""

    WARNING = "warning"
    CRITICAL = "critical"


class State(StrEnum):
    """What a transition does to its alert."""

    OPEN = "open"
    UPDATE = "update"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands out in one closed minute; counts are human hits a minute, averaged over the window."""

    site: str
    subject: str  # an event name; "" is all traffic of the site
    direction: Direction
    kind: Kind
    window: int  # minutes, ending with `minute`
    minute: int  # seconds since 1970
    observed: float
    expected: float
    low: float  # 99 of 100 ordinary windows lie between low and high
    high: float
    dispersion: float  # variance / mean
    rate: float | None = None  # expected hits for each hit of the base, when the kind is a conversion drop

    @property
    def key(self) -> str:
        """Stable name of the incident; no two alerts with one key are open at a time."""
        return f"{self.site}/{self.subject or '*'}/{self.direction}"

    @property
    def started_at(self) -> int:
        """First minute of the window."""
        return self.minute - (self.window - 1) * MINUTE


@dataclass(frozen=True, slots=True)
class Reading:
    """How an open alert stands now."""

    good: bool
    has_data: bool
    observed: float
    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Alert:
    """An open alert. `finding` is what opened it: its expectation is frozen, so nothing is learnt from the incident."""

    finding: Finding
    kind: Kind
    severity: Severity
    sequence: int  # of its last transition
    told_at: int  # minute of its last transition
    good_minutes: int = 0
    data_minutes: int = 0  # judged minutes with data, in a row

    @property
    def alert_id(self) -> str:
        """Names this one incident: the key and when it began."""
        return sha256(f"{self.finding.key}|{self.finding.started_at}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table `alerts`, and one message to on-call."""

    alert_id: str
    key: str
    sequence: int
    state: State
    kind: Kind
    severity: Severity
    site: str
    subject: str
    direction: Direction
    started_at: int
    minute: int
    window: int
    observed: float
    expected: float
    low: float
    high: float
    detail: str

    @property
    def transition_id(self) -> str:
        """The same whenever the same decision is made again."""
        return f"{self.alert_id}-{self.sequence}"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Minutes in which a series was under an alert; no baseline learns from them."""

    site: str
    subject: str
    start: int
    end: int  # the minute after the last


@dataclass(frozen=True, slots=True)
class AlertState:
    """All that is remembered from one judged minute to the next."""

    judged: int  # the last judged minute, seconds since 1970
    open: Mapping[str, Alert] = field(default_factory=dict)  # by key
    past: tuple[Stretch, ...] = ()
    seen: Mapping[str, int] = field(default_factory=dict)  # site -> last judged minute in which it had hits

    def spoilt(self, series: tuple[str, str]) -> list[tuple[int, int]]:
        """Stretches of a series under an alert, past and open; see traffic.usable_minutes."""
        past = [(one.start, one.end) for one in self.past if (one.site, one.subject) == series]
        now = [
            (alert.finding.started_at, self.judged + MINUTE)
            for alert in self.open.values()
            if (alert.finding.site, alert.finding.subject) == series
        ]
        return past + now

    def is_alive(self, site: str) -> bool:
        """Whether a judgement of the last hours saw hits of this site; imported history alone does not count."""
        return self.judged - self.seen.get(site, -(10**12)) <= SPOILT_KEPT_MINUTES * MINUTE


def advance(
    alert_state: AlertState,
    minute: int,
    findings: Iterable[Finding],
    readings: Mapping[str, Reading | None],
    alive: Iterable[str],
) -> tuple[AlertState, list[Transition]]:
    """Judge one closed minute.

    findings: what stands out. readings: for each open key, how it stands; None or absent: too little data, which
    never resolves and never counts as good. alive: sites with hits in this minute. Returns the book after it, and
    what changed.
    """
    transitions: list[Transition] = []
    still: dict[str, Alert] = {}
    past = [one for one in alert_state.past if one.end > minute - SPOILT_KEPT_MINUTES * MINUTE]
    for key, alert in alert_state.open.items():
        after, transition = _live_on(alert, minute, readings.get(key))
        if transition is not None:
            transitions.append(transition)
        if after is not None:
            still[key] = after
        elif transition is not None and not transition.detail.startswith(SETTLED):
            past.append(
                Stretch(alert.finding.site, alert.finding.subject, alert.finding.started_at, minute + MINUTE)
            )
    for finding in _incidents(findings, still, {one.key for one in transitions}):
        if len(still) >= OPEN_ALERTS_MAX:
            break
        severity = severity_of(finding.kind, finding.observed, finding.expected)
        alert = Alert(finding, finding.kind, severity, sequence=1, told_at=minute)
        still[finding.key] = alert
        reading = Reading(
            False, finding.observed > 0, finding.observed, finding.expected, finding.low, finding.high
        )
        transitions.append(_transition(alert, State.OPEN, minute, reading, ""))
    seen = {site: at for site, at in alert_state.seen.items() if minute - at <= SPOILT_KEPT_MINUTES * MINUTE}
    seen.update(dict.fromkeys(alive, minute))
    return AlertState(minute, still, tuple(past), seen), transitions


def severity_of(kind: Kind, observed: float, expected: float) -> Severity:
    """Critical: silence, conversions at half or less, other falls to less than a third, a spike of five times."""
    share = observed / max(expected, 1e-9)
    critical = {
        Kind.SILENCE: True,
        Kind.CONVERSION_DROP: share <= 0.5,
        Kind.DROP: share <= 0.3,
        Kind.SPIKE: share >= 5,
    }[kind]
    return Severity.CRITICAL if critical else Severity.WARNING


SETTLED = "settled"


def _live_on(alert: Alert, minute: int, reading: Reading | None) -> tuple[Alert | None, Transition | None]:
    if reading is None:
        return replace(alert, good_minutes=0, data_minutes=0), None
    good = alert.good_minutes + 1 if reading.good else 0
    alert = replace(alert, good_minutes=good, data_minutes=alert.data_minutes + 1 if reading.has_data else 0)
    age = (minute - alert.finding.minute) // MINUTE
    if good >= GOOD_MINUTES_TO_RESOLVE:
        return None, _transition(alert, State.RESOLVED, minute, reading, "", next_one=True)
    if age >= SETTLED_MINUTES and alert.data_minutes >= SETTLED_DATA_MINUTES:
        detail = f"{SETTLED}: the changed level has held for {SETTLED_MINUTES // 60} hours"
        return None, _transition(alert, State.RESOLVED, minute, reading, detail, next_one=True)
    if reading.good:
        return alert, None
    kind = _kind_now(alert, reading)
    severity = severity_of(kind, reading.observed, reading.expected)
    quiet = (minute - alert.told_at) // MINUTE
    every = UPDATE_EVERY_MINUTES if age <= UPDATE_SLOWLY_AFTER_MINUTES else UPDATE_SLOWLY_EVERY_MINUTES
    worse = severity is Severity.CRITICAL and alert.severity is Severity.WARNING
    silent = kind is Kind.SILENCE and alert.kind is not Kind.SILENCE
    if not (worse or silent or quiet >= every):
        return alert, None
    alert = replace(alert, kind=kind, severity=severity, sequence=alert.sequence + 1, told_at=minute)
    return alert, _transition(alert, State.UPDATE, minute, reading, "")


def _kind_now(alert: Alert, reading: Reading) -> Kind:
    """A fall to nothing is a silence; a silence that ended below the normal level is a fall."""
    if alert.finding.direction is Direction.UP:
        return alert.kind
    if not reading.has_data:
        return Kind.SILENCE
    return Kind.DROP if alert.finding.kind is Kind.SILENCE else alert.finding.kind


def _incidents(findings: Iterable[Finding], still: Mapping[str, Alert], ended: set[str]) -> list[Finding]:
    """Those findings that are incidents of their own: not open yet, and not explained by the whole site moving."""
    findings = [one for one in findings if one.key not in still and one.key not in ended]
    moved = {(one.site, one.direction) for one in findings if not one.subject}
    moved |= {(a.finding.site, a.finding.direction) for a in still.values() if not a.finding.subject}
    return [one for one in findings if not one.subject or not _is_explained(one, moved)]


def _is_explained(finding: Finding, moved: set[tuple[str, Direction]]) -> bool:
    if (
        finding.kind is Kind.CONVERSION_DROP
    ):  # a flood of visits lowers every rate; a fall of visits lowers none
        return (finding.site, Direction.UP) in moved
    return (finding.site, finding.direction) in moved


def _transition(
    alert: Alert, state: State, minute: int, reading: Reading, detail: str, next_one: bool = False
) -> Transition:
    finding = alert.finding
    return Transition(
        alert_id=alert.alert_id,
        key=finding.key,
        sequence=alert.sequence + next_one,
        state=state,
        kind=alert.kind,
        severity=alert.severity,
        site=finding.site,
        subject=finding.subject,
        direction=finding.direction,
        started_at=finding.started_at,
        minute=minute,
        window=finding.window,
        observed=round(reading.observed, 2),
        expected=round(reading.expected, 2),
        low=round(reading.low, 2),
        high=round(reading.high, 2),
        detail=detail,
    )
