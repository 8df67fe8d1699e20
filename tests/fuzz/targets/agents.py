"""User agents: bot lists and device families answer any text in bounded time."""

from __future__ import annotations

from streams.steps.bots import _named, is_named_bot, score_bot
from streams.steps.devices import read_agent
from tests.fuzz.pieces import take_text
from tests.streams.make import CHROME

LENGTH_MAX = 2_000
SEEDS = (
    b"\0" + CHROME.encode(), b"\0Googlebot/2.1", b"\xc0Mozilla/5.0 (", b"\xc0 Android 1; ", b"\xc0bot ", b"\xc0;;; ",
    b"\0Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148", b"\xc0iPad; CPU OS ",
)  # fmt: skip
WORDS = (
    b"Mozilla/5.0 ",
    b"Android ",
    b"iPhone",
    b"Build/",
    b"bot",
    b"crawler",
    b"spider",
    b"Chrome/",
    b"; ",
    b"(",
    b")",
    b"http://",
)
AGENT_LENGTH_MAX = 4_000  # the edge cuts longer ones


def fuzz(data: bytes) -> None:
    """A user agent, stretched."""
    text = take_text(data)[:AGENT_LENGTH_MAX]
    is_named_bot(text)
    agent = read_agent(text)
    assert all(isinstance(one, str) for one in agent)
    _named.make_room()  # as for each batch
    score, _ = score_bot("pixel", text, 0)
    assert 0 <= score <= 100
