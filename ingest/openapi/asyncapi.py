"""The AsyncAPI 3.0 document of the Kafka topics, from `topics` and the Avro files; the edge serves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.avro_codec import load_schema
from schemas.drops import DEAD_REASON_MEANING
from schemas.topics import CLEAN, DEAD, DIRECT, RAW, Topic, all_topics

Part = dict[str, Any]

AVRO = "application/vnd.apache.avro+json;version=1.9.0"
CODEC = "Avro single-object encoding: two marker bytes, the schema's CRC-64-AVRO fingerprint, the record."
WRITERS: Mapping[str, tuple[str, ...]] = {
    RAW: ("edge",),
    CLEAN: ("streams",),
    DEAD: ("edge", "streams", "sinks"),
    DIRECT: ("producers",),
}
READERS: Mapping[str, tuple[str, ...]] = {RAW: ("streams",), CLEAN: ("streams", "sinks"), DIRECT: ("edge",)}


def build_asyncapi() -> Part:
    """The whole document."""
    topics = all_topics()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Fairpixel topics",
            "version": "1.0.0",
            "description": "What stands in Kafka between the edge, streams and sinks. Times in a message are ms since "
            "1970; the broker's own (LogAppendTime) decides windows.",
        },
        "defaultContentType": "application/octet-stream",
        "servers": {
            "kafka": {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "the embedded broker; FAIRPIXEL_KAFKA_BOOTSTRAP names another",
            }
        },
        "channels": {topic.name: _channel(topic) for topic in topics},
        "operations": {
            f"{program}.{action}.{topic.name}": _operation(topic, action, program)
            for topic in topics
            for action, programs in (("send", WRITERS), ("receive", READERS))
            for program in programs.get(topic.name, ())
        },
        "components": {"messages": _messages(topics)},
    }


def _channel(topic: Topic) -> Part:
    name = _message_of(topic)
    return {
        "address": topic.name,
        "description": topic.purpose,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    name: int(value)
                    for name, value in topic.config.items()
                    if name in ("retention.ms", "max.message.bytes")
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operation(topic: Topic, action: str, program: str) -> Part:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": f"{program} {'writes' if action == 'send' else 'reads'} {topic.purpose}",
    }


def _message_of(topic: Topic) -> str:
    known = {RAW: "RawPack", CLEAN: "CleanPack", DEAD: "DeadLetter", DIRECT: "DirectEvent"}
    return known.get(topic.name, topic.name)


def _messages(topics: tuple[Topic, ...]) -> Part:
    known = {
        "RawPack": {
            "title": "a sealed pack of events",
            "contentType": "avro/binary",
            "description": f"{CODEC} `sealed` is AES-256-GCM over the record raw_pack.v3 (older edges: raw_pack.v2 "
            "or v1), zstd-compressed above 2 kB, under the key that key_id names; all before it is authenticated.",
            "payload": _avro("raw_envelope.v1"),
            "x-sealed": _avro("raw_pack.v3"),
        },
        "CleanPack": {
            "title": "what may be kept of a run of raw packs",
            "contentType": "avro/binary",
            "description": f"{CODEC} Accepted is a pack whose link is the last accepted one; readers ignore the rest.",
            "payload": _avro("clean_pack.v2"),
        },
        "DeadLetter": {
            "title": "a message nobody could read, as it came",
            "description": "Still sealed where it was, so it can be replayed. One larger than 4,000,000 bytes is left "
            "out: its dead letter is empty and names its SHA-256 and its size.",
            "headers": {
                "type": "object",
                "required": ["reason", "topic", "topic_id", "partition", "offset"],
                "properties": {
                    "reason": {"enum": [str(reason) for reason in DEAD_REASON_MEANING]},
                    "topic": {"type": "string", "description": "the topic it was read from"},
                    "topic_id": {"type": "string"},
                    "partition": {"type": "string", "pattern": "^[0-9]+$"},
                    "offset": {"type": "string", "pattern": "^[0-9]+$"},
                    "left_out_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                    "left_out_size": {"type": "string", "pattern": "^[0-9]+$"},
                },
            },
            "payload": {"type": "string", "contentEncoding": "binary"},
        },
        "DirectEvent": {
            "title": "one event of a producer that may write to the topic",
            "contentType": "avro/binary",
            "description": f"{CODEC} Or JSON: the event of POST /v1/events with `site`, a site's name, beside it.",
            "payload": _avro("direct_event.v1"),
        },
    }
    others = {
        _message_of(topic): {
            "title": topic.purpose,
            "description": "Rows as JSON objects or Avro records, one an event.",
            "payload": {},
        }
        for topic in topics
        if _message_of(topic) not in known
    }
    return {**known, **others}


def _avro(name: str) -> Part:
    return {"schemaFormat": AVRO, "schema": load_schema(name).declared}
