"""Messages of `events.direct.v1`: what a producer with access to Kafka writes, one event a message.

Avro (single-object encoding of direct_event.v1) or JSON: the event of `POST /v1/events` with `site` beside it, or `k`,
a key of the site. Whoever may write to the topic is trusted as a backend is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from schemas.avro_codec import MARKER, PackError, encode, find_schema, load_schema, read_record
from schemas.dead_letter import DeadLetter
from schemas.drops import DeadReason
from schemas.links import Origin
from schemas.ring import Key, Ring
from schemas.seal import open_seal, read_envelope, seal_pack
from schemas.topics import DIRECT, DIRECT_BATCH_SIZE_MAX, DIRECT_SIZE_MAX

DIRECT_EVENT = load_schema("direct_event.v1")
DIRECT_VERSIONS = {DIRECT_EVENT.header: DIRECT_EVENT}
ORIGIN_HEADER = "fairpixel-origin"  # of a replayed message: where it lay first, so that its id stays the same
_SEAL_BYTES_MAX = 1_000  # what a seal adds: ids, nonce, tag, and what zstd adds to what does not compress
_BOM = b"\xef\xbb\xbf"  # may stand before JSON (RFC 8259, section 8.1)
_CONTEXT = ("ip", "user_agent", "language")


def encode_direct_event(fields: Mapping[str, Any]) -> bytes:
    """A message in Avro; fields that are missing get their defaults. Raises ValueError where one does not fit."""
    return encode(DIRECT_EVENT, dict(fields))


def decode_direct_event(value: bytes) -> dict[str, Any]:
    """The event as `POST /v1/events` has it, with `site` or `k`. Raises PackError."""
    if len(value) > DIRECT_SIZE_MAX:
        raise PackError(DeadReason.NOT_AN_EVENT, f"larger than {DIRECT_SIZE_MAX:,} bytes")
    if value[:2] == MARKER:
        return _decode_avro(value)
    try:
        item = orjson.loads(value.removeprefix(_BOM))
    except orjson.JSONDecodeError:
        raise PackError(DeadReason.NOT_AN_EVENT, "neither Avro's marker nor JSON") from None
    if not isinstance(item, dict):
        raise PackError(DeadReason.NOT_AN_EVENT, "not a JSON object")
    return item


def direct_id(origin: Origin) -> str:
    """The id of an event whose producer gave none: the same however often the message is read."""
    return f"{origin.topic_id}.{origin.partition}.{origin.offset}"


def encode_origin(origin: Origin) -> bytes:
    """The value of ORIGIN_HEADER."""
    return direct_id(origin).encode()


def read_origin(headers: Iterable[tuple[str, bytes]], here: Origin) -> Origin:
    """Where a message lay first: what ORIGIN_HEADER says, else here."""
    for name, value in headers:
        if name == ORIGIN_HEADER and value:
            topic_id, _, rest = value.decode("utf-8", "replace").partition(".")
            partition, _, offset = rest.partition(".")
            if partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit():
                return Origin(topic_id, int(partition), int(offset))
    return here


def seal_dead_letter(
    reason: DeadReason, origin: Origin, value: bytes, key: Key, pack_id: bytes, nonce: bytes
) -> DeadLetter:
    """A dead letter of a direct message: sealed first, as it came in clear text and may name a person.

    One that only its producer's compression brought past the broker is left out, as in DeadLetter.shortened.
    pack_id and nonce: 16 and 12 random bytes.
    """
    if len(value) > DIRECT_BATCH_SIZE_MAX:
        return DeadLetter(reason, DIRECT, origin, value).shortened(DIRECT_BATCH_SIZE_MAX)
    return DeadLetter(
        reason, DIRECT, origin, seal_pack(value, key, pack_id=pack_id, nonce=nonce, accepted=())
    )


def open_dead_letter(dead_letter: DeadLetter, ring: Ring) -> bytes:
    """The direct message as it came. Raises PackError."""
    return open_seal(read_envelope(dead_letter.value, DIRECT_BATCH_SIZE_MAX + _SEAL_BYTES_MAX), ring)


def _decode_avro(value: bytes) -> dict[str, Any]:
    record, end = read_record(value, find_schema(value, DIRECT_VERSIONS), DIRECT_EVENT)
    if end != len(value):
        raise PackError(DeadReason.UNREADABLE, "bytes behind the event")
    item = {name: value for name, value in record.items() if value not in ("", 0, None) or name == "value"}
    if item["value"] is None:
        del item["value"]
    context = {name: item.pop(name) for name in _CONTEXT if name in item}
    if context:
        item["context"] = context
    if properties := item.get("properties"):
        try:
            item["properties"] = orjson.loads(properties)
        except orjson.JSONDecodeError:
            raise PackError(DeadReason.NOT_AN_EVENT, "properties are no JSON") from None
    return item
