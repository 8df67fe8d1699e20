"""Scores from 0 to 100 how sure we are that no person did this, and says why."""

from __future__ import annotations

import re
from functools import cache

from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from ua_parser_rs import UserAgentExtractor

from schemas.drops import DropReason
from schemas.event import Flag
from streams.columns.batch import CleanBatch, replace
from streams.columns.memo import Memo
from streams.rules import Rules
from streams.steps.devices import AGENT_LENGTH_MAX

BOT_SCORE_MIN = 50  # from here on an event counts as a bot's
# Those whose agent comes with the event. Not email: the edge judges the agent of a mail's opening and drops it.
BROWSER_SOURCES = frozenset({"pixel", "tag", "log", "import"})
LIBRARY_SOURCES = frozenset({"log", "import"})  # whose agent is that of whoever fetched the page
NAMED_SCORE, EMPTY_SCORE, WEBDRIVER_SCORE, PREFETCH_SCORE = 100, 60, 80, 30
# In a server's log a program fetched the page. A backend that reports events is no bot for its own library.
LIBRARY_SCORE = 70
MAIL_SCANNER_SCORE, MAIL_PREFETCH_SCORE = 100, 60  # a mail that was fetched ahead was opened by nobody
WEBDRIVER, PREFETCH, MAIL_SCANNER = int(Flag.WEBDRIVER), int(Flag.PREFETCH), int(Flag.MAIL_SCANNER)
APP = int(Flag.APP)
# What carries the requests of apps; the list has those of them that backends use too.
_CARRIER = re.compile(
    r"(?<![\w.-])(?:okhttp|apache-httpclient|cfnetwork|darwin|dart|dalvik|alamofire|axios|ktor-client|cronet|expo"
    r"|unityplayer|unitywebrequest|libcurl)[\w.-]*(?:/[^\s;,()]*)?",
    re.IGNORECASE,
)
_SIGNALS = WEBDRIVER | PREFETCH | MAIL_SCANNER
# HTTP libraries, runtimes and tools by the names that they send of themselves, beside those of crawler-user-agents.
_LIBRARY = re.compile(
    r"(?:java|(?:apache-|commons-|jakarta commons-)?httpclient|apache-httpasyncclient|jersey|vert\.x|okhttp"
    r"|postmanruntime|insomnia|httpie|bruno|curl|libcurl|wget|node|undici|deno|bun|axios|got|superagent|ruby|faraday"
    r"|rest-client|httparty|mechanize|typhoeus|http\.rb|excon|guzzlehttp|symfony httpclient|php|laravel|python|aiohttp"
    r"|urllib3|go-http-client|go-resty|fasthttp|resty|dart|libwww-perl|lwp::simple|www-mechanize|perl|reqwest|hyper|ureq"
    r"|elixir|hackney|lua-resty-http|winhttp|microsoft winhttp|restsharp|\.net|windowspowershell|unirest"
    r"|reactornetty|powershell|feign|ktor|scalaj-http|akka-http|http-kit|clj-http|cpp-httplib|restlet|k6|jmeter|apachebench|wrk|vegeta)"
    r"(?![A-Za-z]).*",
    re.IGNORECASE | re.DOTALL,
)


def is_library(user_agent: str) -> bool:
    """Whether an agent is an HTTP library or a tool that says nothing of a program around it."""
    return _LIBRARY.fullmatch(user_agent[:AGENT_LENGTH_MAX]) is not None


@cache
def _list_matcher() -> UserAgentExtractor:
    """The 1,500 patterns of crawler-user-agents in ua-parser's matcher: 2 µs an agent, where its own costs 200."""
    return UserAgentExtractor(
        [(one["pattern"], "bot", None, None, None, None) for one in CRAWLER_USER_AGENTS_DATA]
    )


def is_named_bot(user_agent: str) -> bool:
    """True when the public list crawler-user-agents knows this agent."""
    return _list_matcher().extract(user_agent[:AGENT_LENGTH_MAX]) is not None


def is_named_bot_in_app(user_agent: str) -> bool:
    """The same where the SDK of an app named itself: the library that carries its requests is nobody's sign."""
    return is_named_bot(_CARRIER.sub("", user_agent[:AGENT_LENGTH_MAX]))


def score_bot(source: str, user_agent: str, flags: int) -> tuple[int, str]:
    """(score, signals by comma). A backend's library is no bot: server sources have no agent and no score for that. Nor
    is an app's, whose SDK need not send an agent as a browser does."""
    signals = []
    score = 0
    if user_agent:
        if _named[user_agent] and not (flags & APP and not _named_in_app[user_agent]):
            signals.append("agent_list")
            score += NAMED_SCORE
        elif source in LIBRARY_SOURCES and _libraries[user_agent]:
            signals.append("library")
            score += LIBRARY_SCORE
    elif source in BROWSER_SOURCES and not flags & APP:
        signals.append("no_agent")
        score += EMPTY_SCORE
    if flags & WEBDRIVER:
        signals.append("webdriver")
        score += WEBDRIVER_SCORE
    if flags & MAIL_SCANNER:
        signals.append("mail_scanner")
        score += MAIL_SCANNER_SCORE
    if flags & PREFETCH:
        signals.append("prefetch")
        score += MAIL_PREFETCH_SCORE if source == "email" else PREFETCH_SCORE
    return min(score, 100), ",".join(signals)


_named = Memo(is_named_bot, size_max=65_536)  # 65,536 x about 300 bytes = 20 MB at the most
_libraries = Memo(is_library, size_max=16_384)  # 16,384 x about 300 bytes = 5 MB at the most


_named_in_app = Memo(is_named_bot_in_app, size_max=4_096)  # apps have few agents


def score_bots(rules: Rules, batch: CleanBatch) -> CleanBatch:
    """Fill `bot_score`, `bot_signals`, `is_bot`; drop bots where the site leaves them out."""
    named = _named.of_all(batch.user_agent)
    scores, signals = [0] * len(batch), [""] * len(batch)
    suspects = [i for i, bot in enumerate(named) if bot]  # few events, most of them of listed agents
    if not all(batch.user_agent):
        suspects += [i for i, user_agent in enumerate(batch.user_agent) if not user_agent]
    if not LIBRARY_SOURCES.isdisjoint(batch.source):
        libraries = _libraries.of_all(batch.user_agent)
        suspects += [i for i, library in enumerate(libraries) if library]
    if any(batch.flags):
        suspects += [i for i, flags in enumerate(batch.flags) if flags & _SIGNALS]
    for i in suspects:
        scores[i], signals[i] = score_bot(batch.source[i], batch.user_agent[i], batch.flags[i])
    if not any(scores):
        return batch
    is_bot = [score >= BOT_SCORE_MIN for score in scores]
    batch = replace(batch, bot_score=scores, bot_signals=signals, is_bot=is_bot)
    excluding = {site for site in set(batch.site) if rules.of(site).excludes_bots}
    if not excluding:
        return batch
    return batch.drop([
        DropReason.BOT_EXCLUDED if bot and site in excluding else None
        for bot, site in zip(is_bot, batch.site, strict=True)
    ])  # fmt: skip
