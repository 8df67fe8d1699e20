"""Bodies made to hold up whoever reads them: the edge goes on, and networks leave room for each other."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest

from ingest.reading import heavy
from ingest.reading.body import inflate, load
from ingest.reading.fields import Unacceptable
from ingest.reading.heavy import Heavy
from ingest.serving.arrival import Arrivals, read_body
from tests.attacks.bodies import EMPTY, PUBLIC, Hostile, hostile_requests, many
from tests.attacks.endpoints import Endpoints
from tests.ingest.builders import run

REQUESTS = hostile_requests()
HELD_S_MAX = 0.1  # of the loop's own CPU in one call; 20 ms where nobody else uses the machine


@pytest.mark.parametrize("name", REQUESTS)
def test_no_request_holds_the_loop(name: str) -> None:
    async def journey() -> None:
        status, _, held_s = await Endpoints(network_rate_max=0).ask(*REQUESTS[name])
        assert status < 500
        assert held_s < HELD_S_MAX

    run(journey)


@pytest.mark.parametrize("name", ["empty members", "empty frames", "empty blocks"])
def test_a_long_compressed_body_is_inflated_beside_the_loop(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def watched(*args: Any) -> bytes:
        threads.append(threading.get_ident())
        return inflate(*args)

    monkeypatch.setattr(heavy, "inflate", watched)

    async def journey() -> None:
        await Endpoints(network_rate_max=0).ask(*REQUESTS[name])

    run(journey)
    assert threads
    assert threading.get_ident() not in threads


def test_a_bomb_of_values_is_known_before_it_is_parsed() -> None:
    took = {}
    for how, read in (("ours", load), ("as it stands", orjson.loads)):
        before = time.thread_time()
        with suppress(Unacceptable):
            read(EMPTY)
        took[how] = time.thread_time() - before
    assert took["ours"] < took["as it stands"] / 5
    with pytest.raises(Unacceptable):
        load(EMPTY)
    assert len(load(many(b"[1]", 190_000))) == 190_000


def test_a_network_pays_for_what_its_bodies_become() -> None:
    async def journey() -> None:
        for name in ("empty events", "a bomb inside", "a CloudEvent of zeros", "what all events share"):
            # So low that a busy machine does not give the rate back while a body is read.
            endpoints, event = Endpoints(network_rate_max=50), Hostile("/v1/events", b'{"event":"a"}', PUBLIC)
            assert (await endpoints.ask(*event))[0] == 200
            assert len(REQUESTS[name].body) < 50_000
            for _ in range(3):
                await endpoints.ask(*REQUESTS[name])
            assert (await endpoints.ask(*event))[0] == 429, name
            assert (await endpoints.ask(*event, client="198.51.100.1"))[0] == 200, name

    run(journey)


def test_large_bodies_are_read_one_at_a_time_and_only_so_many_wait() -> None:
    async def journey() -> None:
        endpoints = Endpoints(network_rate_max=0)
        endpoints.intake.heavy = Heavy(held_bytes_max=25_000_000)
        large, small = REQUESTS["empty events"], Hostile("/v1/events", b'{"event":"a"}', PUBLIC)
        answers = await asyncio.gather(*(endpoints.ask(*large) for _ in range(6)), endpoints.ask(*small))
        statuses = Counter(status for status, _, _ in answers[:6])
        assert statuses == {413: 2, 503: 4}
        assert answers[6][0] == 200
        assert (await endpoints.ask(*large))[0] == 413  # and their bytes are free again

    run(journey)


def test_large_bodies_of_one_network_keep_those_of_others_neither_out_nor_waiting() -> None:
    async def journey() -> None:
        one, order, gate = Heavy(held_bytes_max=50), list[str](), asyncio.Event()

        async def read(network: str) -> None:
            await one.begin(10, network)
            order.append(network)
            await gate.wait()
            one.end(10, network)

        crowd = [asyncio.create_task(read("crowd")) for _ in range(7)]
        await asyncio.sleep(0)
        others = [asyncio.create_task(read(name)) for name in ("a", "b", "gone")]
        await asyncio.sleep(0)
        others.pop().cancel()
        gate.set()
        failed = [one for one in await asyncio.gather(*crowd, *others, return_exceptions=True) if one]
        assert [type(one) for one in failed] == [Unacceptable] * 2
        assert order == ["crowd", "crowd", "a", "b", "crowd", "crowd", "crowd"]
        await read("a")  # nothing is held any more

    run(journey)


def test_bodies_of_one_network_that_never_end_leave_room_for_those_of_others() -> None:
    async def journey() -> None:
        arrivals, gate = Arrivals(held_bytes_max=50), asyncio.Event()

        def arriving(*pieces: int) -> Callable[[], Awaitable[dict[str, Any]]]:
            left = [bytes(size) for size in pieces]

            async def receive() -> dict[str, Any]:
                if len(left) == 1:
                    await gate.wait()
                return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

            return receive

        crowd = [asyncio.create_task(read_body(arriving(9, 1), arrivals, "203.0.113")) for _ in range(8)]
        await asyncio.sleep(0)
        other = asyncio.create_task(read_body(arriving(40, 1), arrivals, "198.51.100"))
        await asyncio.sleep(0)
        gate.set()
        found = await asyncio.gather(*crowd, return_exceptions=True)
        assert [isinstance(one, Unacceptable) for one in found] == [False] * 5 + [True] * 3
        assert len(await other) == 41
        assert (arrivals.held_bytes, arrivals.of_networks) == (0, {})

    run(journey)
