"""Rates, signatures and origins, from the request to the row or to a refusal with a name."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from email.message import Message

from ingest.reading.signature import sign
from tests.platform import Platform, await_that

SITE, SLOW = "fenced", "slow"


def lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def answer(
    platform: Platform, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str]]:
    """Status and headers, whatever the status."""
    request = urllib.request.Request(platform.edge + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as found:
            return found.status, lower(found.headers)
    except urllib.error.HTTPError as error:
        return error.code, lower(error.headers)


def refused(platform: Platform, reason: str, site: str = SITE) -> int:
    """How many refusals of the site stand in ClickHouse under one name."""
    return platform.count(
        f"SELECT sum(count) FROM fairpixel.refusals WHERE site = '{site}' AND reason = '{reason}'"
    )


def await_refusals(platform: Platform, reason: str, count: int, site: str = SITE) -> None:
    await_that(lambda: refused(platform, reason, site) == count, f"{count} refusals are named {reason}", 30)


def test_a_signed_body_speaks_with_the_secret_keys_trust_and_its_replay_is_a_duplicate(
    platform: Platform,
) -> None:
    secret = platform.site_secret_key(SITE)
    order = f"signed-{uuid.uuid4().hex}"
    event = {
        "event": "purchase",
        "id": order,
        "value": 5,
        "currency": "EUR",
        "context": {"ip": "203.0.113.9"},
    }
    body = json.dumps({**event, "consent": "all"}).encode()
    headers = {
        "Authorization": f"Bearer {SITE}",
        "X-Fairpixel-Signature": sign(secret, int(time.time()), body),
    }
    for _ in range(2):
        assert answer(platform, "/v1/events", body, **headers)[0] == 200
    sql = f"SELECT trust, ip_network FROM fairpixel.events WHERE event_id = '{order}'"
    rows = await_that(lambda: platform.query(sql), "the signed event is a row", 30)
    assert [(row["trust"], row["ip_network"]) for row in rows] == [("secret", "203.0.113.0")]
    seen = f"SELECT 1 FROM fairpixel.sightings WHERE event_id = '{order}'"
    await_that(lambda: len(platform.query(seen)) == 1, "the replay is a duplicate", 30)
    assert len(platform.query(sql)) == 1


def test_a_wrong_or_old_signature_is_refused_and_named(platform: Platform) -> None:
    before = refused(platform, "bad_signature")
    secret, now_s, body = platform.site_secret_key(SITE), int(time.time()), b'{"event": "page_view"}'
    for signature in (sign("sk_of_somebody_else", now_s, body), sign(secret, now_s - 301, body)):
        headers = {"Authorization": f"Bearer {SITE}", "X-Fairpixel-Signature": signature}
        assert answer(platform, "/v1/events", body, **headers)[0] == 401
    await_refusals(platform, "bad_signature", before + 2)


def test_a_foreign_page_hears_yes_and_is_refused_by_name(platform: Platform) -> None:
    before = refused(platform, "origin_refused")
    event_id = f"foreign-{uuid.uuid4().hex}"
    status, headers = answer(platform, f"/p.gif?k={SITE}&id={event_id}", Origin="https://evil.example")
    assert (status, headers.get("access-control-allow-origin")) == (200, None)
    await_refusals(platform, "origin_refused", before + 1)
    assert platform.query(f"SELECT 1 FROM fairpixel.events WHERE event_id = '{event_id}'") == []


def test_over_the_rate_says_when_to_come_again_and_is_refused_by_name(platform: Platform) -> None:
    before = refused(platform, "rate_limited", SLOW)
    answers = [answer(platform, f"/p.gif?k={SLOW}&e=burst") for _ in range(20)]
    late = [headers for status, headers in answers if status == 429]
    assert {status for status, _ in answers} == {200, 429}
    assert all(int(headers["retry-after"]) >= 1 and headers["content-length"] == "43" for headers in late)
    await_refusals(platform, "rate_limited", before + len(late), SLOW)
    sql = f"SELECT count() FROM fairpixel.events WHERE site = '{SLOW}' AND name = 'burst'"
    await_that(lambda: platform.count(sql) == 20 - len(late), "the rest are rows", 30)
