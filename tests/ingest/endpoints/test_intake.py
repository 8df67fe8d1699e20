"""Kept, or counted as refused: one function for every endpoint, and the pixel's own form of it says the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ingest.endpoints.intake import NotKept
from ingest.reading.fields import Rejection
from ingest.reading.heavy import PAUSE_EVENTS
from ingest.reading.row import Row
from ingest.reading.sites import Credential
from ingest.serving.answers import SPOOL_FULL
from tests.ingest.builders import row, run
from tests.ingest.stage import Stage, split_answers, statuses

SHOP, EVIL = b"https://shop.example", b"https://evil.example"
WRONG = Rejection("invalid_field", "It is wrong.", "event: expected a name")
NOW_MS = 1_796_000_000_000


def story(tell: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def journey() -> None:
        await tell(Stage())

    run(journey)


def shop(stage: Stage) -> Credential:
    found = stage.intake.sites.find("shop")
    assert found is not None
    return found


def begin(
    stage: Stage, *rows: Row | Rejection, origin: bytes | None = SHOP, **more: Any
) -> asyncio.Task[None]:
    offered = [(shop(stage), one) for one in rows]
    return asyncio.create_task(stage.intake.keep("test", offered, origin, NOW_MS, **more))


async def settle(stage: Stage, kept: bool = True) -> None:
    await asyncio.sleep(0)
    stage.packer.flush()
    stage.sent.settle_all(kept)
    await asyncio.sleep(0.001)


def test_events_count_once_their_packs_are_kept_and_not_before() -> None:
    async def tell(stage: Stage) -> None:
        keeping = begin(stage, row("a"), row("b"))
        await asyncio.sleep(0.001)
        assert (keeping.done(), stage.intake.counts.events["test"]) == (False, 0)
        await settle(stage)
        await keeping
        assert [one[0] for one in stage.rows] == ["a", "b"]
        assert stage.intake.counts.events["test"] == 2

    story(tell)


def test_a_foreign_page_s_events_become_counts_and_its_answer_waits_for_them() -> None:
    async def tell(stage: Stage) -> None:
        keeping = begin(stage, row("a"), row("b"), origin=EVIL)
        await asyncio.sleep(0.001)
        assert not keeping.done()
        await settle(stage)
        await keeping
        counts = stage.intake.counts
        assert (stage.rows, counts.events["test"], counts.refused) == ([], 0, {"origin_refused": 2})

    story(tell)


def test_a_rejection_is_counted_and_its_neighbours_are_kept_in_order() -> None:
    async def tell(stage: Stage) -> None:
        effects: list[str] = []
        refuse, add = stage.packer.refuse, stage.packer.add
        stage.packer.refuse = lambda *what: effects.append(what[2]) or refuse(*what)  # type: ignore[method-assign,func-returns-value]
        stage.packer.add = lambda one, **how: effects.append(one[0]) or add(one, **how)  # type: ignore[method-assign,func-returns-value]
        keeping = begin(stage, row("a"), WRONG, row("b"))
        await settle(stage)
        await keeping
        assert effects == ["a", "invalid", "b"]
        assert stage.intake.counts.events["test"] == 2

    story(tell)


def test_nothing_but_rejections_waits_for_nobody() -> None:
    async def tell(stage: Stage) -> None:
        await begin(stage, WRONG)
        assert stage.intake.counts.refused == {"invalid": 1}

    story(tell)


def test_a_success_that_names_refusals_waits_for_their_count() -> None:
    async def tell(stage: Stage) -> None:
        keeping = begin(stage, WRONG, with_refusals=True)
        await asyncio.sleep(0.001)
        assert not keeping.done()
        await settle(stage)
        await keeping

    story(tell)


def test_what_is_not_kept_is_said_by_number_and_counts_nowhere() -> None:
    async def tell(stage: Stage) -> None:
        keeping = begin(stage, row("a"), WRONG, row("b"))
        await settle(stage, kept=False)
        with pytest.raises(NotKept) as caught:
            await keeping
        assert (caught.value.event_count, caught.value.rejection) == (2, SPOOL_FULL)
        assert "test" not in stage.intake.counts.events

    story(tell)


def test_without_room_nothing_is_begun() -> None:
    async def tell(stage: Stage) -> None:
        stage.intake.require_room(3)
        stage.packer.waiting_events = 10**9
        with pytest.raises(NotKept) as caught:
            stage.intake.require_room(3)
        assert caught.value.event_count == 3

    story(tell)


def test_others_have_their_turn_in_a_long_batch() -> None:
    async def tell(stage: Stage) -> None:
        keeping = begin(stage, *[row(str(n)) for n in range(3 * PAUSE_EVENTS)])
        turns = []
        while len(stage.rows) < 3 * PAUSE_EVENTS:
            await asyncio.sleep(0)
            turns.append(len(stage.rows))
        assert len(turns) > 3
        await settle(stage)
        await keeping

    story(tell)


@pytest.mark.parametrize("site", ["shop", "demo"])
@pytest.mark.parametrize("origin", [None, SHOP, EVIL])
@pytest.mark.parametrize("end", ["kept", "not kept", "no room"])
def test_a_pixel_is_kept_or_counted_as_any_other_event(site: str, origin: bytes | None, end: str) -> None:
    head = b"Origin: %s\r\n" % origin if origin else b""
    pixel = b"GET /p.gif?k=%s&e=x&id=a HTTP/1.1\r\n%s\r\n" % (site.encode(), head)
    post = (
        b"POST /v1/events HTTP/1.1\r\nAuthorization: Bearer %s\r\n%sContent-Length: 25\r\n\r\n" % (site.encode(), head)
        + b'{"event": "x", "id": "a"}'
    )  # fmt: skip
    seen = []

    async def journey() -> None:
        for request in (pixel, post):
            stage = Stage()
            if end == "no room":
                stage.packer.waiting_events = 10**9
            stage.connection.data_received(request)
            for _ in range(5):
                await settle(stage, kept=end == "kept")
            counts = stage.intake.counts
            (status,) = statuses(split_answers(stage.wire.written))
            seen.append((status, [one[0] for one in stage.rows], counts.events.total(), counts.refused))

    run(journey)
    assert seen[0] == seen[1]
    assert seen[0][0] == (b"200" if end == "kept" else b"503")
