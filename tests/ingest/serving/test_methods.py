"""OPTIONS, HEAD and methods that an address does not take: who is told what."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from ingest.serving import answers
from ingest.serving.methods import OtherMethods, allow, json_methods, plain_preflight

ASKED = [(b"origin", b"https://shop.example")]
PICTURE = OtherMethods(allow(("GET",)), plain_preflight, lambda _: answers.GIF_HEADERS, is_picture=True)
JSON = json_methods(("POST",), plain_preflight)
OWN_LOOK = OtherMethods(allow(("GET", "HEAD")), plain_preflight)


def ask(others: OtherMethods, method: str) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(others.answer({"method": method, "headers": ASKED}, send))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


@pytest.mark.parametrize(
    ("others", "allowed"),
    [(PICTURE, b"GET, HEAD, OPTIONS"), (JSON, b"POST, HEAD, OPTIONS"), (OWN_LOOK, b"GET, HEAD, OPTIONS")],
)
def test_options_and_a_wrong_method_hear_what_is_taken(others: OtherMethods, allowed: bytes) -> None:
    status, headers, body = ask(others, "OPTIONS")
    assert (status, headers[b"allow"], body) == (204, allowed, b"")
    status, headers, body = ask(others, "DELETE")
    assert (status, headers[b"allow"]) == (405, allowed)
    assert b"no-store" in headers[b"cache-control"]
    if others.is_picture:
        assert (headers[b"x-fairpixel-code"], len(body)) == (b"wrong_method", 43)
    else:
        assert orjson.loads(body)["code"] == "wrong_method"


def test_a_look_has_the_headers_of_the_answer_and_no_body() -> None:
    assert ask(PICTURE, "HEAD") == (200, dict(answers.GIF_HEADERS), b"")
    assert ask(JSON, "HEAD") == (200, {**dict(answers.JSON_HEADERS), b"allow": b"POST, HEAD, OPTIONS"}, b"")
    assert ask(OWN_LOOK, "HEAD")[0] == 405  # its endpoint takes it


def test_a_preflight_is_asked_with_the_request_and_what_is_taken() -> None:
    seen: list[Any] = []

    def preflight(headers: Any, allowed: bytes) -> answers.HeaderList:
        seen.append((headers, allowed))
        return [(b"allow", allowed), (b"vary", b"Origin")]

    assert ask(json_methods(("GET", "POST"), preflight), "OPTIONS")[1][b"vary"] == b"Origin"
    assert seen == [(dict(ASKED), b"GET, POST, HEAD, OPTIONS")]
