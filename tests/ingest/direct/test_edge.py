"""Producers that write to `events.direct.v1` themselves: a real broker, a real edge, and what stands in the topics."""

from __future__ import annotations

import json
import time
import uuid

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from runtime.keyring import read_ring
from schemas.dead_letter import DeadLetter
from schemas.direct import encode_direct_event, open_dead_letter
from schemas.event import Event, Flag
from schemas.topics import DIRECT, DIRECT_GROUP, PARTITIONS_DEFAULT
from tests.ingest.direct.topic import as_json, dead_letters, write
from tests.ingest.edges import Edge, StartEdge, ends
from tests.processes import await_that


@pytest.fixture(scope="module")
def edge(kafka: str, start_edge: StartEdge) -> Edge:
    """The only edge of this broker meanwhile: edges share the messages. What other tests wrote is not read again."""
    pass_over_all(kafka)
    return start_edge()


def pass_over_all(bootstrap: str) -> None:
    """The edges' group begins behind the messages there are, once an edge that another test killed is out of it."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": DIRECT_GROUP, "log_level": 0})
    places = [TopicPartition(DIRECT, partition) for partition in range(PARTITIONS_DEFAULT)]
    for place in places:
        place.offset = consumer.get_watermark_offsets(place, timeout=10)[1]

    def is_committed() -> bool:
        try:
            consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_MEMBER_ID:  # the group has members still
                raise
            return False
        return True

    await_that(is_committed, 30, "the group of the edges has no members")
    consumer.close()


def await_events(edge: Edge, start: list[TopicPartition], count: int) -> list[Event]:
    """The direct events of the raw topic since `start`, once there are so many."""
    await_that(lambda: len(direct(edge, start)) >= count, 20, f"{count} direct events are in the raw topic")
    return direct(edge, start)


def direct(edge: Edge, start: list[TopicPartition]) -> list[Event]:
    return [event for event in edge.events(start, direct=True) if event.source == "direct"]


def test_json_and_avro_become_rows_with_the_time_of_the_broker(edge: Edge) -> None:
    start, ids = ends(edge.bootstrap), [uuid.uuid4().hex for _ in range(2)]
    write(
        edge.bootstrap,
        as_json(event="purchase", id=ids[0], value=19.9, currency="EUR", consent="all", properties={"a": 1}),
        encode_direct_event(
            {"site": "demo", "event": "purchase", "id": ids[1], "value": "19.90", "currency": "EUR", "consent": "all",
             "properties": '{"a":1}'}
        ),
        as_json(event="page_view"),
        partition=1,
    )  # fmt: skip
    events = await_events(edge, start, 3)
    by_id = {event.event_id: event for event in events}
    assert by_id[ids[0]].value_e4 == by_id[ids[1]].value_e4 == 199_000
    assert by_id[ids[0]].properties == by_id[ids[1]].properties == '{"a":1}'
    (made,) = [event for event in events if event.event_id not in ids]
    topic_id, partition, offset = made.event_id.split(".")
    assert (len(topic_id), partition, made.flags) == (22, "1", int(Flag.ID_GENERATED))
    assert offset.isdigit()
    for event in events:
        assert (event.site, event.trust, event.protocol, event.occurred_at) == ("demo", "secret", "native", 0)
        assert abs(event.received_at - time.time() * 1000) < 20_000


def test_a_broken_message_is_a_sealed_dead_letter_and_its_neighbours_are_rows(edge: Edge) -> None:
    start, before = ends(edge.bootstrap), {dead_letter.origin for dead_letter in dead_letters(edge.bootstrap)}
    broken = [
        b"\x00garbage of jane@shop.example",
        as_json(event="page_view", value="much"),
        json.dumps({"event": "page_view", "site": "nobody's"}).encode(),
        b"\xc3\x01" + bytes(8),
    ]
    good = [as_json(event="page_view", id=uuid.uuid4().hex) for _ in range(2)]
    write(edge.bootstrap, good[0], *broken, good[1])
    assert len(await_events(edge, start, 2)) == 2

    def new() -> list[DeadLetter]:
        return [
            dead_letter for dead_letter in dead_letters(edge.bootstrap) if dead_letter.origin not in before
        ]

    await_that(lambda: len(new()) >= len(broken), 20, "four dead letters are written")
    written = new()
    ring = read_ring(edge.keys)
    assert [
        open_dead_letter(dead_letter, ring)
        for dead_letter in sorted(written, key=lambda one: one.origin.offset)
    ] == broken
    assert sorted(dead_letter.reason for dead_letter in written) == [
        "not_an_event", "not_an_event", "not_an_event", "unknown_schema",
    ]  # fmt: skip
    assert all(b"jane" not in dead_letter.value for dead_letter in written)


def test_what_was_committed_does_not_come_again_after_a_stop(edge: Edge) -> None:
    start, event_id = ends(edge.bootstrap), uuid.uuid4().hex
    write(edge.bootstrap, as_json(event="page_view", id=event_id))
    await_events(edge, start, 1)
    edge.stop()
    edge.start()
    write(edge.bootstrap, as_json(event="page_view", id=f"{event_id}-2"))
    await_events(edge, start, 2)
    assert sorted(event.event_id for event in direct(edge, start)) == [event_id, f"{event_id}-2"]
