"""What an address says to OPTIONS, to HEAD, and to a method it does not take: answered here for every endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ingest.reading.client import Headers, join_headers
from ingest.serving import answers
from ingest.serving.answers import HeaderList, Scope, Send

# (the request's headers, the methods the address takes) -> the headers that answer OPTIONS.
Preflight = Callable[[Headers, bytes], HeaderList]


@dataclass(frozen=True, slots=True)
class OtherMethods:
    """The answers to what an endpoint leaves to others; none of them makes an event."""

    allow: bytes
    preflight: Preflight
    # The headers that answer HEAD; None where the endpoint takes it as it takes GET.
    look: Callable[[Headers], HeaderList] | None = None
    is_picture: bool = False  # errors are pictures too

    async def answer(self, scope: Scope, send: Send) -> None:
        """Answer a request whose method is not the endpoint's own: 204, 200 or 405."""
        method, headers = scope["method"], join_headers(scope["headers"])
        if method == "OPTIONS":
            await answers.send_empty(send, 204, self.preflight(headers, self.allow))
        elif method == "HEAD" and self.look is not None:  # scanners look without opening
            await answers.send_empty(send, 200, self.look(headers))
        elif self.is_picture:
            await answers.send_gif(send, 405, answers.WRONG_METHOD, [(b"allow", self.allow)])
        else:
            await answers.send_error(send, 405, answers.WRONG_METHOD, [(b"allow", self.allow)])


def allow(methods: Iterable[str]) -> bytes:
    """The value of Allow for an endpoint that takes these."""
    return ", ".join(dict.fromkeys((*methods, "HEAD", "OPTIONS"))).encode()


def plain_preflight(_: Headers, allowed: bytes) -> HeaderList:
    """For addresses at which nothing depends on who asks."""
    return [(b"allow", allowed)]


def json_methods(methods: Iterable[str], preflight: Preflight) -> OtherMethods:
    """Of an endpoint that answers JSON: HEAD says that it is there and what it takes."""
    allowed = allow(methods)
    return OtherMethods(allowed, preflight, lambda _: [*answers.JSON_HEADERS, (b"allow", allowed)])
