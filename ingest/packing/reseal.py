"""A spooled pack sealed anew, so that it stays readable for as long as Kafka and the dead letters may keep it."""

from __future__ import annotations

from schemas.avro_codec import PackError
from schemas.ring import DAY_MS, Ring
from schemas.seal import NONCE_BYTES, open_seal, read_envelope, seal_pack

# A key lives 12 days: 1 in use, 1 in the spool, 2 in the raw topic, 8 in a dead letter (schemas/ring.py). A pack that
# leaves the spool later than its key's second day would outlive the key.
KEY_AGE_MS_MAX = 2 * DAY_MS


def reseal(message: bytes, ring: Ring, now_ms: int, nonce: bytes) -> bytes:
    """The same pack under the newest key where its own has aged, else the message itself.

    A pack whose key is gone stays as it is: streams makes a dead letter of it, so it is counted.
    nonce: 12 random bytes.
    """
    assert len(nonce) == NONCE_BYTES
    try:
        envelope = read_envelope(message)
        key = ring.by_id.get(envelope.key_id)
        newest = ring.newest(now_ms)
        if key is None or key == newest or now_ms - key.not_before <= KEY_AGE_MS_MAX:
            return message
        body = open_seal(envelope, ring)
    except PackError:
        return message
    return seal_pack(body, newest, pack_id=envelope.pack_id, nonce=nonce, accepted=envelope.accepted)
