"""Who is no person."""

import crawleruseragents
import pytest

from schemas.drops import DropReason
from schemas.event import Event, Flag
from streams.steps.bots import is_named_bot
from tests.streams.make import CHROME, cleaned, page_view, purchase

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def test_a_bot_of_the_public_list_is_kept_and_marked() -> None:
    one = cleaned(page_view(user_agent=GOOGLEBOT))
    assert (one.bot_score, one.bot_signals, one.is_bot) == ([100], ["agent_list"], [True])


def test_a_browser_is_no_bot() -> None:
    batch = cleaned(page_view(), page_view(event_id="e2", user_agent=GOOGLEBOT))
    assert batch.is_bot == [False, True]


@pytest.mark.parametrize(
    ("said", "signals", "bot"),
    [
        ({"user_agent": ""}, "no_agent", True),
        ({"flags": int(Flag.WEBDRIVER)}, "webdriver", True),
        ({"flags": int(Flag.PREFETCH)}, "prefetch", False),
        ({"flags": int(Flag.PREFETCH | Flag.WEBDRIVER)}, "webdriver,prefetch", True),
    ],
)
def test_other_signals_count_by_their_weight(said: dict[str, object], signals: str, bot: bool) -> None:
    one = cleaned(page_view(**said))
    assert (one.bot_signals, one.is_bot) == ([signals], [bot])


@pytest.mark.parametrize(
    ("agent", "is_bot_in_app"),
    [
        ("okhttp/4.9.2", False),
        ("Shop/3.1 (com.shop; Android 14) okhttp/4.12.0", False),
        ("Apache-HttpClient/UNAVAILABLE (java 1.4)", False),
        ("axios/1.2", False),
        ("", False),
        ("okhttp/4.9.2 Googlebot/2.1", True),
        ("Googlebot-okhttp/4", True),
        ("python-requests/2.31", True),
    ],
)
def test_the_library_that_carries_the_requests_of_an_app_is_no_sign_of_a_bot(
    agent: str, is_bot_in_app: bool
) -> None:
    def event(name: str, flags: int) -> Event:
        return page_view(event_id=name, source="tag", user_agent=agent, flags=flags)

    batch = cleaned(event("app", int(Flag.APP)), event("nobody", 0))
    assert batch.is_bot == [is_bot_in_app, True]


def test_a_backend_without_an_agent_is_no_bot() -> None:
    assert not any(cleaned(purchase(user_agent="")).is_bot)


@pytest.mark.parametrize(
    ("flags", "signals", "bot"),
    [
        (0, "", False),
        (Flag.MAIL_PROXY, "", False),
        (Flag.PREFETCH, "prefetch", True),
        (Flag.MAIL_SCANNER, "mail_scanner", True),
    ],
)
def test_a_mail_without_an_agent_goes_by_the_verdict_of_the_edge(
    flags: Flag, signals: str, bot: bool
) -> None:
    one = cleaned(page_view(source="email", user_agent="", flags=int(flags)))
    assert (one.bot_signals or [""], one.is_bot or [False]) == ([signals], [bot])


def test_a_site_may_leave_bots_out() -> None:
    batch = cleaned(page_view(), page_view(event_id="e2", user_agent=GOOGLEBOT), site='bots = "exclude"')
    assert batch.event_id == ["e1"]
    assert batch.dropped == {DropReason.BOT_EXCLUDED: 1}


def test_a_bot_that_was_left_out_hides_no_later_copy() -> None:
    bot, person = page_view(user_agent=GOOGLEBOT), page_view(source="tag")
    batch = cleaned(bot, person, site='bots = "exclude"')
    assert batch.source == ["tag"]
    assert batch.dropped == {DropReason.BOT_EXCLUDED: 1}


def test_the_fast_matcher_knows_the_bots_the_list_knows() -> None:
    agents = [agent for one in crawleruseragents.CRAWLER_USER_AGENTS_DATA for agent in one["instances"][:1]]
    different = [
        agent for agent in (*agents, CHROME, "") if is_named_bot(agent) != crawleruseragents.is_crawler(agent)
    ]
    assert different == []
