"""Seeded traffic with deliberate duplicates that remembers exactly what was acknowledged, for journeys and
fault tests."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlencode

import aiohttp

from tests.platform import Platform

BATCH_EVENTS = 20
CREDENTIALS = 6
DUPLICATE_SHARE = 0.1
NO_CONSENT_SHARE = 0.05
PIXEL_SHARE = 0.5
RECENT_MAX = 2_000  # how far back a deliberate duplicate reaches, in events


@dataclass
class Books:
    """What was sent and what was acknowledged; ids are unique in one platform."""

    kept: set[str] = field(default_factory=set)  # acknowledged ids that must be one row each
    refused_by_choice: set[str] = field(default_factory=set)  # acknowledged ids of people who said no
    unknown: set[str] = field(default_factory=set)  # never acknowledged: may be a row or not
    acknowledgements: int = 0  # events in answers of 2xx, copies included
    people: set[str] = field(default_factory=set)  # addresses, visitors and users that were sent
    failures: int = 0  # requests without an answer of 2xx
    answered_at: list[float] = field(default_factory=list)  # monotonic seconds of each 2xx


@dataclass
class Load:
    """Traffic from threads of its own until `stop`; every choice comes from the seed."""

    platform: Platform
    seed: int
    events_per_second: int = 600
    books: Books = field(default_factory=Books)

    def __enter__(self) -> Load:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "the load did not stop"

    def run_for(self, seconds: float) -> None:
        """Let the traffic flow for a while: the length of the load is the thing awaited."""
        self._stopping.wait(seconds)

    def await_answers(self, count: int = 20, seconds_max: float = 90) -> float:
        """Wait until so many more requests are answered with 2xx; returns the seconds that took."""
        start, before = time.monotonic(), len(self.books.answered_at)
        while len(self.books.answered_at) < before + count:
            assert time.monotonic() < start + seconds_max, "the edge answers no request"
            self._stopping.wait(0.05)
        return time.monotonic() - start

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await asyncio.gather(*(self._send(session, number) for number in range(CREDENTIALS)))

    async def _send(self, session: aiohttp.ClientSession, number: int) -> None:
        rng = Random(f"{self.seed}/{number}")
        requests = self._requests(rng, number)
        pause = CREDENTIALS * (PIXEL_SHARE + (1 - PIXEL_SHARE) * BATCH_EVENTS) / self.events_per_second
        due = time.monotonic()
        while not self._stopping.is_set():
            events, request = next(requests)
            # A client that gets no answer sends the same again, as real ones do; after some tries it gives up.
            for attempt in range(8):
                if await self._attempt(session, request):
                    self._acknowledge(events)
                    break
                self.books.failures += 1
                await asyncio.sleep(min(0.2 * 2**attempt, 2) * rng.uniform(0.5, 1))
                if self._stopping.is_set() and attempt >= 3:
                    self._give_up(events)  # part of a batch may be a row
                    break
            else:
                self._give_up(events)
            due = max(due + pause * rng.uniform(0.5, 1.5), time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _attempt(self, session: aiohttp.ClientSession, request: dict[str, Any]) -> bool:
        try:
            async with session.request(**request) as answer:
                body = await answer.read()
                if not 200 <= answer.status < 300:
                    return False
                if request["method"] == "POST":
                    results = json.loads(body)["results"]
                    assert all(one["status"] == "accepted" for one in results), results
                return True
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _acknowledge(self, events: list[dict[str, Any]]) -> None:
        self.books.acknowledgements += len(events)
        self.books.answered_at.append(time.monotonic())
        for event in events:
            target = self.books.refused_by_choice if event["consent"] == "none" else self.books.kept
            target.add(event["id"])

    def _give_up(self, events: list[dict[str, Any]]) -> None:
        self.books.unknown.update(event["id"] for event in events)

    def _requests(self, rng: Random, number: int) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
        sent: list[dict[str, Any]] = []
        serial = 0

        def event() -> dict[str, Any]:
            nonlocal serial
            if sent and rng.random() < DUPLICATE_SHARE:
                return rng.choice(sent[-RECENT_MAX:])
            serial += 1
            new = {
                "event": rng.choice(["page_view", "page_view", "page_view", "purchase", "signup"]),
                "id": f"{self.seed}-{number}-{serial}",
                "consent": "none" if rng.random() < NO_CONSENT_SHARE else "all",
                "visitor_id": f"visitor-{rng.getrandbits(64):016x}",
                "url": f"https://shop.example/p/{rng.randrange(50)}?utm_source=mail&secret=abc",
            }
            sent.append(new)
            self.books.people.add(new["visitor_id"])
            return new

        while True:
            if rng.random() < PIXEL_SHARE:
                one = event()
                query = {
                    "k": "demo",
                    "e": one["event"],
                    "id": one["id"],
                    "consent": one["consent"],
                    "a": one["visitor_id"],
                    "url": one["url"],
                }
                yield [one], {"method": "GET", "url": f"{self.platform.edge}/p.gif?{urlencode(query)}"}
            else:
                batch = [event() for _ in range(BATCH_EVENTS)]
                payload = [dict(one, **self._person(one["id"])) for one in batch]
                yield batch, {
                    "method": "POST", "url": f"{self.platform.edge}/v1/events", "json": {"events": payload},
                    "headers": {"Authorization": f"Bearer {self._secret()}"},
                }  # fmt: skip

    def _person(self, event_id: str) -> dict[str, Any]:
        rng = Random(event_id)  # a copy of an event says the same
        user = f"user-{rng.getrandbits(64):016x}"
        address = f"198.{rng.randrange(18, 20)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
        self.books.people.update((user, address))
        return {
            "user_id": user,
            "context": {"ip": address},
            "value": round(rng.uniform(1, 99), 2),
            "currency": "EUR",
        }

    def _secret(self) -> str:
        if not hasattr(self, "_secret_key"):
            self._secret_key = self.platform.secret_key
        return self._secret_key


def check_books(platform: Platform, books: Books, prefix: str) -> None:
    """Everything acknowledged stands once: rows, drops, rollups and the ledger agree with what the clients know.

    prefix: what the ids of this load begin with; other tests may have written to the same platform.
    """
    rows = {
        row["event_id"]: row["n"]
        for row in platform.query(
            "SELECT event_id, count() n FROM fairpixel.events "
            f"WHERE startsWith(event_id, '{prefix}') GROUP BY event_id"
        )
    }
    doubled = {event_id for event_id, n in rows.items() if n > 1}
    missing = books.kept - rows.keys()
    wrong = books.refused_by_choice & rows.keys()
    foreign = rows.keys() - books.kept - books.unknown
    found = {
        "missing": len(missing),
        "doubled": len(doubled),
        "kept without consent": len(wrong),
        "foreign": len(foreign),
    }
    assert found == {"missing": 0, "doubled": 0, "kept without consent": 0, "foreign": 0}, (
        found, sorted(missing)[:5], sorted(doubled)[:5], sorted(foreign)[:5],
    )  # fmt: skip
    totals = platform.query(
        "SELECT (SELECT sum(hits) FROM fairpixel.rollup_minute) hits, (SELECT count() FROM fairpixel.events) rows"
    )[0]
    assert totals["hits"] == totals["rows"], totals
    differences = platform.query("SELECT * FROM fairpixel.ledger WHERE difference != 0")
    assert differences == [], differences
    accepted = platform.count("SELECT sum(accepted) FROM fairpixel.ledger")
    assert accepted >= books.acknowledgements, (accepted, books.acknowledgements)
