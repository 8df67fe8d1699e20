"""Cases of `leaks.jsonl`: addresses and one-time tokens, as people found them in what they had stored."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ingest.reading.client import client_ip
from schemas.clean_pack import CleanPack, decode_clean_pack
from schemas.event import Event
from tests.field.hidden import read_lines
from tests.streams.make import decided, page_view, sealed

CASES = [json.loads(line) for line in Path(__file__).with_name("leaks.jsonl").read_text().splitlines()]
SITE = 'query_keys = ["page", "token", "session", "utm_source", "utm_term"]'
# Where these are, somebody's whole address or secret is: 203.0.113.0 is a network.
WHOLE = (
    "203.0.113.7", "198.51.100.", "cb00:7107", "cb00:714d", "34ff:8ef8", "jane", "rg@", "rg%40", "@example",
    "3b1e9c0a7d11", "1ARZ3N", "k3j4h5", "4c6f8a0b", "deadbeef", "JlAEY",
)  # fmt: skip


def events_of(given: dict[str, Any]) -> list[Event]:
    """What an edge or an import makes of it."""
    if "lines" in given:
        return read_lines(given["lines"])
    if "header" in given:
        header = given["header"].encode()
        return [page_view(ip=client_ip("127.0.0.1", [(header, given["value"].encode())], 1, header))]
    if isinstance(properties := given.get("properties"), dict):
        return [page_view(**{**given, "properties": json.dumps(properties)})]
    return [page_view(**given)]


def kept_of(events: list[Event]) -> CleanPack:
    return decode_clean_pack(decided(sealed(events), site=SITE).value)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_what_is_kept_names_nobody(case: dict[str, Any]) -> None:
    kept = kept_of(events_of(case["input"]))
    for name, expected in case["expected"].items():
        found = kept.columns[name][0] if kept.columns[name] else ""
        if name == "properties":
            found = json.loads(found)
        if expected is not None:
            assert found == expected, name
    if not case["id"].endswith("-stays"):
        text = repr(asdict(kept))
        assert [one for one in WHOLE if one in text and one not in repr(case["expected"])] == []
