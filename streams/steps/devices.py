"""Says what kind of device and program asked, from the user agent; never which one."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from ua_parser import Domain, Parser, loaders
from ua_parser.regex import Resolver

from streams.columns.batch import CleanBatch, replace
from streams.columns.memo import Memo
from streams.steps.findings import TOKEN_MASK
from streams.steps.scrub import scrub_all
from streams.steps.tokens import mask_tokens

# Characters. The longest agents of real programs have about 400; what is behind is looked at by no pattern.
AGENT_LENGTH_MAX = 500


class Agent(NamedTuple):
    """What remains of a user agent."""

    browser: str  # family and major version: Chrome 142
    os: str  # family: Mac OS X
    device: str  # desktop, mobile, tablet, bot, other, or ""


@cache
def _parser() -> Parser:
    return Parser(
        Resolver(loaders.load_lazy_builtins())
    )  # the Rust matcher; 120 ms to build, so on first use


def read_agent(user_agent: str) -> Agent:
    """Family names as the public ua-parser list tells them, scrubbed: some are whatever the agent says; all "" for no
    agent."""
    if not user_agent:
        return Agent("", "", "")
    # Some patterns take a part of a word for a name, in which nobody would know an identifier again.
    user_agent = mask_tokens(user_agent[:AGENT_LENGTH_MAX], TOKEN_MASK)
    found = _parser()(user_agent, Domain.ALL)
    browser = found.user_agent
    name = " ".join(filter(None, (browser.family, browser.major))) if browser else ""
    os = found.os.family if found.os else ""
    name, os = scrub_all([name, os])
    return Agent(name, os, _device(user_agent, os, found.device.family if found.device else ""))


def _device(user_agent: str, os: str, family: str) -> str:
    if family == "Spider":
        return "bot"
    if "iPad" in user_agent or "Tablet" in user_agent or (os == "Android" and "Mobile" not in user_agent):
        return "tablet"
    if "Mobi" in user_agent or os in ("iOS", "Android"):
        return "mobile"
    return (
        "desktop"
        if os in ("Windows", "Mac OS X", "Linux", "Ubuntu", "Chrome OS", "Fedora", "Debian")
        else "other"
    )


_agents = Memo(read_agent, size_max=65_536)  # 16 µs an agent; 65,536 x about 450 bytes = 30 MB at the most


def read_devices(batch: CleanBatch) -> CleanBatch:
    """Fill `browser`, `os`, `device` and empty `user_agent`."""
    if not any(batch.user_agent):
        return replace(batch, user_agent=[])
    agents = _agents.of_all(batch.user_agent)
    return replace(
        batch,
        browser=[one[0] for one in agents],
        os=[one[1] for one in agents],
        device=[one[2] for one in agents],
        user_agent=[],
    )
