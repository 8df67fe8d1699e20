"""`fairpixel tail`: events as they come out of streams, one line each."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from runtime.kafka_access import KafkaAccess
    from schemas.links import Position


def run(
    site: Annotated[str, typer.Option("--site", help="one site; all by default")] = "",
    count: Annotated[int, typer.Option("--count", min=0, help="end after so many events; 0: never")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print each event as a JSON line")] = False,
) -> None:
    """Print what may be kept, as it comes: the clean events, and nothing of a person beyond them. Ctrl-C ends it."""
    from deploy.local import Platform
    from runtime.kafka_access import operator_access

    kafka = operator_access(Platform.from_env(os.environ).settings)
    shown = 0
    for event in follow(kafka):
        if site and event.get("site") != site:
            continue
        print(json.dumps(event) if as_json else describe(event), flush=True)
        shown += 1
        if count and shown >= count:
            return


def describe(event: dict[str, Any]) -> str:
    """One line a person can read."""
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(event["received_at"] / 1_000, UTC).strftime("%H:%M:%S")
    parts = [moment, event["site"], event["name"], event["event_id"], event.get("basis", "")]
    where = event.get("host", "") + event.get("path", "")
    if event.get("value_e4"):
        parts.append(f"{event['value_e4'] / 10_000:.2f} {event.get('currency', '')}".strip())
    return "  ".join([*parts, where, "bot" if event.get("is_bot") else ""]).rstrip()


def follow(kafka: KafkaAccess) -> Iterator[dict[str, Any]]:
    """Events of accepted packs written from now on, each a dict without empty fields. Raises UserError."""
    from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

    from runtime.errors import UserError
    from schemas.topics import CLEAN, TAIL_READER

    config: dict[str, Any] = {
        **kafka.client(),
        "group.id": TAIL_READER,
        "enable.auto.commit": False,
        "fetch.message.max.bytes": 4_200_000,
        "log_level": 0,
    }
    try:
        consumer = Consumer(config)
    except KafkaException as error:
        raise UserError(
            f"No client of Kafka can be made: {error.args[0].str()}.", "Check FAIRPIXEL_KAFKA_*."
        ) from None
    try:
        found = consumer.list_topics(CLEAN, timeout=5).topics[CLEAN].partitions
        consumer.assign([TopicPartition(CLEAN, partition, OFFSET_END) for partition in found])
        print("waiting for events; Ctrl-C ends", file=sys.stderr)
        last: dict[int, Position | None] = {}
        while True:
            message = consumer.poll(0.5)
            if message is None or message.error() is not None:
                continue
            yield from read_events(message.value() or b"", message.partition() or 0, last)
    except KafkaException as error:
        consumer.poll(0)  # says so where the login is refused
        raise UserError(
            f"Kafka does not answer at {kafka.bootstrap}: {error.args[0].name()}.", "See: fairpixel status"
        ) from None
    finally:
        consumer.close()


def read_events(value: bytes, partition: int, last: dict[int, Position | None]) -> list[dict[str, Any]]:
    """The events of a clean pack when it is accepted; `last` remembers what was, a partition each.

    The first pack of a partition is taken as it is: what lay before it was not read.
    """
    from schemas.avro_codec import PackError
    from schemas.clean_pack import decode_clean_pack
    from schemas.links import is_accepted

    try:
        pack = decode_clean_pack(value)
    except PackError:
        return []
    if partition in last and not is_accepted(last[partition], pack.head.as_link):
        return []
    last[partition] = pack.head.this
    columns = {name: column for name, column in pack.columns.items() if column}
    return [
        {name: column[at] for name, column in columns.items() if column[at]}
        | {
            "site": columns["site"][at],
            "name": columns["name"][at],
            "received_at": columns["received_at"][at],
        }
        for at in range(pack.count)
    ]
