"""Heads that say two things or cannot be read, and heads and connections that are kept waiting."""

from __future__ import annotations

import asyncio
import json

import pytest

from ingest.serving import connection, connections
from tests.ingest.builders import run
from tests.ingest.stage import PIXEL, Stage

EVENT = b'{"event":"a"}'
CHUNKED = b"d\r\n%s\r\n0\r\n\r\n" % EVENT
AMBIGUOUS = {  # header lines, body -> what the refusal names
    "two lengths": ((b"Content-Length: 13", b"Content-Length: 14"), EVENT, "Content-Length"),
    "one length twice": ((b"Content-Length: 13", b"content-length: 13"), EVENT, "Content-Length"),
    "a list of lengths": ((b"Content-Length: 13, 13",), EVENT, "Content-Length"),
    "a signed length": ((b"Content-Length: +13",), EVENT, "Content-Length"),
    "an endless length": ((b"Content-Length: 99999999999999999999999",), EVENT, "Content-Length"),
    "length and chunks": ((b"Content-Length: 13", b"Transfer-Encoding: chunked"), CHUNKED, "Content-Length"),
    "chunks and length": ((b"Transfer-Encoding: chunked", b"Content-Length: 13"), CHUNKED, "Content-Length"),
    "two codings": ((b"Transfer-Encoding: chunked",) * 2, CHUNKED, "Transfer-Encoding"),
    "a further coding": ((b"Transfer-Encoding: gzip, chunked",), CHUNKED, "Transfer-Encoding"),
    "another coding": ((b"Transfer-Encoding: xchunked",), CHUNKED, "Transfer-Encoding"),
    "no chunk size": ((b"Transfer-Encoding: chunked",), b"zz\r\n" + CHUNKED, "chunks, each as its size"),
    "an endless chunk": ((b"Transfer-Encoding: chunked",), b"f" * 20 + b"\r\n", "chunks, each as its size"),
    "two hosts": ((b"Host: y", b"Content-Length: 13"), EVENT, "Host"),
    "one host twice": ((b"HOST: x", b"Content-Length: 13"), EVENT, "Host"),
}


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_head_that_says_two_things_is_refused_by_the_header_it_says_them_in(
    name: str, fast_path: bool
) -> None:
    headers, body, named = AMBIGUOUS[name]
    lines = b"".join(line + b"\r\n" for line in (b"Host: x", *headers))

    async def journey() -> None:
        for first in (b"POST /v1/events?k=demo", b"GET /p.gif?k=demo"):
            stage = Stage(fast_path=fast_path)
            stage.connection.data_received(first + b" HTTP/1.1\r\n" + lines + b"\r\n" + body)
            (answer,) = await stage.answers(1)
            assert answer.startswith(b"HTTP/1.1 400 "), first
            assert named in json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
            assert stage.wire.is_closing()
            assert stage.rows == []

    run(journey)


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Basic \xff\xfe=",
        b"Authorization: Basic",
        b"Authorization: \xe4 \xf6",
        b"Authorization: Bearer \x80",
        b"Authorization:",
        b"X-Write-Key: \xff",
        b"Origin: http://[bad",
        b"Origin: \xff\xfe",
        b"Origin: https://x:99999999",
        b"Cookie: fp_demo=\xff\xfe; \x80=; =;;",
        b"Cookie: fp_demo",
        b"X-Fairpixel-Signature: t=\xb2,v1=\xff",
        b"Content-Encoding: \xff",
        b"Content-Type: \xff",
    ],
)
def test_no_header_that_cannot_be_read_goes_unanswered(header: bytes, fast_path: bool) -> None:
    post = b"POST /v1/events?k=demo HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 13\r\n\r\n" % header + EVENT
    hit = b"GET /p.gif?k=demo&consent=all HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % header

    async def journey() -> None:
        for request in (post, hit):
            stage = Stage(fast_path=fast_path)
            stage.connection.data_received(request)
            (answer,) = await stage.answers(1)
            assert answer[9:12] in (b"200", b"400", b"401")
            assert not stage.wire.is_closing()

    run(journey)


def test_one_network_leaves_connections_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SURPLUS_MAX", 1)

    async def journey() -> None:
        stage = Stage()
        stage.shared._network_max = 3
        theirs = [stage.connect() for _ in range(4)]  # the stage has one already
        theirs[2][1].data_received(PIXEL % b"a")
        async with asyncio.timeout(5):
            while not theirs[2][0].written:
                await asyncio.sleep(0.001)
        assert theirs[2][0].written.startswith(b"HTTP/1.1 503 ")
        assert [wire.is_closing() for wire, _ in theirs] == [False, False, True, True]
        wire, one = stage.connect("198.51.100.1")
        one.data_received(PIXEL % b"b")
        async with asyncio.timeout(5):
            while not wire.written:
                stage.packer.flush()
                stage.sent.settle_all()
                await asyncio.sleep(0.001)
        assert wire.written.startswith(b"HTTP/1.1 200 ")
        for _, gone in theirs:
            gone.connection_lost(None)
        assert not stage.connect()[0].is_closing()

    run(journey)


def test_heads_that_never_end_and_hits_that_wait_share_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HELD_BYTES_MAX", 100_000)

    async def journey() -> None:
        stage = Stage()
        half = b"GET /p.gif?k=demo HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 60_000
        (first, one), (second, other) = stage.connect(), stage.connect()
        one.data_received(half)
        other.data_received(half)
        assert (first.written, second.written[:13]) == (b"", b"HTTP/1.1 503 ")
        assert b"retry-after" in second.written.lower()
        one.connection_lost(None)
        other.connection_lost(None)
        assert stage.shared.held_bytes == 0
        stage.connection.data_received(PIXEL % b"a")
        stage.connection.data_received(PIXEL % b"b" * 5_000)  # while the first waits for its answer
        assert stage.shared.held_bytes == 0
        assert len(await stage.answers(1)) == 1
        assert stage.wire.is_closing()

    run(journey)
