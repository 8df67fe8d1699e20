"""A team with access to Kafka writes its events there; each is one row, whatever is killed, or one dead letter."""

from __future__ import annotations

import json
import os
import signal
import uuid
from pathlib import Path

from confluent_kafka import Producer

from schemas import topics
from schemas.direct import encode_direct_event
from tests.journeys.rows import row_of
from tests.platform import Platform, await_that
from tests.processes import edge_workers


def write(platform: Platform, messages: list[bytes]) -> None:
    """Messages on both partitions, acknowledged by the broker when this returns."""
    producer = Producer({"bootstrap.servers": bootstrap(platform), "enable.idempotence": True})
    for number, message in enumerate(messages):
        producer.produce(topics.DIRECT, message, partition=number % topics.PARTITIONS_DEFAULT)
    assert producer.flush(20) == 0


def bootstrap(platform: Platform) -> str:
    return f"127.0.0.1:{platform.env['FAIRPIXEL_KAFKA_PORT']}"


def as_json(**fields: object) -> bytes:
    return json.dumps({"site": "demo", "consent": "all", **fields}).encode()


def rows_named(platform: Platform, name: str) -> tuple[int, int]:
    """(rows, different ids) of an event name."""
    sql = f"SELECT count() AS n, uniqExact(event_id) AS ids FROM fairpixel.events WHERE name = '{name}'"
    (row,) = platform.query(sql)
    return int(row["n"]), int(row["ids"])


def test_json_and_avro_become_the_same_row_as_any_endpoint_makes(platform: Platform) -> None:
    ids = [uuid.uuid4().hex for _ in range(2)]
    write(
        platform,
        [
            as_json(event="purchase", id=ids[0], value=19.9, currency="EUR", user_id="customer-7"),
            encode_direct_event(
                {"site": "demo", "event": "purchase", "id": ids[1], "value": 19.9, "currency": "EUR",
                 "user_id": "customer-7", "consent": "all"}
            ),
        ],
    )  # fmt: skip
    first, second = (row_of(platform, event_id) for event_id in ids)
    assert (first["source"], first["trust"], first["basis"], first["is_bot"]) == (
        "direct", "secret", "consented", False,
    )  # fmt: skip
    assert first["user"] == second["user"] != ""
    assert "customer-7" not in json.dumps(first)
    for name in ("kind", "value", "currency", "source", "protocol"):
        assert first[name] == second[name]


def test_a_broken_message_waits_sealed_and_counts_once_when_it_is_mended(
    platform: Platform, tmp_path: Path
) -> None:
    name, before = f"direct_{uuid.uuid4().hex[:8]}", set(platform.dead_letter_offsets())
    write(
        platform,
        [as_json(event=name), as_json(event=name, value="much", user_id="customer-8"), as_json(event=name)],
    )
    ((partition, offset),) = await_that(
        lambda: set(platform.dead_letter_offsets()) - before, "the dead letter", 60
    )
    await_that(lambda: rows_named(platform, name) == (2, 2), "both neighbours", 30)
    listed = platform.run("replay").stdout
    assert topics.DIRECT in listed
    assert "customer-8" not in listed
    assert all(b"customer-8" not in dead_letter.value for dead_letter in platform.dead_letters())

    where = ("--partition", str(partition), "--offset", str(offset))
    assert "dead letter again" in platform.run("replay", *where, check=False).stderr
    mended = tmp_path / "mended.json"
    mended.write_bytes(as_json(event=name, value=5))
    for _ in range(2):
        platform.run("replay", *where, "--file", str(mended))
    await_that(lambda: rows_named(platform, name) == (3, 3), "the mended one", 30)
    platform.settle()
    assert rows_named(platform, name) == (3, 3)


def edge_pids(platform: Platform) -> list[int]:
    """The edge and its workers, once it takes hits."""
    await_that(lambda: platform.get(f"{platform.edge}/readyz"), "the edge is ready", 60)
    pid = platform.pid("ingest")
    workers = edge_workers(pid)
    assert workers
    return [pid, *workers]


def test_each_message_is_one_row_also_when_the_edge_is_killed(platform: Platform) -> None:
    name, count = f"direct_{uuid.uuid4().hex[:8]}", 10_000
    errors: list[object] = []
    write(platform, [as_json(event=name)])
    await_that(lambda: rows_named(platform, name)[0] == 1, "the edge reads", 60)
    pids = edge_pids(platform)
    producer = Producer({"bootstrap.servers": bootstrap(platform), "enable.idempotence": True})
    for n in range(1, count):
        message = as_json(event=name, properties={"n": n})
        producer.produce(
            topics.DIRECT, message, partition=n % 2, on_delivery=lambda error, _: errors.append(error)
        )
    while len(errors) < 3_000:  # the edge takes them as they come: the kill falls into the middle
        producer.poll(0.001)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert producer.flush(20) == 0
    assert {*errors} == {None}
    await_that(lambda: rows_named(platform, name)[1] >= count, "all rows", 90, every=0.5)
    platform.settle()
    assert rows_named(platform, name) == (count, count)
    assert platform.run("ledger").returncode == 0
