"""Somebody beside us who may write to Kafka: forged clean packs, moved offsets, messages too large to handle.

Rows 4, 5 and 6 of the table of attacks, against the real Kafka and ClickHouse and the loader's own program.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from runtime.kafka_access import KafkaAccess
from schemas.clean_pack import CleanPack, encode_clean_pack
from schemas.drops import DeadReason
from schemas.links import Origin, Position
from schemas.topics import CLEAN, RAW
from sinks.loader.block import Checkpoint
from sinks.loader.kafka.log_reader import find_topic_id
from tests.attacks.neighbours import Platform, envelope, write
from tests.clean_heads import head_of_one
from tests.processes import await_that
from tests.sinks.stage import Stage, publish

FAR = 2**60


@pytest.fixture
def platform(stage: Stage) -> Platform:
    return Platform(stage)


def metrics(stage: Stage) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{stage.ports[-1]}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def await_unhealthy(stage: Stage, reason: str) -> None:
    await_that(
        lambda: stage.health()["status"] == "unhealthy", 30, "the loader says that something was refused"
    )
    assert reason in stage.health()["detail"]
    assert f'fairpixel_sinks_refused_total{{reason="{reason}"}} 1.0' in metrics(stage)
    assert "who else may" in (stage.folder / "sinks.log").read_text()


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ({"offset": FAR}, "origin_ahead"),
        ({"offset": 5}, "origin_ahead"),
        ({"offset": 6}, "origin_ahead"),
        ({"offset": -1}, "origin_elsewhere"),
        ({"offset": 5, "partition": 1}, "origin_elsewhere"),
        ({"offset": FAR, "topic_id": "another"}, "origin_elsewhere"),
    ],
    ids=str,
)
def test_a_forged_clean_pack_loses_nothing_and_is_named(
    platform: Platform, origin: dict[str, Any], reason: str
) -> None:
    stage = platform.stage
    platform.work(5)
    loader = stage.start()
    stage.await_rows(platform.rows)
    platform.forge(**origin)
    await_unhealthy(stage, reason)
    platform.work(5)
    stage.await_rows(platform.rows)
    loader.kill()
    loader.wait()
    platform.forge(**{**origin, "offset": 10 if origin["offset"] in (5, 6) else origin["offset"]})
    platform.work(5)
    stage.start()
    stage.await_rows(platform.rows)
    stage.check(platform.chain)


def test_a_forged_pack_that_passes_over_waiting_messages_loses_none(platform: Platform) -> None:
    stage = platform.stage
    platform.work(5)
    stage.start()
    stage.await_rows(platform.rows)
    ids = [f"{number + 100:032x}" for number in range(5)]
    write(stage.bootstrap, RAW, [envelope(one) for one in ids])
    platform.forge(9)
    await_unhealthy(stage, "origin_skips")
    publish(stage.bootstrap, [platform.chain.pack(2, pack_id=one) for one in ids])
    stage.await_rows(platform.rows)
    stage.check(platform.chain)


def test_a_pack_forged_in_the_place_of_another_is_named_by_the_ledger(platform: Platform) -> None:
    """Whoever may write both topics' worth of lies in time is not refused, and does not stay unseen."""
    stage = platform.stage
    platform.work(3)
    lost = "ab" * 16
    write(stage.bootstrap, RAW, [envelope(lost, events=7)])
    publish(stage.bootstrap, [platform.chain.pack(2, pack_id="cd" * 16)])
    platform.work(3)
    stage.start()
    stage.await_rows(platform.rows)
    told = stage.run("ledger", "--json")
    assert told.returncode == 1, told.stderr
    assert json.loads(told.stdout)["sealed"] == [
        {"partition": 0, "offset": 3, "pack_id": lost, "sealed": 7, "arrived": 0},
        {"partition": 0, "offset": 3, "pack_id": "cd" * 16, "sealed": 0, "arrived": 2},
    ]
    assert f"pack {lost} at raw partition 0 offset 3: an edge sealed 7 events" in stage.run("ledger").stdout


