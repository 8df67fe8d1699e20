"""Rows of one partition closed into one sealed message; a pure function, with chance and time coming in as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from ingest.reading.row import RECEIVED_AT, SITE, Row, to_columns
from schemas.pack import Refusal, encode_raw_pack
from schemas.ring import Key
from schemas.seal import Accepted, seal_pack

_received_at, _site = itemgetter(RECEIVED_AT), itemgetter(SITE)


@dataclass(frozen=True, slots=True)
class Pack:
    """A closed pack on its way to Kafka or the spool."""

    pack_id: bytes
    partition: int
    event_count: int
    message: bytes


def close_pack(
    edge: str,
    partition: int,
    rows: Sequence[Row],
    refusals: Iterable[Refusal],
    key: Key,
    pack_id: bytes,
    nonce: bytes,
) -> Pack:
    """Encode and seal. Medians of 301: 0.86 ms for 500 events of mixed traffic, 1.7 µs each, and 0.10 ms for 30;
    pixels of one page, with most columns of one value, 0.46 ms for 500 and 0.08 ms for 30.
    """
    body = encode_raw_pack(edge, to_columns(rows), len(rows), refusals)
    message = seal_pack(body, key, pack_id=pack_id, nonce=nonce, accepted=count_accepted(rows))
    return Pack(pack_id, partition, len(rows), message)


def count_accepted(rows: Sequence[Row]) -> list[Accepted]:
    """Events by minute of receipt and site: what the ledger will hold the rest of the platform to."""
    times = [*map(_received_at, rows)]
    if (
        rows and min(times) // 60_000 == max(times) // 60_000 and len({*map(_site, rows)}) == 1
    ):  # nearly always
        return [Accepted(times[0] // 60_000 * 60, rows[0][SITE], len(rows))]
    counts = Counter([(row[RECEIVED_AT] // 60_000 * 60, row[SITE]) for row in rows])
    return [Accepted(minute, site, count) for (minute, site), count in sorted(counts.items())]
