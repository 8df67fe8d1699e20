"""In-memory stand-ins for what the watcher talks to; all write into one list of effects, and any of them can crash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runtime.kafka import KafkaUnavailable
from sinks.alerts.closing import Watermarks
from sinks.alerts.delivery.message import row_of
from sinks.alerts.delivery.pager import Delivery, Outcome
from sinks.alerts.memory import Memory, decode_memory, encode_memory
from sinks.alerts.rules import MINUTE, Finding, Transition
from sinks.alerts.season import DAYS, Day, as_day, day_span
from sinks.alerts.traffic import SeriesRow

Effects = list[tuple[str, Any]]


class Killed(BaseException):
    """The program died here; whatever was in its memory is gone."""


class FakeStore:
    """ClickHouse's part: keeps what was written as text, so that nothing survives but what really was written."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        self.versions: dict[int, str] = {}
        self.rows: dict[tuple[str, int], dict[str, Any]] = {}
        self.hits: list[tuple[str, str, int, int, int]] = []  # site, name, minute, human, pages
        self.offset = 0
        self.away = False

    def load(self) -> Memory | None:
        self._ask("load")
        return decode_memory(self.versions[self.version()], self.version()) if self.versions else None

    def version(self) -> int:
        return max(self.versions, default=0)

    def save(self, memory: Memory) -> None:
        self._ask("save")
        self.versions[memory.version] = encode_memory(memory)

    def store(self, transitions: Sequence[Transition]) -> None:
        self._ask("store")
        for one in transitions:
            self.rows[one.alert_id, one.sequence] = row_of(one)

    def loaded(self) -> dict[tuple[str, int], int]:
        self._ask("loaded")
        return {("topic", 0): self.offset - 1}

    def traffic(self, first: int, last: int) -> list[SeriesRow]:
        self._ask("traffic")
        held: dict[tuple[str, str], dict[int, tuple[int, int]]] = {}
        for site, name, minute, human, pages in self.hits:
            if first <= minute <= last:
                row = held.setdefault((site, name), {})
                before = row.get(minute, (0, 0))
                row[minute] = (before[0] + human, before[1] + pages)
        return [
            (s, n, list(m), [h for h, _ in m.values()], [p for _, p in m.values()])
            for (s, n), m in held.items()
        ]

    def earlier_days(self, finding: Finding) -> list[Day]:
        self._ask("earlier_days")
        days = []
        for back in DAYS:
            span = day_span(finding, back)
            hits: dict[int, int] = {}
            for site, name, minute, human, _ in self.hits:
                if site == finding.site and finding.subject in ("", name) and span[0] <= minute < span[1]:
                    hits[minute] = hits.get(minute, 0) + human
            days.append(as_day(back, span, hits))
        return days

    def _ask(self, what: str) -> None:
        self.effects.append((what, None))
        if self.away:
            raise OSError("ClickHouse does not answer")

    def minute(self, minute: int, page_views: int = 300, purchases: int = 60, site: str = "demo") -> None:
        """One more minute of traffic."""
        self.hits += [(site, "page_view", minute, page_views, page_views)] * bool(page_views)
        self.hits += [(site, "purchase", minute, purchases, 0)] * bool(purchases)

    def history(self, before: int, minutes: int = 120, **traffic: Any) -> None:
        """Traffic in the minutes before `before`."""
        for place in range(1, minutes + 1):
            self.minute(before - place * MINUTE, **traffic)


class FakeTopic:
    """The raw topic: one partition."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store
        self.behind = 0  # packs in Kafka that are not in ClickHouse
        self.away = False

    def ends(self) -> tuple[str, dict[int, Watermarks]]:
        if self.away:
            raise KafkaUnavailable("no answer", "Kafka does not answer")
        return "topic", {0: Watermarks(0, self._store.offset + self.behind)}


class FakeEdge:
    """An edge with an empty spool."""

    def __init__(self) -> None:
        self.packs: int | None = 0

    def spool_packs(self) -> int | None:
        return self.packs


class FakePager:
    """One route. What the receiver hears outlives the program; what waits to be sent or recorded does not."""

    def __init__(self, effects: Effects, heard: list[Transition], answers: bool = True) -> None:
        self._effects, self.heard, self.answers = effects, heard, answers
        self._done: list[Delivery] = []
        self._offered: set[str] = set()

    def routes(self) -> tuple[str, ...]:
        return ("webhook-1",)

    def offer(self, transition: Transition, route: str) -> None:
        if transition.transition_id in self._offered or not self.answers:
            return
        self._offered.add(transition.transition_id)
        self.heard.append(transition)
        self._effects.append(("sent", transition.transition_id))
        self._done.append(Delivery(transition.transition_id, route, Outcome.SENT))

    def deliveries(self) -> list[Delivery]:
        done, self._done = self._done, []
        return done

    def recorded(self, delivery: Delivery) -> None:
        self._offered.discard(delivery.transition_id)
