"""The Kafka topics: names, partitions, the settings that the promises rest on; and the names of programs there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RAW = "events.raw.v1"
CLEAN = "events.clean.v1"
DEAD = "events.dead.v1"
DIRECT = "events.direct.v1"

# Consumer groups. The readers never join theirs and commit nothing there: the client asks for a name.
DIRECT_GROUP = "fairpixel-direct"
STREAMS_GROUP = "fairpixel-streams"
STREAMS_READER = "fairpixel-streams-reader"
SINKS_GROUP = "fairpixel-sinks"
SINKS_READER = "fairpixel-reader"
ALERTS_READER = "fairpixel-alerts"
TAIL_READER = "fairpixel-tail"

HOUR_MS = 3_600_000
RAW_RETENTION_MS = 48 * HOUR_MS  # the spool's age limit is half of it
CLEAN_RETENTION_MS = 8 * 24 * HOUR_MS  # above the duplicate window, so a lost cache can be read again
DIRECT_RETENTION_MS = 48 * HOUR_MS  # clear text: no longer than an edge may be away
DEAD_RETENTION_MS = 8 * 24 * HOUR_MS  # as long as the keys are kept
PARTITIONS_DEFAULT = 2  # where no start has chosen by the cores: on another Kafka, and in older data folders
RAW_SIZE_MAX = 1_100_000  # bytes; a pack holds at most 900 kB of events before compression
CLEAN_SIZE_MAX = 4_000_000  # bytes
DIRECT_SIZE_MAX = 200_000  # bytes; one event, properties and all
DIRECT_RETENTION_BYTES = 2 * 1024**3  # of a partition: whoever may write here may not fill the disk
# Bytes; the broker's limit counts a producer's whole batch, by default 1 MB.
DIRECT_BATCH_SIZE_MAX = 1_100_000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it must stand on the broker."""

    name: str
    purpose: str
    partitions: int
    config: Mapping[str, str]
    newer: Mapping[str, str] = field(default_factory=dict)  # settings that brokers before 4.4 do not know


def all_topics(partitions: int = PARTITIONS_DEFAULT) -> tuple[Topic, ...]:
    """Every topic of the platform. LogAppendTime: windows go by the broker's clock, which has one owner."""
    broker_time = {"message.timestamp.type": "LogAppendTime"}
    return (
        Topic(
            RAW,
            "what the edge accepted: sealed packs of events",
            partitions,
            {**broker_time, "retention.ms": str(RAW_RETENTION_MS), "max.message.bytes": str(RAW_SIZE_MAX)},
            inflated_at_most(RAW_SIZE_MAX),
        ),
        Topic(
            CLEAN,
            "what may be kept: a clean pack for each run of raw packs, linked to the one before",
            partitions,
            {
                **broker_time,
                "retention.ms": str(CLEAN_RETENTION_MS),
                "max.message.bytes": str(CLEAN_SIZE_MAX),
            },
            inflated_at_most(CLEAN_SIZE_MAX),
        ),
        Topic(
            DEAD,
            "messages nobody could read, as they came",
            partitions,
            {
                **broker_time,
                "retention.ms": str(DEAD_RETENTION_MS),
                "max.message.bytes": str(CLEAN_SIZE_MAX + 1_000),
            },
            inflated_at_most(CLEAN_SIZE_MAX + 1_000),
        ),
        Topic(
            DIRECT,
            "events that producers write themselves, one a message, Avro or JSON, in clear text",
            partitions,
            {
                **broker_time,
                "retention.ms": str(DIRECT_RETENTION_MS),
                "max.message.bytes": str(DIRECT_BATCH_SIZE_MAX),
                "retention.bytes": str(DIRECT_RETENTION_BYTES),
            },
            inflated_at_most(DIRECT_BATCH_SIZE_MAX),
        ),
    )


def user_name(program: str) -> str:
    """The Kafka user of a program."""
    return f"fairpixel-{program}"


def inflated_at_most(size_max: int) -> dict[str, str]:
    """No message is larger once it is unpacked; `max.message.bytes` counts what the producer has compressed."""
    return {"max.decompressed.message.bytes": str(size_max)}
