"""A body arriving: bounded in bytes and in time."""

from __future__ import annotations

import asyncio

from ingest.answers import Receive
from ingest.body import BODY_BYTES_MAX, TOO_LARGE
from ingest.fields import Rejection, Unacceptable

BODY_SECONDS_MAX = 30  # for a body to arrive
DISCARDED_BYTES_MAX = 100_000_000  # of a body that is too large anyway; beyond it the connection breaks


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises Unacceptable where it is too large or does not arrive in time.

    One that is too large is read to its end and thrown away: a client that is still sending would see a broken
    connection instead of the answer.
    """
    message = await receive()
    if (
        not message.get("more_body") and message["type"] == "http.request"
    ):  # nearly always: it came in one piece
        whole: bytes = message.get("body", b"")
        if len(whole) > BODY_BYTES_MAX:
            raise Unacceptable(*TOO_LARGE)
        return whole
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            while True:
                if message["type"] == "http.disconnect":
                    raise Unacceptable(*_BROKEN_OFF)
                part: bytes = message.get("body", b"")
                size += len(part)
                if size <= BODY_BYTES_MAX:
                    parts.append(part)
                if not message.get("more_body") or size > DISCARDED_BYTES_MAX:
                    break
                message = await receive()
    except TimeoutError:
        raise Unacceptable(*_BROKEN_OFF) from None
    if size > BODY_BYTES_MAX:
        raise Unacceptable(*TOO_LARGE)
    return b"".join(parts)


_BROKEN_OFF = Rejection(
    "body_broken_off",
    "The body did not arrive whole.",
    f"body: expected all of it within {BODY_SECONDS_MAX} s",
)
