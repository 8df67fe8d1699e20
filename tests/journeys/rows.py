"""Event ids of journeys, and the rows that become of them."""

from __future__ import annotations

import uuid

from tests.platform import Platform, await_that


def fresh_id() -> str:
    return f"j-{uuid.uuid4().hex}"


def row_of(platform: Platform, event_id: str) -> dict[str, object]:
    """The row of an event, as soon as there is one."""
    rows = await_that(
        lambda: platform.query(f"SELECT * FROM fairpixel.events WHERE event_id = '{event_id}'"),
        "the row is there",
        30,
    )
    assert len(rows) == 1
    return dict(rows[0])
