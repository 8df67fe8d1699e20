"""Opens and clicks of mails: who probably fetched the pixel or the link, and the row that is made of it.

Values in, values out; the only memory is `Looks`, which is bounded and handed in. The agent is read here and goes no
further: a row of a mail has neither address nor agent (docs/mail.md).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import NamedTuple

import orjson
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from ua_parser_rs import UserAgentExtractor

from ingest.mail.links import CLICK, MailLink
from ingest.reading.fields import parse_signals
from ingest.reading.row import Row, build_row
from runtime.config import Config
from runtime.secrets import Secrets
from schemas.event import Flag
from schemas.identity import content_id

KIND, SOURCE = "mail", "email"
NAMES = {"o": "mail_open", "c": "mail_click"}
AT_ONCE_MS = 5_000  # after the link was made, before a mail server can have delivered it to a person
PRELOAD_MS = 600_000  # "the first seconds-to-minutes burst" of Apple's preload
BURST_MS = 10_000
# Different links of one mail within BURST_MS: the pixel and one click are a person, three are not.
BURST_LINKS = 3
LINKS_REMEMBERED_MAX = 20  # of a mail: with BURST_LINKS of them the verdict is clear
HEAD_MS = 60_000  # who asked by HEAD a moment ago fetches next
MAILS_REMEMBERED_MAX = 20_000  # 20,000 x about 600 bytes = 12 MB; the oldest is forgotten first


@dataclass(frozen=True, slots=True)
class MailRules:
    """What a site says of its mails; "" where it said nothing, and then that webhook is closed."""

    click_hosts: tuple[str, ...] = ()
    sendgrid_public_key: str = ""
    mailchimp_secret: str = field(default="", repr=False)
    mandrill_key: str = field(default="", repr=False)


def mail_rules(config: Config, secrets: Secrets) -> dict[str, MailRules]:
    """The rules of every site, by its name."""
    found = {}
    for name, site in config.sites.items():
        of_site: Mapping[str, str] = secrets.site_mail_secrets.get(name, {})
        found[name] = MailRules(
            site.click_hosts,
            site.sendgrid_public_key,
            of_site.get("mailchimp_secret", ""),
            of_site.get("mandrill_key", ""),
        )
    return found


class Verdict(StrEnum):
    """Who fetched a pixel or followed a link."""

    HUMAN = "human"
    PROXY_HUMAN = "proxy_human"  # a person opened it, the provider's proxy fetched it
    PREFETCH = "prefetch"  # the provider fetched it, whether or not anybody looks
    SCANNER = "scanner"  # software that checks links
    UNKNOWN = "unknown"


class Judgement(NamedTuple):
    """A verdict and the sign it goes by."""

    verdict: Verdict
    reason: str


def judge(
    kind: str,
    user_agent: str,
    since_sent_ms: int | None,
    *,
    links_seen: int = 1,
    head_seen: bool = False,
    machine_flag: bool = False,
) -> Judgement:
    """The verdict of docs/mail.md.

    kind: OPEN or CLICK of mail_links: proxies fetch pictures, never links. since_sent_ms: None where nobody knows.
    links_seen: different links of this mail within BURST_MS, this one included. head_seen: a HEAD request for one
    of them within HEAD_MS. machine_flag: the provider's own word, such as SendGrid's `sg_machine_open`.
    """
    agent = user_agent.strip()
    if machine_flag:
        return Judgement(Verdict.PREFETCH, "provider_flag")
    if kind != CLICK:
        if "GoogleImageProxy" in agent or "ggpht" in agent:
            return Judgement(Verdict.PROXY_HUMAN, "gmail_proxy")
        if "YahooMailProxy" in agent:
            return Judgement(Verdict.PROXY_HUMAN, "yahoo_proxy")
        if agent == "Mozilla/5.0":
            return Judgement(Verdict.PREFETCH, "apple_preload")
    if head_seen:
        return Judgement(Verdict.SCANNER, "head_request")
    if links_seen >= BURST_LINKS:
        return Judgement(Verdict.SCANNER, "burst")
    if agent and _agent_list().extract(agent) is not None:
        return Judgement(Verdict.SCANNER, "agent_list")
    at_once = since_sent_ms is not None and since_sent_ms < AT_ONCE_MS
    if kind == CLICK and at_once:
        return Judgement(Verdict.SCANNER, "at_once")
    if not agent or agent == "Mozilla/5.0":
        return Judgement(Verdict.UNKNOWN, "no_agent")
    if kind != CLICK and _is_bare_webkit(agent):
        if since_sent_ms is not None and since_sent_ms < PRELOAD_MS:
            return Judgement(Verdict.PREFETCH, "bare_webkit_soon")
        return Judgement(Verdict.UNKNOWN, "bare_webkit")
    if at_once:
        return Judgement(Verdict.UNKNOWN, "at_once")
    return Judgement(Verdict.HUMAN, "usual_agent")


def verdict_flags(verdict: Verdict) -> int:
    """The bits of event.Flag that say the same to everybody who does not read properties."""
    match verdict:
        case Verdict.PROXY_HUMAN:
            return int(Flag.MAIL_PROXY)
        case Verdict.PREFETCH:
            return int(Flag.PREFETCH)
        case Verdict.SCANNER:
            return int(Flag.MAIL_SCANNER)
    return 0


def make_mail_row(
    link: MailLink, target: str, judgement: Judgement, trust: str, flags: int, key: bytes, now_ms: int
) -> Row:
    """The row of an open or a click.

    The id is a keyed hash of the link and the judgement, and everything a sender says follows from the two: the same
    person's second look is a copy of the first, a proxy's look beside it is a row of its own.
    """
    payload = [link.kind, link.site, link.message, link.recipient, str(link.sent_at), target, *judgement]
    properties = {"message": link.message, "verdict": judgement.verdict, "reason": judgement.reason}
    return build_row(
        event_id=content_id(key, [one.encode() for one in payload]),
        site=link.site,
        name=NAMES[link.kind],
        kind=KIND,
        source=SOURCE,
        protocol="native",
        trust=trust,
        occurred_at=0,
        sent_at=0,
        received_at=now_ms,
        url=target,
        user_id=link.recipient,
        consent=parse_signals({"consent": link.consent}),
        flags=flags | verdict_flags(judgement.verdict),
        properties=orjson.dumps(properties).decode(),
    )


class _Mail:
    """What was fetched of one mail a moment ago: link -> ms, and the last HEAD."""

    __slots__ = ("head_at", "links")

    def __init__(self) -> None:
        self.links: dict[str, int] = {}
        self.head_at = -HEAD_MS


class Looks:
    """Remembers for a minute which links of a mail were fetched; one edge process, so a scanner that is spread over
    several workers needs more links to be seen."""

    def __init__(self, mails_max: int = MAILS_REMEMBERED_MAX) -> None:
        self._mails: OrderedDict[tuple[str, str, str, int], _Mail] = OrderedDict()
        self._mails_max = mails_max

    def record(self, link: MailLink, target: str, now_ms: int, *, is_head: bool = False) -> tuple[int, bool]:
        """(different links of this mail within BURST_MS, this one included; whether a HEAD came within HEAD_MS)."""
        name = (link.site, link.message, link.recipient, link.sent_at)
        mail = self._mails.get(name)
        if mail is None:
            mail = self._mails[name] = _Mail()
            while len(self._mails) > self._mails_max:
                self._mails.popitem(last=False)
        self._mails.move_to_end(name)
        mail.links = {one: at for one, at in mail.links.items() if now_ms - at < BURST_MS}
        if len(mail.links) < LINKS_REMEMBERED_MAX:
            mail.links[link.kind + target] = now_ms
        if is_head:
            mail.head_at = now_ms
        return len(mail.links), now_ms - mail.head_at < HEAD_MS

    def __len__(self) -> int:
        return len(self._mails)


@cache
def _agent_list() -> UserAgentExtractor:
    """The patterns of crawler-user-agents in ua-parser's matcher: built in 20 ms at the first mail, 2 µs an agent."""
    return UserAgentExtractor(
        [(one["pattern"], "bot", None, None, None, None) for one in CRAWLER_USER_AGENTS_DATA]
    )


def _is_bare_webkit(agent: str) -> bool:
    """`AppleWebKit/605.1.15 (KHTML, like Gecko)` and no browser's name behind it."""
    return "AppleWebKit/" in agent and not any(
        name in agent for name in ("Safari/", "Version/", "Chrome/", "CriOS/", "FxiOS/", "Edg")
    )
