"""What goes back to the sender: ready-made ASGI messages, JSON errors, and which pages may read an answer."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import orjson

from ingest.reading.fields import Rejection, Unacceptable
from ingest.reading.pixel import GIF
from ingest.reading.signature import REJECTIONS as SIGNATURE_REJECTIONS

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Message], Awaitable[None]]
HeaderList = list[tuple[bytes, bytes]]

RETRY: HeaderList = [(b"retry-after", b"5")]
# In a scope of the fast path:
PATIENT = "fairpixel.patient"  # nobody is known to wait for the answer
BODY = "fairpixel.body"  # all of it, as it came with the head
NEVER_CACHED = (b"cache-control", b"no-store, no-cache, must-revalidate, private, max-age=0")
GIF_HEADERS: HeaderList = [
    (b"content-type", b"image/gif"),
    (b"content-length", b"43"),
    NEVER_CACHED,
    (b"cross-origin-resource-policy", b"cross-origin"),
]
JSON_HEADERS: HeaderList = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
GIF_BODY: Message = {"type": "http.response.body", "body": GIF}
EMPTY_BODY: Message = {"type": "http.response.body", "body": b""}

# What scripts may read of an answer: when to come again, and what is wrong where the body is a picture.
EXPOSED = (
    b"access-control-expose-headers",
    b"Retry-After, X-Fairpixel-Code, X-Fairpixel-Detail, X-Plausible-Dropped",
)
METHODS = b"GET, POST, HEAD, OPTIONS"
ALLOWED_HEADERS = (
    b"Content-Type, Content-Encoding, Authorization, AnonymousId, X-Retry-Count, Trace, SP-Anonymous, X-Write-Key,"
    b" X-Debug-Request, X-Fairpixel-Signature"
)

UNKNOWN_KEY = Rejection(
    "unknown_key", "The site key is not known here.", "k or Authorization: expected a key of fairpixel.toml"
)
RATE_LIMITED = Rejection(
    "rate_limited",
    "Too many requests of this network, or events of this site key, arrive at the moment.",
    "Send it again after the seconds named in Retry-After; an operator can raise FAIRPIXEL_INGEST_NETWORK_RATE_MAX"
    " and, of the site, events_per_second_max or secret_events_per_second_max.",
)
SPOOL_FULL = Rejection(
    "unavailable",
    "The event cannot be kept at the moment.",
    "Send it again after the seconds named in Retry-After.",
)
WRONG_METHOD = Rejection("wrong_method", "This address does not take this method.", "See the header Allow.")


def status_of(why: Rejection) -> int:
    """The status of a request that is refused as a whole."""
    return _STATUS.get(why.code, 400)


_STATUS = {
    "unknown_key": 401,
    "body_broken_off": 408,
    "body_too_large": 413,
    "rate_limited": 429,
    "unavailable": 503,
    **dict.fromkeys(SIGNATURE_REJECTIONS, 401),
}


class Limited(Unacceptable):
    """A request over a rate; `wait_s` is when the next may come."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(*RATE_LIMITED)
        self.wait_s = wait_s


def retry_headers(problem: Unacceptable) -> HeaderList:
    """Retry-After where trying again later helps."""
    if isinstance(problem, Limited):
        return retry_after(problem.wait_s)
    return RETRY if problem.rejection.code == "unavailable" else []


def retry_after(wait_s: float) -> HeaderList:
    """Retry-After for a wait, in whole seconds."""
    return [(b"retry-after", b"%d" % max(1, math.ceil(wait_s)))]


class GifAnswer(NamedTuple):
    """The pixel under any status, with headers beside its own."""

    status: int = 200
    more: HeaderList = []  # noqa: RUF012  # never changed


KEPT = GifAnswer()


async def send_gif(
    send: Send, status: int = 200, why: Rejection | None = None, more: HeaderList | None = None
) -> None:
    """The pixel under any status; the code and the field of an error stand in headers, as the body stays a picture."""
    headers = GIF_HEADERS + (more or [])
    if why is not None:
        headers += why_headers(why)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send(GIF_BODY)


def why_headers(why: Rejection) -> HeaderList:
    """Code and detail of an error as headers, for answers whose body is a picture."""
    return [(b"x-fairpixel-code", _ascii(why.code)), (b"x-fairpixel-detail", _ascii(why.detail))]


async def send_json(send: Send, status: int, content: Any, more: HeaderList | None = None) -> None:
    """An answer as JSON."""
    body = orjson.dumps(content)
    headers = [*JSON_HEADERS, (b"content-length", b"%d" % len(body)), *(more or ())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, status: int, why: Rejection, more: HeaderList | None = None) -> None:
    """An error as JSON with `code`, `message` and `detail`."""
    await send_json(send, status, why._asdict(), more)


async def send_empty(send: Send, status: int, headers: HeaderList) -> None:
    """An answer without a body."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send(EMPTY_BODY)


def cors_headers(origin: bytes | None, declared: bool) -> HeaderList:
    """Lets a page of a declared origin read the answer; nothing for any other page."""
    if not origin:
        return []
    if not declared:
        return [(b"vary", b"Origin")]
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        EXPOSED,
        (b"vary", b"Origin"),
    ]


def preflight_headers(
    origin: bytes | None, declared: bool, asked: bytes | None, allow: bytes = METHODS
) -> HeaderList:
    """The answer to OPTIONS.

    asked: Access-Control-Request-Headers, given back to declared origins; allow: the methods the address takes.
    """
    basic = [(b"allow", allow), (b"content-length", b"0")]
    if not origin or not declared:
        return basic + cors_headers(origin, declared)
    return [
        *basic,
        *cors_headers(origin, declared),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", asked or ALLOWED_HEADERS),
        (b"access-control-max-age", b"86400"),
    ]


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")
