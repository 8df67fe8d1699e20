"""Every recorded request of a compatible client still becomes the same rows, and every mapped field is seen in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.event import EVENT_FIELDS
from tests.ingest.protocols.recorded import FOLDER, cases, mapping_of, protocols, replay, show

CASES = [path for protocol in protocols() for path in cases(protocol)]


@pytest.mark.parametrize("path", CASES, ids=lambda path: str(path.relative_to(FOLDER).with_suffix("")))
def test_a_recorded_request_becomes_the_same_rows(path: Path) -> None:
    recorded = json.loads(path.read_text("utf-8"))
    found = show(replay(path.parent.name, recorded["request"]))
    assert found == {name: recorded[name] for name in ("answer", "rows", "refusals")}


@pytest.mark.parametrize("protocol", protocols())
def test_every_field_of_a_mapping_is_in_a_recorded_row(protocol: str) -> None:
    seen = {name for path in cases(protocol) for row in json.loads(path.read_text())["rows"] for name in row}
    mapped = set(mapping_of(protocol))
    assert mapped - set(EVENT_FIELDS) == set()
    assert mapped - seen == set()


@pytest.mark.parametrize("protocol", protocols())
def test_a_repeated_request_is_the_same_events(protocol: str) -> None:
    for path in cases(protocol):
        request = json.loads(path.read_text("utf-8"))["request"]
        assert replay(protocol, request).rows == replay(protocol, request).rows
