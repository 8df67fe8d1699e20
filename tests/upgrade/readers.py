"""Reads a message of each topic to all that it says, as JSON: today's code, whatever version wrote it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from schemas.avro_codec import PackError
from schemas.clean_pack import decode_clean_pack
from schemas.dead_letter import DeadLetter
from schemas.direct import decode_direct_event, open_dead_letter
from schemas.pack import decode_raw_pack
from schemas.ring import Ring
from schemas.seal import open_seal, read_envelope
from schemas.topics import CLEAN, DEAD, DIRECT, RAW


def plain(value: object) -> Any:
    """Anything as JSON can say it; bytes as hex digits."""
    return json.loads(json.dumps(value, default=lambda one: one.hex()))


def _read_raw(value: bytes, headers: Headers, ring: Ring) -> Any:
    envelope = read_envelope(value)
    pack = decode_raw_pack(open_seal(envelope, ring))
    return {
        "edge": pack.edge,
        "accepted": [asdict(one) for one in envelope.accepted],
        "events": [asdict(one) for one in pack.batch.to_events()],
        "refusals": [asdict(one) for one in pack.refusals],
    }


def _read_clean(value: bytes, headers: Headers, ring: Ring) -> Any:
    read = asdict(decode_clean_pack(value))
    if len(read["head"]["answers"]) == 1:  # as a pack of one answer was read before there were runs
        [answer] = read["head"].pop("answers")
        read["head"] |= answer._asdict()
    return read


def _read_dead(value: bytes, headers: Headers, ring: Ring) -> Any:
    dead_letter = DeadLetter.from_message(value, [(name, text.encode()) for name, text in headers.items()])
    return asdict(dead_letter) | {
        "value": open_dead_letter(dead_letter, ring) if dead_letter.topic == DIRECT else dead_letter.value
    }


def _read_direct(value: bytes, headers: Headers, ring: Ring) -> Any:
    try:
        return decode_direct_event(value)
    except PackError as error:
        return str(error.reason)


Headers = dict[str, str]
READERS: dict[str, Callable[[bytes, Headers, Ring], Any]] = {
    RAW: _read_raw, CLEAN: _read_clean, DEAD: _read_dead, DIRECT: _read_direct,
}  # fmt: skip
