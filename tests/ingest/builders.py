"""What the edge's tests build again and again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from ingest.packing.pack import Pack
from ingest.packing.packer import Packer
from ingest.reading.client import Client
from ingest.reading.fields import Rejection
from ingest.reading.parse import Parsed, parse_event
from ingest.reading.pixel import parse_pixel, parse_query
from ingest.reading.row import Row, row_size_max
from ingest.reading.sites import Credential
from schemas.event import EVENT_FIELDS, Event
from schemas.pack import PackLimits, RawPack, decode_raw_pack, encode_raw_pack
from schemas.ring import Key, Ring
from schemas.seal import open_seal, read_envelope

NOW_MS = 1_763_800_000_000
PUBLIC = Credential("demo", "public")
SECRET = Credential("demo", "secret")
KEY = Key(NOW_MS - 1_000, b"\x01" * 8, b"\x02" * 32)
RING = Ring.of({KEY.file_name: KEY.secret})
BROWSER = Client("203.0.113.9", "Firefox", "en-GB", "https://shop.example/page", 0)


def pixel(query: str, credential: Credential = PUBLIC, client: Client = BROWSER) -> Event | Rejection:
    """One pixel as people see it."""
    row = parse_pixel(parse_query(query.encode()), credential, client, NOW_MS, "made")
    return row if isinstance(row, Rejection) else Event(*row)


def event(item: object, credential: Credential = PUBLIC, client: Client = BROWSER) -> Event | Rejection:
    """One JSON event as people see it."""
    parsed = parse_event(item, credential, client, NOW_MS, 0, "made")
    return Event(*parsed.row) if isinstance(parsed, Parsed) else parsed


def row(event_id: str = "e1", site: str = "demo", received_at: int = NOW_MS, **more: object) -> Row:
    """One event on its way into a pack."""
    one = Event(event_id=event_id, site=site, name="page_view", received_at=received_at, **more)  # type: ignore[arg-type]
    return tuple(getattr(one, name) for name in one.__slots__)


def open_pack(message: bytes, ring: Ring = RING) -> RawPack:
    """What lies inside a sealed pack."""
    return decode_raw_pack(open_seal(read_envelope(message), ring))


class Sent:
    """Stands for everything behind the packer: keeps the packs, and settles them when the test says so."""

    def __init__(self) -> None:
        self.packs: list[Pack] = []
        self.settle: list[Callable[[bool], None]] = []

    def __call__(self, pack: Pack, on_kept: Callable[[bool], None]) -> None:
        self.packs.append(pack)
        self.settle.append(on_kept)

    def settle_all(self, kept: bool = True) -> None:
        """Report every pack that was not reported yet."""
        waiting, self.settle = self.settle, []
        for on_kept in waiting:
            on_kept(kept)


def packer(sent: Sent, partitions: int = 1, limits: PackLimits | None = None) -> Packer:
    """A packer on the running loop."""
    return Packer("edge-1", partitions, sent, lambda: KEY, os.urandom, limits)


def run(journey: Callable[[], object]) -> None:
    """Run a coroutine function to its end, at most 20 s."""
    asyncio.run(asyncio.wait_for(journey(), 20))  # type: ignore[arg-type]


def assert_survives_a_pack(row: tuple[object, ...]) -> None:
    """Goes through Avro unchanged, and is no larger there than it was thought to be."""
    columns = {name: [value] for name, value in zip(EVENT_FIELDS, row, strict=True)}
    body = encode_raw_pack("e", columns, 1)
    assert decode_raw_pack(body).batch.to_events() == [Event(*row)]  # type: ignore[arg-type]
    assert len(body) <= row_size_max(row)  # type: ignore[arg-type]
