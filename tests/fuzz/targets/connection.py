"""One connection of the edge: bytes in pieces of any size, by the fast path and by uvicorn's parser alone."""

from __future__ import annotations

import asyncio
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from ingest.serving.connection import PIPELINED_MAX, State
from ingest.serving.parsed import Part
from tests.ingest.stage import PIXEL, POST, Stage, split_answers, statuses, without_date

LENGTH_MAX = 4_000
SEEDS = (
    b"\0" + PIXEL % b"1",
    b"\0" + POST % (15, b'{"event": "ab"}'),
    b"\x07" + PIXEL % b"1" + POST % (15, b'{"event": "ab"}') + PIXEL % b"2",
    b"\x05POST /v1/events?k=demo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{}]\n\r\n0\r\nA: b\r\n\r\n",
    b"\x09GET /p.gif?k=demo HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /p.gif?k=demo HTTP/1.1\r\n\r\n",
    b"\0GET /p.gif?k=demo HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nab",
    b"\0POST /v1/events HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n[]",
    b"\0OPTIONS /v1/events HTTP/1.1\r\nOrigin: https://shop.example\r\n\r\n",
    b"\0GET /p.gif?k=shop HTTP/1.1\r\nOrigin: https://[::1\r\nCookie: fp_shop=1\r\n\r\n",
    b"\0POST /v1/events HTTP/1.1\r\nAuthorization: Basic //8=\r\nContent-Length: 2\r\n\r\n{}",
    b"\0POST /v1/events HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
    b"\0GET /p.gif?k=demo&url=caf\xc3\xa9 HTTP/1.1\r\n\r\n",
)
WORDS = (
    b"GET ", b"POST ", b"HEAD ", b"OPTIONS ", b"/p.gif?", b"/v1/events", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n",
    b"\r\n\r\n",
    b"Content-Length: ", b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: keep-alive", b"Upgrade: ",
    b"Expect: 100-continue", b"Authorization: Bearer ", b"Authorization: Basic ", b"Origin: ", b"Cookie: fp_demo=",
    b"X-Signature: ", b"Content-Encoding: zstd", b"k=demo", b"k=shop", b"Content-Type: application/cloudevents+json",
)  # fmt: skip
_TURNS_MAX = 400  # of the loop until a connection must be through with what came

_loop: asyncio.AbstractEventLoop | None = None


def fuzz(data: bytes) -> None:
    """The first byte is the size of a piece, 0 for all at once."""
    global _loop
    if len(data) < 2 or b"k=tight" in data:  # its rate depends on the clock
        return
    if _loop is None:
        _loop = asyncio.new_event_loop()
    size, stream = data[0] or len(data), data[1:]
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    short, plain = (_loop.run_until_complete(_journey(pieces, is_short)) for is_short in (True, False))
    if (
        _count_requests(stream) < PIPELINED_MAX
    ):  # beyond it the connection ends, and who counts begins elsewhere
        assert short == plain, "the fast path and the parser's say different things"


async def _journey(pieces: list[bytes], is_short: bool) -> Any:
    loop, failures = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    stage = Stage(fast_path=is_short)
    stage.connection.logger.disabled = True
    for piece in pieces:
        if stage.wire.is_closing():
            break
        stage.connection.data_received(piece)
        await _settle(stage)
    await _settle(stage)
    connection, wire = stage.connection, stage.wire
    answers = split_answers(wire.written)
    assert not wire.is_late, "something was written behind the end"
    assert not any(status[:1] == b"5" for status in statuses(answers) if status != b"503"), (
        "an endpoint failed"
    )
    if not wire.is_closing():
        # It waits for more of one request, and for nothing else: all whole ones are answered, and this one may be.
        assert connection._state in (State.IDLE, State.PARSING), (
            "a connection that stays open reads nothing more"
        )
        assert connection._under_way <= int(connection._request.is_in_body), "unanswered"
    seen = (
        [without_date(one) for one in answers],
        wire.is_closing(),
        [(*row[:9], *row[10:]) for row in stage.rows],
    )
    connection.connection_lost(None)
    await _settle(stage)
    assert not failures, failures[0]
    return seen


async def _settle(stage: Stage) -> None:
    """Let everything happen that can happen without another byte."""
    connection = stage.connection
    for turn in range(_TURNS_MAX):
        stage.packer.flush()
        stage.sent.settle_all()
        await asyncio.sleep(0 if turn < _TURNS_MAX // 2 else 0.01)  # a large body is read in a thread
        if turn > 3 and not connection._under_way and (connection.is_waiting or stage.wire.is_closing()):
            return
        if turn > 8 and connection._request.part is not Part.BETWEEN:  # the rest of its body has not come
            return


def _count_requests(stream: bytes) -> int:
    class Counter:
        count = 0

        def on_message_begin(self) -> None:
            self.count += 1

    counter = Counter()
    try:
        HttpRequestParser(counter).feed_data(stream)
    except (HttpParserError, HttpParserUpgrade):
        return PIPELINED_MAX if stream.count(b"HTTP/1") >= PIPELINED_MAX else counter.count
    return counter.count
