"""Direct messages become rows, are committed when they are kept and not before, and none is passed over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.counts import Counts
from ingest.direct.endpoint import Dead, Direct, read_direct
from ingest.direct.inbox import DirectMessage
from ingest.endpoints.intake import Intake, id_maker
from ingest.reading.row import Row
from ingest.reading.sites import Sites
from ingest.reloadable import ReloadableConfiguration
from ingest.settings import EdgeSettings
from runtime.config import parse_config
from schemas.dead_letter import DeadLetter
from schemas.direct import ORIGIN_HEADER, encode_origin
from schemas.drops import DeadReason
from schemas.event import Event, Flag
from schemas.links import Origin
from schemas.ring import RingError
from tests.ingest.builders import KEY, NOW_MS, Sent, open_pack, packer, run

SITES = Sites.of(parse_config('[sites.demo]\npublic_keys = ["pk", "pk2"]\n[sites.other]\n'), {"demo": "sk"})
GARBAGE = b"\x00garbage"


def message(offset: int = 7, content: bytes | None = None, **fields: Any) -> DirectMessage:
    if content is None:
        content = json.dumps({"site": "demo", "event": "page_view", **fields}).encode()
    return DirectMessage(Origin("topic-id", 0, offset), NOW_MS - 5_000, content)


def event(one: DirectMessage) -> Event:
    found = read_direct(one, SITES, NOW_MS)
    assert not isinstance(found, Dead)
    return Event(*found)


def test_an_event_is_a_backend_s_and_was_received_by_the_broker() -> None:
    found = event(
        message(id="o-1", user_id="u", value=19.9, context={"ip": "203.0.113.7"}, ts=NOW_MS - 60_000)
    )
    assert (found.source, found.protocol, found.trust, found.site) == ("direct", "native", "secret", "demo")
    assert (found.event_id, found.user_id, found.value_e4, found.ip) == ("o-1", "u", 199_000, "203.0.113.7")
    assert (found.received_at, found.occurred_at) == (NOW_MS - 5_000, NOW_MS - 60_000)


def test_without_an_id_the_place_is_the_id_also_after_a_replay() -> None:
    assert event(message()).event_id == "topic-id.0.7"
    assert event(message()).flags == Flag.ID_GENERATED
    again = message(99)._replace(headers=[(ORIGIN_HEADER, encode_origin(Origin("topic-id", 0, 7)))])
    assert event(again).event_id == "topic-id.0.7"


def test_a_clock_that_is_ahead_receives_nothing_in_the_future() -> None:
    assert event(message()._replace(time_ms=NOW_MS + 5)).received_at == NOW_MS
    assert event(message()._replace(time_ms=-1)).received_at == NOW_MS


@pytest.mark.parametrize(
    "named",
    [{"site": "demo"}, {"k": "pk"}, {"k": "sk"}, {"site": "demo", "k": "pk2"}, {"site": None, "k": "pk"}],
)
def test_a_site_is_named_by_its_name_or_a_key(named: dict[str, str]) -> None:
    assert event(message(content=json.dumps({"event": "e", **named}).encode())).site == "demo"


@pytest.mark.parametrize(
    "named",
    [{}, {"site": "nobody's"}, {"site": 5}, {"site": ["demo"]}, {"k": "wrong"}, {"k": 5}, {"site": "demo", "k": ""},
     {"site": "other", "k": "pk"}, {"site": "nobody's", "k": "pk"}],
)  # fmt: skip
def test_no_site_or_two_is_no_event(named: dict[str, str]) -> None:
    found = read_direct(message(content=json.dumps({"event": "e", **named}).encode()), SITES, NOW_MS)
    assert isinstance(found, Dead)
    assert (found.reason, found.rejection.code, found.site) == (DeadReason.NOT_AN_EVENT, "unknown_key", "")


@given(st.binary(max_size=100) | st.dictionaries(st.text(max_size=8), st.integers() | st.text()).map(
    lambda fields: json.dumps({"site": "demo", "event": "e", **fields}).encode()
))  # fmt: skip
def test_whatever_is_written_is_a_row_or_a_reason(content: bytes) -> None:
    found = read_direct(message(content=content), SITES, NOW_MS)
    assert isinstance(found, (tuple, Dead))


class MemoryInbox:
    """A partition in memory; what was not committed comes again to whoever opens it anew."""

    def __init__(self, messages: Iterable[DirectMessage]) -> None:
        self.messages = list(messages)
        self.at = 0
        self.committed = 0
        self.dead_letters: list[DeadLetter] = []
        self.can_send_dead_letters = True
        self.fails: list[Exception] = []
        self.closed = False
        self.held = 0

    def fetch(self, count_max: int, wait_s: float) -> list[DirectMessage]:
        batch = self.messages[self.at : self.at + min(count_max, 10)]
        self.at += len(batch)
        return batch

    def pause(self, wait_s: float) -> None:
        self.held += 1

    def send_dead_letters(self, dead_letters: Iterable[DeadLetter]) -> bool:
        if self.can_send_dead_letters:
            self.dead_letters += dead_letters
        return self.can_send_dead_letters

    def commit(self, messages: Iterable[DirectMessage]) -> None:
        if self.fails:
            raise self.fails.pop()
        self.committed = max(one.origin.offset for one in messages) + 1

    def consumer_lag(self) -> int:
        return len(self.messages) - self.committed

    def close(self) -> None:
        self.closed = True


class Edge:
    """What the loop needs of an edge, and everything it does in one place."""

    def __init__(
        self, inbox: MemoryInbox, key: Callable[[], object] = lambda: KEY, events_max: int = 1_000
    ) -> None:
        self.sent = Sent()
        reloadable = SimpleNamespace(sites=SITES, newest_key=lambda _: key())
        self.packer = packer(self.sent)
        settings = EdgeSettings(waiting_events_max=events_max)
        self.intake = Intake(
            cast(ReloadableConfiguration, reloadable), self.packer, Counts(), settings, id_maker()
        )
        self.inbox = inbox
        self.direct = Direct(self.intake, lambda: inbox, bytes)

    def rows(self) -> list[str]:
        """Ids in the packs that were closed."""
        return [one for pack in self.sent.packs for one in open_pack(pack.message).batch.event_id]


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def test_a_batch_is_committed_when_its_pack_is_kept_and_not_before() -> None:
    async def journey() -> None:
        edge = Edge(MemoryInbox([message(0), message(1, GARBAGE), message(2)]))
        await until(lambda: edge.sent.packs)
        assert (edge.inbox.committed, edge.inbox.dead_letters) == (0, [])
        edge.sent.settle_all()
        await until(lambda: edge.inbox.committed)
        assert edge.rows() == ["topic-id.0.0", "topic-id.0.2"]
        assert [dead_letter.origin.offset for dead_letter in edge.inbox.dead_letters] == [1]
        assert edge.intake.counts.events["direct"] == 2
        assert edge.intake.counts.refused["invalid"] == 1
        assert (edge.inbox.committed, edge.direct.consumer_lag) == (3, 0)
        await edge.direct.stop()
        assert edge.inbox.closed

    run(journey)


def test_a_pack_nobody_could_keep_is_tried_again_and_reading_waits() -> None:
    async def journey() -> None:
        edge = Edge(MemoryInbox([message(n) for n in range(15)]))
        for _ in range(2):
            await until(lambda: edge.sent.settle)
            edge.sent.settle_all(kept=False)
        await until(lambda: edge.sent.settle)
        assert (edge.inbox.committed, edge.inbox.at) == (0, 10)
        assert edge.inbox.held >= 2
        edge.sent.settle_all()
        await until(lambda: edge.inbox.committed == 10)
        await until(lambda: edge.sent.settle)
        edge.sent.settle_all()
        await until(lambda: edge.inbox.committed == 15)
        await edge.direct.stop()

    run(journey)


def test_a_full_edge_takes_nothing_and_stops_in_order() -> None:
    async def journey() -> None:
        edge = Edge(MemoryInbox([message(0)]), events_max=0)
        await until(lambda: edge.inbox.held >= 2)
        async with asyncio.timeout(1):
            await edge.direct.stop()
        assert (edge.sent.packs, edge.inbox.committed, edge.inbox.closed) == ([], 0, True)

    run(journey)


def test_a_letter_that_is_not_buried_holds_the_commit_back() -> None:
    async def journey() -> None:
        edge = Edge(MemoryInbox([message(0, GARBAGE)]))
        edge.inbox.can_send_dead_letters = False
        await until(lambda: edge.inbox.held >= 2)
        assert (edge.inbox.committed, edge.intake.counts.refused) == (0, {})
        edge.inbox.can_send_dead_letters = True
        await until(lambda: edge.inbox.committed == 1)
        assert edge.intake.counts.refused == {"invalid": 1}
        await edge.direct.stop()

    run(journey)


def test_without_a_key_a_letter_waits_for_one() -> None:
    async def journey() -> None:
        keys: list[object] = []

        def key() -> object:
            if not keys:
                raise RingError("empty")
            return keys[0]

        edge = Edge(MemoryInbox([message(0, GARBAGE)]), key=key)
        await until(lambda: edge.inbox.held)
        assert edge.inbox.dead_letters == []
        keys.append(KEY)
        await until(lambda: edge.inbox.committed == 1)
        await edge.direct.stop()

    run(journey)


def test_after_something_unforeseen_the_same_batch_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.direct.endpoint.RESTART_S", 0.01)

    async def journey() -> None:
        edge = Edge(MemoryInbox([message(n) for n in range(20)]))
        edge.inbox.fails = [RuntimeError("a defect")]
        for committed in (10, 20):
            while edge.inbox.committed < committed:
                edge.sent.settle_all()
                await asyncio.sleep(0.002)
        assert edge.rows() == [f"topic-id.0.{n}" for n in (*range(10), *range(20))]
        assert edge.direct.is_running
        await edge.direct.stop()

    run(journey)


def test_a_message_that_defeats_the_program_is_a_dead_letter_and_not_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(one: DirectMessage, sites: Sites, now_ms: int) -> Row | Dead:
        if one.origin.offset == 1:
            raise ZeroDivisionError
        return read_direct(one, sites, now_ms)

    monkeypatch.setattr("ingest.direct.endpoint.read_direct", read)

    async def journey() -> None:
        edge = Edge(MemoryInbox([message(n) for n in range(3)]))
        await until(lambda: edge.sent.settle)
        edge.sent.settle_all()
        await until(lambda: edge.inbox.committed == 3)
        assert [dead_letter.origin.offset for dead_letter in edge.inbox.dead_letters] == [1]
        await edge.direct.stop()

    run(journey)