def test_thousands_of_forged_packs_delay_the_true_ones_by_moments(platform: Platform) -> None:
    stage = platform.stage
    platform.work(5)
    head = head_of_one(Origin(platform.chain.topic_id, 0, FAR), "forger", platform.chain.last)
    publish(stage.bootstrap, [encode_clean_pack(CleanPack(head))] * 5_000)
    platform.work(5)
    stage.start()
    stage.await_rows(platform.rows, within_s=30)
    stage.check(platform.chain)


def commit(stage: Stage, offset: int, checkpoint: str) -> None:
    """As a member of the loader's group, once it is empty."""
    consumer = Consumer({"bootstrap.servers": stage.bootstrap, "group.id": stage.group, "log_level": 0})

    def moved() -> bool:
        try:
            consumer.commit(
                offsets=[TopicPartition(CLEAN, 0, offset, metadata=checkpoint)], asynchronous=False
            )
        except Exception:  # the dead member is still counted
            return False
        return True

    await_that(moved, 30, "the offset is moved")
    consumer.close()


@pytest.mark.parametrize(
    ("offset", "checkpoint", "reason"),
    [
        (10**9, "{last}", "offset_beyond_end"),
        (10**9, "", "offset_beyond_end"),
        (10, "nothing of ours", "checkpoint_not_ours"),
        (0, "{first}", "checkpoint_contradicts"),
        (3, "{last}", "offset_moved"),
        (10, "{last}", "offset_moved"),
        (5, "{forged}", "checkpoint_contradicts"),
        (5, "{far}", "checkpoint_impossible"),
    ],
    ids=str,
)
def test_a_moved_offset_is_refused_and_positions_followed(
    platform: Platform, offset: int, checkpoint: str, reason: str
) -> None:
    stage = platform.stage
    platform.work(5)
    last = platform.chain.last
    loader = stage.start()
    stage.await_rows(platform.rows)
    loader.kill()
    loader.wait()
    platform.work(5)
    topic_id = find_topic_id(KafkaAccess(stage.bootstrap), CLEAN)
    checkpoints = {
        "{last}": Checkpoint(topic_id, last).encode(),
        "{first}": Checkpoint(topic_id, None).encode(),
        "{forged}": Checkpoint(topic_id, Position(platform.chain.topic_id, 4, "nobody")).encode(),
        "{far}": Checkpoint(topic_id, last, end=10**9).encode(),
    }
    commit(stage, offset, checkpoints.get(checkpoint, checkpoint))
    stage.start()
    stage.await_rows(platform.rows)
    await_unhealthy(stage, reason)
    platform.work(2)
    stage.await_rows(platform.rows)
    stage.check(platform.chain)


def test_a_message_of_60_mb_of_one_letter_leaves_a_stub_and_its_neighbours_load(platform: Platform) -> None:
    stage = platform.stage
    platform.work(3)
    admin = AdminClient({"bootstrap.servers": stage.bootstrap})
    limit = ConfigEntry(  # as on brokers before 4.4, which do not know it
        "max.decompressed.message.bytes", str(2_000_000_000), incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ConfigResource.Type.TOPIC, CLEAN, incremental_configs=[limit])
    admin.incremental_alter_configs([resource])[resource].result(20)
    bomb = {"message.max.bytes": 100_000_000, "compression.type": "zstd"}
    write(stage.bootstrap, CLEAN, [b"a" * 60_000_000], **bomb)
    write(stage.bootstrap, CLEAN, [b"\xc3\x01" + b"a" * 30_000_000], **bomb)
    platform.work(3)
    stage.start()
    stage.await_rows(platform.rows)
    await_that(lambda: len(stage.dead_letters()) == 2, 30, "both are put aside")
    stubs = {one.origin.offset: one for one in stage.dead_letters()}
    assert [(one.reason, one.value) for _, one in sorted(stubs.items())] == [
        (DeadReason.NOT_A_PACK, b""),
        (DeadReason.UNKNOWN_SCHEMA, b""),
    ]
    assert [one.left_out.size for _, one in sorted(stubs.items()) if one.left_out] == [60_000_000, 30_000_002]
    stage.check(platform.chain)
    assert json.loads(json.dumps(stage.health()))["status"] == "ok"
