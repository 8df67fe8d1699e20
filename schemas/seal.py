"""Close a raw pack so that only the ring's holder can read it, and open it again: zstd, then AES-256-GCM
(NIST SP 800-38D)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.avro.columns import write_number
from schemas.avro_codec import PackError, encode, find_schema, load_schema, read_record
from schemas.drops import DeadReason
from schemas.ring import Key, Ring
from schemas.topics import RAW_SIZE_MAX

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENVELOPE = load_schema("raw_envelope.v1")
ENVELOPE_VERSIONS = {ENVELOPE.header: ENVELOPE}
COMPRESS_ABOVE = 2_000  # bytes; below it zstd costs more time than the bytes are worth
# Bytes; a pack has at most 900 kB before compression: few bytes must not fill the memory.
OPENED_SIZE_MAX = 2_000_000
ACCEPTED_MAX = 1_000  # (minute, site) pairs of one pack, which has 500 events at most
ACCEPTED_COUNT_MAX = 10_000  # events of one pair
SITE_LENGTH_MAX = 200  # characters
PACK_ID_BYTES = 16
NONCE_BYTES = 12
# 8 MB: a frame may ask for as much to look back on; level 1 asks for half a MB.
_INFLATE: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}
# One for all packs, as making its tables costs 20 µs: 7 µs instead of 29 a pack of 30 events. It locks itself.
_compressor = zstd.ZstdCompressor(level=1)


@dataclass(frozen=True, slots=True)
class Accepted:
    """How many events of one site the edge answered for in one minute (seconds since 1970)."""

    minute: int
    site: str
    count: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """What anyone may read of a raw pack."""

    key_id: bytes
    pack_id: bytes
    accepted: tuple[Accepted, ...]
    compression: str
    nonce: bytes
    sealed: bytes
    authenticated: bytes  # everything before `sealed`, as it stood in the message


def seal_pack(body: bytes, key: Key, *, pack_id: bytes, nonce: bytes, accepted: Iterable[Accepted]) -> bytes:
    """Seal an encoded raw pack; pack_id and nonce are random bytes (16 and 12) that the caller draws."""
    compression = "none"
    if len(body) > COMPRESS_ABOVE:
        body, compression = _compressor.compress(body, _compressor.FLUSH_FRAME), "zstd"
    counts = list(accepted)
    record: dict[str, Any] = {
        "key_id": key.key_id,
        "pack_id": pack_id,
        "accepted_minute": [one.minute for one in counts],
        "accepted_site": [one.site for one in counts],
        "accepted_count": [one.count for one in counts],
        "compression": compression,
        "nonce": nonce,
        "sealed": b"",
    }
    authenticated = encode(ENVELOPE, record)[:-1]  # an empty `sealed` is one byte, its length
    sealed = _cipher(key).encrypt(nonce, body, authenticated)
    return authenticated + write_number(len(sealed)) + sealed


def read_envelope(message: bytes, size_bytes_max: int = RAW_SIZE_MAX) -> Envelope:
    """Read what stands outside the seal. Raises PackError, also for more than any edge writes there."""
    schema = find_schema(message, ENVELOPE_VERSIONS)
    if len(message) > size_bytes_max:  # compressed by whoever sent it, it passed the broker's limit
        raise PackError(DeadReason.UNREADABLE, "larger than a raw pack may be")
    record, end = read_record(message, schema)
    sealed: bytes = record["sealed"]
    columns = (record["accepted_minute"], record["accepted_site"], record["accepted_count"])
    if len({len(column) for column in columns}) != 1:
        raise PackError(DeadReason.UNEVEN_COLUMNS, "accepted")
    if not _is_plausible(*columns):
        raise PackError(DeadReason.UNREADABLE, "accepted")
    if len(record["pack_id"]) != PACK_ID_BYTES or len(record["nonce"]) != NONCE_BYTES:
        raise PackError(DeadReason.UNREADABLE, "pack_id or nonce")
    if end != len(message):
        raise PackError(DeadReason.UNREADABLE, "bytes behind the pack")
    start = end - len(sealed) - len(write_number(len(sealed)))
    return Envelope(
        key_id=record["key_id"],
        pack_id=record["pack_id"],
        accepted=tuple(map(Accepted, *columns)),
        compression=record["compression"],
        nonce=record["nonce"],
        sealed=sealed,
        authenticated=message[:start],
    )


def open_seal(envelope: Envelope, ring: Ring) -> bytes:
    """The encoded raw pack. Raises PackError when the ring lacks the key, the seal does not fit or it opens to more
    than a pack may be; no more than that is ever inflated."""
    key = ring.by_id.get(envelope.key_id)
    if key is None:
        raise PackError(DeadReason.NO_KEY)
    try:
        body = _cipher(key).decrypt(envelope.nonce, envelope.sealed, envelope.authenticated)
    except InvalidTag:
        raise PackError(DeadReason.SEAL_BROKEN) from None
    return body if envelope.compression == "none" else _inflate(body)


def _inflate(body: bytes) -> bytes:
    """One zstd frame. 20 to 120 µs for 20 to 540 kB, as cramjam, which cannot stop at a size."""
    inflater = zstd.ZstdDecompressor(options=_INFLATE)
    try:
        opened = inflater.decompress(body, OPENED_SIZE_MAX + 1)
    except zstd.ZstdError:
        raise PackError(DeadReason.UNREADABLE, "zstd") from None
    if len(opened) > OPENED_SIZE_MAX:
        raise PackError(DeadReason.UNREADABLE, "opens to more than a pack may be")
    if not inflater.eof or inflater.unused_data:
        raise PackError(DeadReason.UNREADABLE, "zstd")
    return opened


def _is_plausible(minutes: list[int], sites: list[str], counts: list[int]) -> bool:
    """Whether an edge may have written this; everybody can read and change it, and the ledger adds it up."""
    return len(minutes) <= ACCEPTED_MAX and (
        not minutes
        or (
            0 <= min(minutes) <= max(minutes) < 2**32
            and 0 <= min(counts) <= max(counts) <= ACCEPTED_COUNT_MAX
            and max(map(len, sites)) <= SITE_LENGTH_MAX
        )
    )


_ciphers: dict[bytes, AESGCM] = {}  # one a key: a ring holds about fifteen


def _cipher(key: Key) -> AESGCM:
    cipher = _ciphers.get(key.secret)
    if cipher is None:
        cipher = _ciphers[key.secret] = AESGCM(key.secret)
    return cipher
