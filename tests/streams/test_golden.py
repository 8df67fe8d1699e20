"""A clean pack of each version, recorded; `python -m tests.streams.test_golden` records it anew, then read the diff."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from schemas.clean_pack import CleanPack, decode_clean_pack, read_clean_head
from schemas.event import Flag
from schemas.links import Position
from schemas.seal import Accepted
from tests.streams.make import NOW, decided, page_view, purchase, sealed

GOLDEN = Path(__file__).parents[1] / "golden"


def make() -> bytes:
    """One of everything: consented, anonymous, bot, copy with values, collision, drop."""
    events = [
        page_view(),
        page_view(event_id="e2", consent=""),
        page_view(event_id="e3", user_agent="Googlebot/2.1", flags=int(Flag.WEBDRIVER)),
        page_view(event_id="e4", consent="consent=none"),
        purchase(source="pixel", trust="public", occurred_at=NOW - 9_000, sent_at=NOW - 3_000),
        purchase(),
        purchase(source="pixel", trust="public", value_e4=1),
    ]
    raw = sealed(events, pack_id=b"p" * 16, accepted=[Accepted(NOW // 60_000 * 60, "demo", len(events))])
    return decided(raw, link=Position("topic", 6, "writer")).value


def plain(pack: CleanPack) -> dict[str, Any]:
    """A pack as JSON can say it."""
    return dict(json.loads(json.dumps(asdict(pack), default=lambda value: value.hex())))


def test_the_recorded_pack_is_read_as_it_was_meant() -> None:
    recorded = (GOLDEN / "clean_pack.v1.bin").read_bytes()
    assert plain(decode_clean_pack(recorded)) == json.loads((GOLDEN / "clean_pack.v1.json").read_text())
    assert read_clean_head(recorded) == decode_clean_pack(recorded).head


def test_the_same_events_are_still_decided_so() -> None:
    assert plain(decode_clean_pack(make())) == json.loads((GOLDEN / "clean_pack.v1.json").read_text())


if __name__ == "__main__":
    value = make()
    (GOLDEN / "clean_pack.v1.bin").write_bytes(value)
    (GOLDEN / "clean_pack.v1.json").write_text(json.dumps(plain(decode_clean_pack(value)), indent=1) + "\n")
