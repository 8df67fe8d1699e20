"""A migration that a recorded folder has applied stays as it is, to the letter: the loader starts on no other text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sinks.warehouse.migrate import read_migrations
from tests.upgrade.record import GOLDEN


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/folder.json")), ids=lambda path: path.parent.name)
def test_no_applied_migration_was_changed(path: Path) -> None:
    today = {one.name: one.checksum for one in read_migrations()}
    applied: dict[str, str] = json.loads(path.read_text("utf-8"))["migrations"]
    assert applied
    assert {name: today.get(name) for name in applied} == applied
