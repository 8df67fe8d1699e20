"""The rule of links where Kafka is asked: what is asked when, and the same verdict early and late."""

from __future__ import annotations

import pytest

from runtime.kafka import KafkaUnavailable
from schemas.bounds import SETTLE_S, Bounds, TooEarly
from schemas.links import Origin, Position, Verdict
from schemas.ring import Key
from schemas.seal import seal_pack
from tests.clean_heads import head_of_one
from tests.fakes import FakeClock, FakeRaw

T = 1_000_000
LAST = Position("raw-topic", 4, "w")


class World:
    """A raw topic whose messages 0 to 9 are old, and the rule over it."""

    def __init__(self) -> None:
        self.raw = FakeRaw(end=10)
        self.clock = FakeClock()
        self.bounds = Bounds(self.raw, 0, self.clock)
        self.bounds._ask_topic()
        self.raw.asked.clear()

    def judge(
        self, offset: int, time_ms: int = T, link: Position | None = LAST, pack_id: str = "", **origin: object
    ) -> Verdict:
        where = Origin("raw-topic", 0, offset)._replace(**origin)  # type: ignore[arg-type]
        return self.bounds.judge(link, head_of_one(where, "x", link, pack_id), time_ms, self.clock.now)

    def append(self, offset: int, time_ms: int, pack_id: str = "") -> None:
        self.raw.end = offset + 1
        self.raw.times[offset] = time_ms
        if pack_id:
            key = Key(0, bytes(16), bytes(32))
            self.raw.values[offset] = seal_pack(
                b"", key, pack_id=bytes.fromhex(pack_id), nonce=bytes(12), accepted=()
            )


def test_kafka_is_asked_once_for_many_packs() -> None:
    world = World()
    for offset in range(5, 10):
        assert world.judge(offset, link=LAST._replace(offset=offset - 1)) is Verdict.ACCEPTED
    assert world.raw.asked == ["ends"]


def test_what_kafka_cannot_tell_is_not_guessed() -> None:
    world = World()
    world.raw.away = 2
    for _ in range(2):
        with pytest.raises(KafkaUnavailable):
            world.judge(5)
    assert world.judge(5) is Verdict.ACCEPTED


def test_a_message_that_is_not_there_is_waited_for_and_then_refused() -> None:
    world = World()
    read_at = world.clock.now
    head = head_of_one(Origin("raw-topic", 0, 2**60), "x", LAST)
    with pytest.raises(TooEarly):
        world.bounds.judge(LAST, head, T, read_at)
    world.clock.sleep(SETTLE_S)
    assert world.bounds.judge(LAST, head, T, read_at) is Verdict.ORIGIN_AHEAD
    world.raw.asked.clear()
    assert world.bounds.judge(LAST, head, T, read_at) is Verdict.ORIGIN_AHEAD
    assert "ends" not in world.raw.asked, "many such packs that were read together cost one question"


def test_a_pack_written_before_its_message_is_refused_also_when_the_message_came_since() -> None:
    world = World()
    last = LAST._replace(offset=9)
    world.append(10, T + 1, pack_id="ab" * 16)
    assert world.judge(10, link=last, pack_id="cd" * 16) is Verdict.ORIGIN_AHEAD
    assert world.judge(10, link=last, pack_id="") is Verdict.ORIGIN_AHEAD


def test_a_true_pack_is_accepted_also_when_the_brokers_clock_went_back() -> None:
    world = World()
    last = LAST._replace(offset=9)
    world.append(10, T + 3_600_000, pack_id="ab" * 16)
    assert world.judge(10, link=last, pack_id="ab" * 16) is Verdict.ACCEPTED


def test_a_pack_may_pass_over_expired_messages_and_over_no_others() -> None:
    world = World()
    assert world.judge(7) is Verdict.ORIGIN_SKIPS
    world.raw.first = 7
    assert world.judge(7) is Verdict.ACCEPTED
    assert world.judge(8) is Verdict.ORIGIN_SKIPS


def test_a_topic_made_anew_is_noticed_before_anything_is_refused() -> None:
    world = World()
    world.raw.id, world.raw.end = "raw-2", 1
    assert world.judge(0, topic_id="raw-2") is Verdict.ACCEPTED
    world = World()
    assert world.judge(5) is Verdict.ACCEPTED
    world.raw.id, world.raw.end = "raw-2", 0
    world.clock.sleep(60)
    old = LAST._replace(offset=20)
    read_at = world.clock.now - SETTLE_S
    head = head_of_one(Origin("raw-topic", 0, 21), "x", old)
    assert world.bounds.judge(old, head, T, read_at) is Verdict.ACCEPTED, "what the old topic left behind"
