"""The envelope of a raw pack, and what opens its seal: a changed byte is a PackError."""

from __future__ import annotations

from schemas.avro_codec import PackError
from schemas.seal import ENVELOPE, Accepted, open_seal, read_envelope, seal_pack
from tests.fuzz.avro import HOSTILE_NUMBERS
from tests.ingest.builders import KEY, RING

LENGTH_MAX = 4_000
_BODY = b"a body of a pack " * 200
_SEALED = tuple(
    seal_pack(body, KEY, pack_id=b"p" * 16, nonce=b"n" * 12, accepted=[Accepted(60, "demo", 3)])
    for body in (b"", _BODY)
)
SEEDS = (*(one[10:] for one in _SEALED), b"")
WORDS = (*HOSTILE_NUMBERS, b"zstd", b"none", KEY.key_id)


def fuzz(data: bytes) -> None:
    """A message behind its ten bytes."""
    message = ENVELOPE.header + data
    try:
        envelope = read_envelope(message)
        open_seal(envelope, RING)
    except PackError:
        return
    assert message in _SEALED, "what nobody sealed was opened"
