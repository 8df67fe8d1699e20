"""A sealed pack opens with its key, and with nothing else, and shows outside the seal only what it must."""

from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro_codec import PackError
from schemas.drops import DeadReason
from schemas.event import Event, EventBatch
from schemas.pack import decode_raw_pack, encode_raw_pack
from schemas.ring import DAY_MS, KEY_LIFETIME_DAYS, Key, Ring, RingError
from schemas.seal import COMPRESS_ABOVE, Accepted, open_seal, read_envelope, seal_pack
from tests.schemas.batches import batches, columns

RNG = Random(7)
KEY = Key(0, RNG.randbytes(8), RNG.randbytes(32))
RING = Ring.of({KEY.file_name: KEY.secret})
ACCEPTED = (Accepted(60, "demo", 3), Accepted(120, "shop", 1))


def seal(body: bytes) -> bytes:
    return seal_pack(body, KEY, pack_id=b"p" * 16, nonce=b"n" * 12, accepted=ACCEPTED)


@given(batches())
def test_any_batch_comes_back_as_it_was(batch: EventBatch) -> None:
    sealed = seal(encode_raw_pack("edge-1", columns(batch), len(batch)))
    assert decode_raw_pack(open_seal(read_envelope(sealed), RING)).batch == batch


@pytest.mark.parametrize("size", [0, 1, 63, 64, COMPRESS_ABOVE, COMPRESS_ABOVE + 1, 8_191, 8_192, 300_000])
def test_bodies_of_every_length_come_back(size: int) -> None:
    body = RNG.randbytes(size)
    assert open_seal(read_envelope(seal(body)), RING) == body


def test_outside_the_seal_stand_key_id_pack_id_and_counts() -> None:
    envelope = read_envelope(seal(b"body"))
    assert (envelope.key_id, envelope.pack_id, envelope.accepted) == (KEY.key_id, b"p" * 16, ACCEPTED)


def test_a_sealed_pack_shows_no_address() -> None:
    batch = EventBatch.from_events([Event(event_id="1", ip="203.0.113.77", visitor_id="visitor-7")])
    sealed = seal(encode_raw_pack("e", columns(batch), 1))
    assert b"203.0.113" not in sealed
    assert b"visitor-7" not in sealed


def test_each_changed_byte_is_noticed() -> None:
    sealed = seal(b"some body")
    for at in range(len(sealed)):
        broken = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(PackError):
            open_seal(read_envelope(broken), RING)


def test_each_cut_is_noticed() -> None:
    sealed = seal(b"some body")
    for length in range(len(sealed)):
        with pytest.raises(PackError):
            open_seal(read_envelope(sealed[:length]), RING)


def test_without_the_key_it_stays_closed() -> None:
    with pytest.raises(PackError) as caught:
        open_seal(read_envelope(seal(b"body")), Ring.of({}))
    assert caught.value.reason is DeadReason.NO_KEY


@given(st.binary(max_size=200))
def test_any_bytes_are_a_pack_or_a_pack_error(message: bytes) -> None:
    for candidate in (message, seal(b"")[:10] + message):
        with suppress(PackError):
            open_seal(read_envelope(candidate), RING)


def test_the_newest_key_that_has_begun_is_used() -> None:
    keys = [Key(day * DAY_MS, bytes([day]) * 8, bytes([day]) * 32) for day in range(4)]
    ring = Ring.of({key.file_name: key.secret for key in keys})
    assert ring.newest(2 * DAY_MS + 5) == keys[2]
    assert ring.newest(-1) == keys[0]
    assert ring.missing(3 * DAY_MS) == [4 * DAY_MS, 5 * DAY_MS]
    assert ring.expired((KEY_LIFETIME_DAYS + 1) * DAY_MS + 1) == keys[:2]


@pytest.mark.parametrize(
    ("name", "secret"), [("x.key", b"k" * 32), ("1-00.key", b"k" * 32), ("1-0011223344556677.key", b"k")]
)
def test_a_damaged_key_file_is_named_and_its_content_is_not(name: str, secret: bytes) -> None:
    with pytest.raises(RingError, match=name) as caught:
        Ring.of({name: secret})
    assert "kk" not in str(caught.value)


def test_an_empty_ring_says_what_to_do() -> None:
    with pytest.raises(RingError, match="fairpixel up"):
        Ring.of({}).newest(0)
