"""Edge and streams as the loader sees them, and what a neighbour on Kafka can write beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Producer

from runtime.kafka_access import KafkaAccess
from schemas.clean_pack import CleanPack, encode_clean_pack
from schemas.links import Origin
from schemas.ring import Key
from schemas.seal import Accepted, seal_pack
from schemas.topics import RAW
from sinks.loader.kafka.log_reader import find_topic_id
from tests.clean_heads import head_of_one
from tests.sinks.packs import NOW_MS, Chain
from tests.sinks.stage import Stage, publish


@dataclass
class Platform:
    """Edge and streams as far as the loader sees them: raw messages, and a clean pack for each."""

    stage: Stage
    chain: Chain = field(init=False)

    def __post_init__(self) -> None:
        topic_id = find_topic_id(KafkaAccess(self.stage.bootstrap), RAW)
        self.chain = Chain(topic_id=topic_id)

    def work(self, count: int, rows: int = 2) -> None:
        """So many raw messages arrive, and each is decided."""
        ids = [f"{self.chain.offset + number + 1:032x}" for number in range(count)]
        write(self.stage.bootstrap, RAW, [envelope(one, rows) for one in ids])
        publish(self.stage.bootstrap, [self.chain.pack(rows, pack_id=one) for one in ids])

    def forge(self, offset: int, topic_id: str = "", partition: int = 0) -> None:
        """A clean pack that continues the log, by somebody else."""
        origin = Origin(topic_id or self.chain.topic_id, partition, offset)
        head = head_of_one(origin, "forger", self.chain.last, pack_id="ee" * 16)
        publish(self.stage.bootstrap, [encode_clean_pack(CleanPack(head))])

    @property
    def rows(self) -> int:
        return len(self.chain.event_ids)


def envelope(pack_id: str, events: int = 2) -> bytes:
    key, accepted = Key(0, bytes(16), bytes(32)), [Accepted(NOW_MS // 60_000 * 60, "demo", events)]
    return seal_pack(b"body", key, pack_id=bytes.fromhex(pack_id), nonce=bytes(12), accepted=accepted)


def write(bootstrap: str, topic: str, values: list[bytes], **config: Any) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, **config})
    failed: list[str] = []
    for value in values:
        producer.produce(
            topic, value, partition=0, on_delivery=lambda e, _: failed.append(str(e)) if e else None
        )
    assert producer.flush(60) == 0
    assert not failed
