"""Raw packs behind the seal, all versions: bytes become a batch of equal columns, or a PackError."""

from __future__ import annotations

from schemas.avro_codec import PackError, encode
from schemas.event import EVENT_FIELDS
from schemas.pack import COUNT_MAX, RAW_PACK_V1, RAW_PACK_VERSIONS, decode_raw_pack, encode_raw_pack
from tests.fuzz.avro import HOSTILE_NUMBERS

LENGTH_MAX = 8_000
_HEADERS = tuple(RAW_PACK_VERSIONS)
_V3 = encode_raw_pack(
    "edge", {"event_id": ["a", "b"], "flags": [1, 2], "value_e4": [-1, 10**14], "name": ["x", "\0"]}, 2
)
_V1 = encode(RAW_PACK_V1, {
    **{one["name"]: [] for one in RAW_PACK_V1.declared["fields"]}, "edge": "e", "count": 2, "event_id": ["a", "b"],
})  # fmt: skip
SEEDS = (
    b"\x02" + _V3[10:], b"\x02" + encode_raw_pack("", {}, 0)[10:], b"\0" + _V1[10:], b"\x01" + _V1[10:],
    b"\x02" + encode_raw_pack("e", {"event_id": ["x"] * 500, "received_at": list(range(500))}, 500)[10:],
)  # fmt: skip
WORDS = HOSTILE_NUMBERS


def fuzz(data: bytes) -> None:
    """The first byte chooses the version, the rest is the body."""
    if not data:
        return
    try:
        pack = decode_raw_pack(_HEADERS[data[0] % len(_HEADERS)] + data[1:])
    except PackError:
        return
    lengths = {len(getattr(pack.batch, name)) for name in EVENT_FIELDS}
    assert len(lengths) == 1
    assert max(lengths) <= COUNT_MAX
