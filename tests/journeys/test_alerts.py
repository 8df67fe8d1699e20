"""On-call hears of a fall in purchases within seconds of the minute's end, once, and of its recovery once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.platform import Platform, await_that
from tests.webhook import Webhook

HITS, PURCHASES = 300, 60  # a minute
HISTORY_MINUTES = 120
HEARD_SECONDS_MAX = 10  # after the close of the first or second minute
SITE = "steady"


@pytest.mark.timeout(900)
def test_a_fall_in_purchases_is_heard_once_and_its_recovery_once(
    platform: Platform, webhook: Webhook
) -> None:
    key = platform.site_secret_key(SITE)
    hello = {"event": "hello", "consent": "all"}
    await_that(
        lambda: platform.post("/v1/events", hello, key), "the edge knows the site's key", 30, every=0.5
    )
    rng = Random(11)
    begin = time.time() // 60 * 60
    for minute in range(HISTORY_MINUTES, 0, -1):
        send(platform, key, minute_of_events(rng, begin - minute * 60, HITS, PURCHASES))
    backfill_now = time.time()
    send(platform, key, events_between(rng, begin, backfill_now, HITS, PURCHASES))
    steady_until = (backfill_now // 60 + 1) * 60
    live(platform, key, rng, backfill_now, steady_until, PURCHASES)

    fall = steady_until
    opened = None
    now = fall
    while opened is None and now < fall + 180:
        live(platform, key, rng, now, now + 10, PURCHASES * 0.4)
        now += 10
        opened = next(heard_about(webhook, "open", since=fall), None)
    assert opened is not None, "nobody heard of the fall"
    heard_at, body = opened
    assert body["site"] == SITE
    assert "purchase" in body["subject"]
    closes = [fall + 60, fall + 120]
    assert any(0 <= heard_at - close <= HEARD_SECONDS_MAX for close in closes), [
        heard_at - close for close in closes
    ]

    recovery = now
    while not list(heard_about(webhook, "resolved", since=fall)) and now < recovery + 420:
        live(platform, key, rng, now, now + 10, PURCHASES)
        now += 10
    assert len(list(heard_about(webhook, "resolved", since=fall))) == 1, "nobody heard of the recovery"
    live(platform, key, rng, now, now + 10, PURCHASES)
    assert len(list(heard_about(webhook, "open", since=fall))) == 1
    stored = platform.query(
        "SELECT state, count() n FROM fairpixel.alerts "
        f"WHERE site = '{SITE}' AND state IN ('open', 'resolved') GROUP BY state"
    )
    assert {row["state"]: row["n"] for row in stored} == {"open": 1, "resolved": 1}
    assert not list(heard_about(webhook, "open", since=0, until=fall)), "steady noise raised an alert"


def heard_about(
    webhook: Webhook, state: str, since: float, until: float = 1e12
) -> Iterator[tuple[float, dict[str, Any]]]:
    """What the webhook heard of this site."""
    for at, body in list(webhook.heard):
        if body["site"] == SITE and body["state"] == state and since <= at < until:
            yield at, body


def minute_of_events(rng: Random, start: float, hits: float, purchases: float) -> list[dict[str, Any]]:
    """A minute of noisy traffic beginning at `start` (seconds since 1970)."""
    return events_between(rng, start, start + 60, hits, purchases)


def events_between(
    rng: Random, start: float, end: float, hits: float, purchases: float
) -> list[dict[str, Any]]:
    """Page views and purchases as independent people make them: a Poisson process of each rate a minute."""
    events = []
    for name, rate in (("page_view", hits), ("purchase", purchases)):
        at = start
        while (at := at + rng.expovariate(rate / 60)) < end:
            events.append(
                {
                    "event": name,
                    "id": f"{SITE}-{rng.getrandbits(80):x}",
                    "ts": int(at * 1_000),
                    "consent": "all",
                }
            )
    return events


def send(platform: Platform, key: str, events: list[dict[str, Any]]) -> None:
    for first in range(0, len(events), 400):
        results = platform.post("/v1/events", {"events": events[first : first + 400]}, key)["results"]
        assert all(one["status"] == "accepted" for one in results)


def live(platform: Platform, key: str, rng: Random, start: float, end: float, purchases: float) -> None:
    """Traffic in real time, a second at a time."""
    while start < end:
        step = min(start + 1, end)
        await_that(lambda step=step: time.time() >= step, "the clock", 5, every=0.02)  # type: ignore[misc]
        send(platform, key, events_between(rng, start, step, HITS, purchases))
        start = step
