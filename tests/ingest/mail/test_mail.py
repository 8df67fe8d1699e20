"""Opens and clicks of mails: a verdict with its reason, and a row without address and agent."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ingest.mail.links import CLICK, OPEN
from ingest.mail.opens import (
    BURST_LINKS,
    BURST_MS,
    HEAD_MS,
    LINKS_REMEMBERED_MAX,
    PRELOAD_MS,
    Judgement,
    Looks,
    Verdict,
    judge,
    make_mail_row,
)
from schemas.event import Event, Flag
from tests.ingest.builders import NOW_MS
from tests.ingest.mail.mail_links import CLICKED, KEY, OPENED

BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"
BARE_WEBKIT = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("kind", "agent", "since_sent", "more", "verdict", "reason"),
    [
        (OPEN, GMAIL, HOUR, {}, "proxy_human", "gmail_proxy"),
        (OPEN, YAHOO, HOUR, {}, "proxy_human", "yahoo_proxy"),
        (OPEN, "Mozilla/5.0", HOUR, {}, "prefetch", "apple_preload"),
        (OPEN, "Mozilla/5.0 ", 30 * HOUR, {}, "prefetch", "apple_preload"),
        (OPEN, BARE_WEBKIT, PRELOAD_MS - 1, {}, "prefetch", "bare_webkit_soon"),
        (OPEN, BARE_WEBKIT, PRELOAD_MS, {}, "unknown", "bare_webkit"),
        (OPEN, BARE_WEBKIT, None, {}, "unknown", "bare_webkit"),
        (OPEN, BROWSER, HOUR, {"machine_flag": True}, "prefetch", "provider_flag"),
        (OPEN, BROWSER, HOUR, {"links_seen": 3}, "scanner", "burst"),
        (CLICK, BROWSER, HOUR, {"links_seen": 3}, "scanner", "burst"),
        (CLICK, BROWSER, HOUR, {"links_seen": 2}, "human", "usual_agent"),
        (CLICK, BROWSER, HOUR, {"head_seen": True}, "scanner", "head_request"),
        (OPEN, "python-requests/2.32", HOUR, {}, "scanner", "agent_list"),
        (CLICK, GMAIL, HOUR, {}, "scanner", "agent_list"),  # the proxy fetches pictures, it follows no link
        (CLICK, BROWSER, 1_000, {}, "scanner", "at_once"),
        (OPEN, BROWSER, 1_000, {}, "unknown", "at_once"),
        (OPEN, BROWSER, -HOUR, {}, "unknown", "at_once"),
        (OPEN, "", HOUR, {}, "unknown", "no_agent"),
        (OPEN, BROWSER, HOUR, {}, "human", "usual_agent"),
        (OPEN, "Microsoft Outlook 16.0", HOUR, {}, "human", "usual_agent"),
        (CLICK, BARE_WEBKIT, HOUR, {}, "human", "usual_agent"),  # an app's own window
    ],
)
def test_each_sign_has_its_verdict(
    kind: str, agent: str, since_sent: int | None, more: dict[str, int], verdict: str, reason: str
) -> None:
    assert judge(kind, agent, since_sent, **more) == (verdict, reason)  # type: ignore[arg-type]


HUMAN = Judgement(Verdict.HUMAN, "usual_agent")
PROXY = Judgement(Verdict.PROXY_HUMAN, "gmail_proxy")


def row(link: object = OPENED, judgement: Judgement = HUMAN, flags: int = 0, now_ms: int = NOW_MS) -> Event:
    made = make_mail_row(link, link.target, judgement, "public", flags, KEY, now_ms)  # type: ignore[attr-defined, arg-type]
    return Event(*made)


def test_a_row_of_a_mail_has_neither_address_nor_agent() -> None:
    event = row(CLICKED)
    assert (event.name, event.kind, event.source) == ("mail_click", "mail", "email")
    assert (event.ip, event.user_agent, event.language, event.referrer) == ("", "", "", "")
    assert (event.site, event.user_id, event.url) == ("demo", "r-81f3", CLICKED.target)
    assert event.consent == "consent=all"
    assert json.loads(event.properties) == {
        "message": "spring-sale", "verdict": "human", "reason": "usual_agent",
    }  # fmt: skip


def test_a_second_look_is_a_copy_and_another_verdict_is_a_row_of_its_own() -> None:
    first, later = row(), row(flags=int(Flag.GPC), now_ms=NOW_MS + HOUR)
    assert replace(later, received_at=0, flags=0) == replace(first, received_at=0, flags=0)
    others = [row(judgement=PROXY), row(replace(OPENED, recipient="r-2")), row(replace(OPENED, message="m"))]
    assert len({first.event_id, *(other.event_id for other in others)}) == 4


def test_an_id_says_nothing_without_the_key() -> None:
    other = make_mail_row(OPENED, "", HUMAN, "public", 0, b"another key", NOW_MS)
    assert other[0] != row().event_id
    assert "r-81f3" not in row().event_id


@pytest.mark.parametrize(
    ("verdict", "flag"),
    [("human", 0), ("unknown", 0), ("proxy_human", 16), ("prefetch", 4), ("scanner", Flag.MAIL_SCANNER)],
)
def test_flags_say_the_same_as_the_verdict(verdict: str, flag: int) -> None:
    assert row(judgement=Judgement(Verdict(verdict), "why"), flags=int(Flag.DNT)).flags == flag | Flag.DNT


def test_three_links_of_one_mail_within_seconds_are_a_burst() -> None:
    looks = Looks()
    assert looks.record(OPENED, "", NOW_MS) == (1, False)
    assert looks.record(OPENED, "", NOW_MS + 1) == (1, False), "the same link again is no other link"
    assert looks.record(CLICKED, "https://a.example", NOW_MS + 2) == (2, False)
    assert looks.record(replace(OPENED, recipient="r-2"), "", NOW_MS + 2) == (1, False), "another's mail"
    assert looks.record(CLICKED, "https://b.example", NOW_MS + 3) == (3, False)
    assert looks.record(CLICKED, "https://c.example", NOW_MS + 3 + BURST_MS) == (1, False)


def test_who_asked_by_head_is_known_for_a_minute() -> None:
    looks = Looks()
    looks.record(OPENED, "", NOW_MS, is_head=True)
    assert looks.record(CLICKED, "https://a.example", NOW_MS + HEAD_MS - 1)[1]
    assert not looks.record(CLICKED, "https://a.example", NOW_MS + HEAD_MS)[1]


def test_the_memory_of_looks_is_bounded() -> None:
    looks = Looks(mails_max=10)
    for number in range(50):
        looks.record(replace(OPENED, recipient=str(number)), "", NOW_MS)
    for number in range(50):
        looks.record(CLICKED, f"https://shop.example/{number}", NOW_MS)
    assert len(looks) == 10


def test_a_mail_remembers_no_more_links_than_a_verdict_needs() -> None:
    looks = Looks()
    counts = [looks.record(CLICKED, f"https://shop.example/{number}", NOW_MS)[0] for number in range(1_000)]
    assert max(counts) == LINKS_REMEMBERED_MAX
    assert looks.record(CLICKED, "https://shop.example/late", NOW_MS)[0] >= BURST_LINKS
