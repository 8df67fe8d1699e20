"""A clean pack of each version, recorded; `python -m tests.streams.test_golden` records it anew, then read the diff."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from schemas.avro_codec import find_schema
from schemas.clean_pack import (
    CLEAN_PACK_VERSIONS,
    CleanPack,
    decode_clean_pack,
    encode_clean_pack,
    read_clean_head,
)
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
    minute = NOW // 60_000 * 60
    first, rest = events[:4], events[4:]
    run = [
        sealed(first, pack_id=b"p" * 16, accepted=[Accepted(minute, "demo", len(first))]),
        b"nobody can read this",
        sealed(rest, pack_id=b"q" * 16, accepted=[Accepted(minute, "demo", len(rest))]),
        sealed(first, pack_id=b"p" * 16, accepted=[Accepted(minute, "demo", len(first))]),
    ]
    return decided(*run, link=Position("topic", 6, "writer")).value


def plain(pack: CleanPack) -> dict[str, Any]:
    """A pack as JSON can say it."""
    return dict(json.loads(json.dumps(asdict(pack), default=lambda value: value.hex())))


def recorded(version: str) -> tuple[bytes, Any]:
    """A recorded pack, and what it means."""
    meaning = json.loads((GOLDEN / f"{version}.json").read_text())
    return (GOLDEN / f"{version}.bin").read_bytes(), meaning


@pytest.mark.parametrize("version", ["clean_pack.v1", "clean_pack.v2"])
def test_the_recorded_pack_is_read_as_it_was_meant(version: str) -> None:
    value, meaning = recorded(version)
    assert plain(decode_clean_pack(value)) == meaning
    assert read_clean_head(value) == decode_clean_pack(value).head


@pytest.mark.parametrize("version", ["clean_pack.v1", "clean_pack.v2"])
def test_a_pack_that_is_written_again_in_its_version_is_the_same(version: str) -> None:
    value, _ = recorded(version)
    schema = find_schema(value, CLEAN_PACK_VERSIONS)
    assert encode_clean_pack(decode_clean_pack(value), schema) == value


def test_the_same_events_are_still_decided_so() -> None:
    assert plain(decode_clean_pack(make())) == recorded("clean_pack.v2")[1]


if __name__ == "__main__":
    made = make()
    (GOLDEN / "clean_pack.v2.bin").write_bytes(made)
    (GOLDEN / "clean_pack.v2.json").write_text(json.dumps(plain(decode_clean_pack(made)), indent=1) + "\n")
