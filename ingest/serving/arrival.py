"""A body arriving: bounded in bytes, in time, and in what all that arrive at once may hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from ingest.reading.body import BODY_BYTES_MAX, TOO_LARGE
from ingest.reading.fields import Unacceptable
from ingest.serving.answers import Receive

BODY_SECONDS_MAX = 30  # for a body to arrive
DISCARDED_BYTES_MAX = 100_000_000  # of a body that is too large anyway; beyond it the connection breaks
# Of a network's bodies that are still arriving, and twice as much of all; beyond it the next is answered with 503.
HELD_BYTES_MAX = 100_000_000


@dataclass(slots=True)
class Arrivals:
    """The bounds of bodies, and how many bytes of unfinished ones are held now."""

    seconds_max: float = BODY_SECONDS_MAX
    held_bytes_max: int = HELD_BYTES_MAX
    held_bytes: int = 0
    of_networks: Counter[str] = field(default_factory=Counter)

    def hold(self, size: int, network: str) -> bool:
        """Count bytes that came, or with a minus are gone; False where too many are held now."""
        self.held_bytes += size
        self.of_networks[network] += size
        if not self.of_networks[network]:
            del self.of_networks[network]
        is_within = self.of_networks[network] <= self.held_bytes_max
        return is_within and self.held_bytes <= 2 * self.held_bytes_max


async def read_body(
    receive: Receive, arrivals: Arrivals | None = None, network: str = "", here: bytes | None = None
) -> bytes:
    """The whole body. Raises Unacceptable: `body_too_large`, `body_broken_off` where it does not arrive in time,
    `unavailable` where too many bodies are arriving at once.

    here: the body where it came with its head, as a scope of the fast path holds it: nobody waits for it.
    One that is too large is read to its end and thrown away: a client that is still sending would see a broken
    connection instead of the answer.
    """
    if here is not None:
        return _bounded(here)
    arrivals = arrivals or Arrivals()
    held = 0
    try:
        async with asyncio.timeout(
            arrivals.seconds_max
        ):  # 2 µs; a body that never begins is a slow client too
            message = await receive()
            if (
                not message.get("more_body") and message["type"] == "http.request"
            ):  # nearly always in one piece
                return _bounded(message.get("body", b""))
            parts: list[bytes] = []
            size = 0
            while True:
                if message["type"] == "http.disconnect":
                    raise _broken_off(arrivals)
                part: bytes = message.get("body", b"")
                size += len(part)
                if size <= BODY_BYTES_MAX:
                    parts.append(part)
                    held += len(part)
                    if not arrivals.hold(len(part), network):
                        raise _crowded()
                if not message.get("more_body") or size > DISCARDED_BYTES_MAX:
                    break
                message = await receive()
    except TimeoutError:
        raise _broken_off(arrivals) from None
    finally:
        if held:
            arrivals.hold(-held, network)
    if size > BODY_BYTES_MAX:
        raise Unacceptable(*TOO_LARGE)
    return b"".join(parts)


def _bounded(whole: bytes) -> bytes:
    if len(whole) > BODY_BYTES_MAX:
        raise Unacceptable(*TOO_LARGE)
    return whole


def _broken_off(arrivals: Arrivals) -> Unacceptable:
    return Unacceptable(
        "body_broken_off",
        "The body did not arrive whole.",
        f"body: expected all of it within {arrivals.seconds_max:g} s; send it again",
    )


def _crowded() -> Unacceptable:
    return Unacceptable(
        "unavailable",
        "Too many bodies are arriving at the moment.",
        "Send it again after the seconds named in Retry-After.",
    )
