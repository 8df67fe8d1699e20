"""Raw packs written by earlier versions are read by today's code; run this module to record today's beside them."""

import json
from dataclasses import asdict, astuple
from pathlib import Path

import pytest

from ingest.packing.pack import close_pack
from schemas.avro_codec import HEADER_SIZE
from schemas.event import EVENT_FIELDS, Event
from schemas.pack import RAW_PACK_VERSIONS, Refusal
from schemas.ring import Key, Ring
from schemas.seal import open_seal, read_envelope
from tests.ingest.builders import open_pack

GOLDEN = Path(__file__).parents[2] / "golden"
KEY = Key(1_763_000_000_000, bytes(range(8)), bytes(range(32)))
EVENTS = [
    Event(
        event_id=f"golden-{n}",
        site="demo",
        name="purchase",
        kind="purchase",
        source="server",
        protocol="native",
        trust="secret",
        occurred_at=1_763_000_000_000 + n,
        sent_at=1_763_000_000_500,
        received_at=1_763_000_001_000,
        ip="203.0.113.7",
        user_agent="Mozilla/5.0 (X11; Linux x86_64)",
        language="en-GB,en;q=0.5",
        url="https://shop.example/é?utm_source=mail",
        referrer="https://search.example/",
        title="Schöner Titel 🎉",
        visitor_id=f"visitor-{n}",
        user_id="user-1",
        session_id="s-1",
        consent="consent=measurement%2Cmarketing&gpp=DBAA",
        flags=1 | 256,
        screen="1920x1080",
        viewport="800x600",
        timezone="Europe/Berlin",
        value_e4=199_900,
        currency="EUR",
        properties='{"plan":"gold","n":[1,null]}',
    )
    for n in range(40)
]
REFUSALS = [
    Refusal(1_763_000_000 // 60 * 60, "demo", "invalid", 3),
    Refusal(1_763_000_000 // 60 * 60, "", "unknown_key", 1),
]


def write_today() -> bytes:
    rows = [tuple(getattr(event, name) for name in EVENT_FIELDS) for event in EVENTS]
    return close_pack("edge-1", 0, rows, REFUSALS, KEY, bytes(16), bytes(12)).message


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("raw_pack.*.bin")), ids=lambda path: path.stem)
def test_a_recorded_pack_is_read_by_todays_code(path: Path) -> None:
    message = path.read_bytes()
    expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
    envelope = read_envelope(message)
    pack = open_pack(message, Ring.of({KEY.file_name: KEY.secret}))
    assert [list(astuple(one)) for one in envelope.accepted] == expected["accepted"]
    assert pack.edge == expected["edge"]
    assert [list(astuple(one)) for one in pack.refusals] == expected["refusals"]
    found = [asdict(event) for event in pack.batch.to_events()]
    assert [
        {name: event[name] for name in one} for event, one in zip(found, expected["events"], strict=True)
    ] == expected["events"]


def test_each_version_has_a_recorded_pack() -> None:
    ring = Ring.of({KEY.file_name: KEY.secret})
    bodies = [open_seal(read_envelope(path.read_bytes()), ring) for path in GOLDEN.glob("raw_pack.*.bin")]
    assert sorted(body[:HEADER_SIZE] for body in bodies) == sorted(RAW_PACK_VERSIONS)


def test_there_is_a_recorded_pack_and_todays_code_still_writes_it() -> None:
    recorded = (GOLDEN / "raw_pack.v3.bin").read_bytes()
    ring = Ring.of({KEY.file_name: KEY.secret})
    assert open_seal(read_envelope(write_today()), ring) == open_seal(read_envelope(recorded), ring)


def update() -> None:
    """Record today's pack: `python -m tests.ingest.packing.test_golden_pack`; then read the diff."""
    GOLDEN.mkdir(exist_ok=True)
    message = write_today()
    (GOLDEN / "raw_pack.v3.bin").write_bytes(message)
    pack = open_pack(message, Ring.of({KEY.file_name: KEY.secret}))
    content = {
        "accepted": [astuple(one) for one in read_envelope(message).accepted],
        "edge": pack.edge,
        "refusals": [astuple(one) for one in pack.refusals],
        "events": [asdict(one) for one in EVENTS],
    }
    (GOLDEN / "raw_pack.v3.json").write_text(
        json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )


if __name__ == "__main__":
    update()
