"""Requests that are odd, wrong or unfinished: answers stay in order, no body becomes a request, nothing stays open."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest

from ingest.serving import connection as connection_module
from ingest.serving import connections as connections_module
from ingest.serving.connection import PIPELINED_MAX
from tests.ingest.builders import Sent, packer, row, run
from tests.ingest.serving.odd_requests import (
    CHUNKED,
    ENDS,
    EVENT,
    GOES_ON,
    HIDDEN,
    IN_CHUNKS,
    KEY,
    LENGTH,
    REFUSALS,
    get,
    post,
)
from tests.ingest.stage import PIXEL, Stage, Wire, split_answers, statuses


def found_on_stage(sent: bytes, cut: int | None, count: int) -> tuple[list[str], list[str], bool]:
    """The statuses, the ids of what was taken, and whether the connection is at its end."""
    found: list[tuple[list[str], list[str], bool]] = []

    async def journey() -> None:
        stage = Stage()
        pieces = [sent[n : n + cut] for n in range(0, len(sent), cut)] if cut else [sent]
        for piece in pieces:
            if stage.wire.is_closing():
                break
            stage.connection.data_received(piece)
            async with asyncio.timeout(5):
                while stage.wire.is_paused and not stage.wire.is_closing():
                    stage.packer.flush()
                    stage.sent.settle_all()
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await stage.answers(count)
        await asyncio.sleep(0.002)
        codes = [code.decode() for code in statuses(split_answers(stage.wire.written))]
        found.append((codes, [row[0] for row in stage.rows], stage.wire.is_closing()))
        assert not stage.wire.is_late

    run(journey)
    return found[0]


@pytest.mark.parametrize("cut", [None, 1, 50])
@pytest.mark.parametrize("case", GOES_ON)
def test_an_odd_request_is_answered_once_and_the_next_one_too(case: str, cut: int | None) -> None:
    sent, expected = GOES_ON[case]
    codes, ids, ended = found_on_stage(sent + PIXEL % b"next", cut, len(expected) + 1)
    assert (codes, ended) == ([*expected, "200"], False)
    assert ids == (["a"] if expected == ["200"] else []) + ["next"]


@pytest.mark.parametrize("cut", [None, 1, 50])
@pytest.mark.parametrize("case", ENDS)
def test_what_ends_a_connection_is_its_last_answer_and_nothing_behind_it_is_a_request(
    case: str, cut: int | None
) -> None:
    sent, expected = ENDS[case]
    codes, ids, ended = found_on_stage(sent, cut, len(expected))
    assert (codes, ended) == (expected, True)
    assert ids == (["a"] if "200" in expected else [])


def test_a_body_that_goes_wrong_after_its_answer_gets_no_second_one() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(b"PUT /v1/events HTTP/1.1\r\n" + CHUNKED + b"\r\n1\r\na\r\n")
        assert statuses(await stage.answers(1)) == [b"405"]
        stage.connection.data_received(b"xyz\r\n")
        assert len(split_answers(stage.wire.written)) == 1
        assert stage.wire.is_closing()

    run(journey)


def test_the_rest_of_a_body_whose_answer_is_out_is_no_pixel() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(
            GOES_ON["a body that the endpoint does not read"][0].removesuffix(HIDDEN)
        )
        await stage.answers(1)
        stage.connection.data_received(HIDDEN)
        stage.connection.data_received(PIXEL % b"next")
        assert statuses(await stage.answers(2)) == [b"405", b"200"]
        assert [row[0] for row in stage.rows] == ["next"]

    run(journey)


def test_a_pixel_behind_a_post_of_the_parser_does_not_overtake_it() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(post(CHUNKED, IN_CHUNKS))
        stage.connection.data_received(PIXEL % b"next")
        for answer, kind in zip(await stage.answers(2), (b"application/json", b"image/gif"), strict=True):
            assert b"content-type: " + kind in answer

    run(journey)


def test_an_address_that_is_not_quoted_says_the_same_as_one_that_is() -> None:
    async def journey() -> None:
        users = []
        for user in ("é€%41", "%C3%A9%E2%82%AC%41"):
            stage = Stage()
            stage.connection.data_received(get(address=f"/p.gif?k=demo&u={user}".encode()))
            await stage.answers(1)
            users += [row[17] for row in stage.rows]
        assert users == ["é€A", "é€A"]

    run(journey)


def test_a_trailer_is_no_header() -> None:
    trailed = b"POST /v1/events HTTP/1.1\r\n" + CHUNKED + b"\r\n19\r\n" + EVENT + b"\r\n0\r\n" + KEY + b"\r\n"
    codes, ids, _ = found_on_stage(trailed + trailed + PIXEL % b"next", None, 3)
    assert (codes, ids) == (["401", "401", "200"], ["next"])


def test_spaces_around_a_header_are_not_part_of_it_on_either_way() -> None:
    async def journey() -> None:
        for cut in (None, 1):
            stage = Stage()
            request = get(b"DNT: \t1 \t", b"User-Agent:  x  ")
            stage.connection.data_received(request[:cut])
            if cut:
                stage.connection.data_received(request[cut:])
            await stage.answers(1)
            (one,) = stage.rows
            assert (one[11], one[20]) == ("x", 2)

    run(journey)


def test_a_pipeline_over_its_bound_is_answered_so_far_and_the_last_answer_says_close() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(b"".join(PIXEL % b"%d" % n for n in range(3 * PIPELINED_MAX)))
        answers = await stage.answers(PIPELINED_MAX + 1)
        assert statuses(answers) == [b"200"] * (PIPELINED_MAX + 1)
        assert [row[0] for row in stage.rows] == [str(n) for n in range(PIPELINED_MAX + 1)]
        assert [b"connection: close" in answer for answer in answers] == [False] * PIPELINED_MAX + [True]
        assert stage.wire.is_closing()

    run(journey)


@pytest.mark.parametrize(
    "last", [get(b"Connection: close"), b"nothing\r\n\r\n"], ids=["the client's wish", "an error"]
)
def test_what_tls_lets_through_after_the_end_is_for_nobody(last: bytes) -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(last)
        await stage.answers(1)
        taken = len(stage.rows)
        for late in (PIXEL % b"late", post(LENGTH, EVENT), b"\x16\x03"):
            stage.connection.data_received(late)
        await asyncio.sleep(0.002)
        assert (len(stage.rows), stage.connection._early) == (taken, b"")
        assert not stage.wire.is_late

    run(journey)


def test_an_idle_connection_remembers_nothing_of_its_last_request() -> None:
    async def journey() -> None:
        for request in (
            b"PUT /v1/events HTTP/1.1\r\nA: %s\r\nContent-Length: 200000\r\n\r\n%s" % (b"a" * 60_000, b"b" * 100_000),
            get(b"A: " + b"a" * 60_000),
        ):  # fmt: skip
            stage = Stage()
            stage.connection.data_received(request)
            await stage.answers(1)
            one = stage.connection
            left = [getattr(one, name) for name in ("cycle", "scope", "headers", "url", "_early")]
            assert left == [None, None, None, b"", b""]

    run(journey)


def test_who_is_gone_before_anything_began_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wire, "get_extra_info", lambda *_: None)

    async def journey() -> None:
        assert Stage().wire.is_closing()

    run(journey)


def test_silent_surplus_connections_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "CONNECTIONS_MAX", 1)
    monkeypatch.setattr(connection_module, "SURPLUS_MAX", 2)

    async def journey() -> None:
        stage = Stage()
        assert [stage.connect()[0].is_closing() for _ in range(3)] == [False, False, True]
        assert not stage.wire.is_closing()

    run(journey)


def test_who_comes_while_the_edge_stops_is_sent_away() -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.shutdown()
        assert stage.connect()[0].is_closing()

    run(journey)


def test_who_reads_an_answer_slowly_is_not_idle_and_who_takes_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unsent = [3_000]
    monkeypatch.setattr(Wire, "get_write_buffer_size", lambda _: unsent[0])

    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(PIXEL % b"a")
        await stage.answers(1)
        now = asyncio.get_running_loop().time()
        for passed, left in ((31, 3_000), (62, 2_000), (93, 1_000)):
            unsent[0] = left
            stage.shared.sweep(now + passed)
            assert not stage.wire.is_closing()
        stage.shared.sweep(now + 124)
        assert stage.wire.is_closing()

    run(journey)


def test_trouble_at_one_answer_is_not_that_of_its_neighbours_in_the_pack() -> None:
    def fails(_: bool) -> None:
        raise RuntimeError("of one connection")

    async def journey() -> None:
        sent = Sent()
        heard: list[bool] = []
        one = packer(sent)
        one.put(row("a"), fails)
        one.put(row("b"), heard.append)
        done = one.add(row("c"))
        one.flush()
        sent.settle_all()
        assert heard == [True]
        assert await done is True
        assert one.waiting_events == 0

    run(journey)


@pytest.mark.parametrize(("request_bytes", "detail"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("line", [b"GET /p.gif?k=demo HTTP/1.1\r\n", b"POST /v1/events HTTP/1.1\r\n"])
def test_a_request_that_is_not_read_hears_which_rule_and_which_header(
    line: bytes, request_bytes: bytes, detail: str
) -> None:
    async def journey() -> None:
        stage = Stage()
        stage.connection.data_received(line + b"Host: shop.example\r\n" + request_bytes)
        (answer,) = await stage.answers(1)
        assert statuses([answer]) == [b"400"]
        body = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert (body["code"], detail in body["detail"], "hidden" in body["detail"]) == (
            "not_http",
            True,
            False,
        )

    run(journey)
