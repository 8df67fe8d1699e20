"""Lines of real servers' logs: each becomes the row that it tells of, or is refused, and no address is kept whole.

A case of logs.jsonl: `id`, `source`, the lines (`\\xHH` of `bytes` are bytes), how they are said to be (`format`,
`pattern`, `host`) and the rows that come out, in order: for each the columns that matter.
"""

from __future__ import annotations

import json
import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.logs.access_log import LineIds
from ingest.logs.dependencies import check_format, find_format
from ingest.logs.files import open_log
from ingest.logs.formats import FORMATS
from ingest.logs.formats.pattern import PatternFormat
from ingest.logs.formats.pattern_text import Pattern
from ingest.logs.importer import LogImport
from runtime.errors import UserError
from schemas.event import Event, Flag
from tests.field.log_cases import CASES, bytes_of
from tests.ingest.builders import KEY, open_pack
from tests.ingest.logs.access_logs import SECRET, FakeOutbox
from tests.streams.make import cleaned

NOW_MS = 1_791_900_000_000  # 2026-10-13T14:00:00Z
LEFT_AS_IT_CAME = ("event_id", "pack", "fingerprint")


def imported(path: Path, case: dict[str, Any]) -> tuple[list[Event], int]:
    """The events of a file in the order of its lines, and how many lines were refused."""
    outbox = FakeOutbox()
    importing = LogImport(outbox, 1, "demo", KEY, NOW_MS, random.Random(1).randbytes)
    host, format = case.get("host", ""), check_format(case.get("format", ""), case.get("pattern", ""))
    with open_log(path) as (lines, _):
        first = list(lines)
        found = format or find_format(first, path.name)
        if isinstance(found, Pattern):
            importing.feed(first, PatternFormat(found, "demo", host, NOW_MS), LineIds(SECRET), lambda: None)
        else:
            assert found == case.get("detected", found)
            importing.feed(first, FORMATS[found]("demo", host, NOW_MS), LineIds(SECRET), lambda: None)
    result = importing.finish()
    events = [event for message in outbox.messages for event in open_pack(message).batch.to_events()]
    return events, result.invalid


def row_of(event: Event) -> dict[str, Any]:
    """What becomes of an event: its clean columns, and of those that are hashed what is hashed."""
    batch = cleaned(replace(event, consent="consent=all"))
    columns = {
        name: values[0]
        for name in ("host", "path", "ip_network", "referrer_host", "utm_campaign", "is_bot", "kind")
        if (values := getattr(batch, name))
    }
    return columns | {
        "user": event.user_id, "agent": event.user_agent, "gpc": bool(event.flags & Flag.GPC),
        "status": json.loads(event.properties)["status"], "at": event.occurred_at,
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[one["id"] for one in CASES])
def test_each_line_becomes_its_row_or_is_refused(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(bytes_of(case))
    if "says" in case:
        with pytest.raises(UserError, match=case["says"]):
            imported(path, case)
        return
    events, refused = imported(path, case)
    rows = [row_of(event) for event in events]
    wanted = case["rows"]
    found = [{name: row.get(name, "") for name in one} for row, one in zip(rows, wanted, strict=True)]
    assert (found, refused) == (wanted, case.get("refused", 0))
    for event in events:
        for consent in ("", "consent=all"):
            batch = cleaned(replace(event, consent=consent))
            names = [one.name for one in fields(batch) if one.name not in LEFT_AS_IT_CAME]
            for hidden in case.get("hidden", ()):
                assert [name for name in names if hidden in str(getattr(batch, name))] == []


ADDRESSES = (
    "203.0.113.7",
    "198.51.100.9",
    "10.1.2.3",
    "2001:db8:1:2::7",
    "::ffff:203.0.113.7",
    "[2001:db8:1:2::9]:443",
)
WHOLE = ("203.0.113.7", "198.51.100.9", "2001:db8:1:2::7", "2001:db8:1:2::9")
words = st.sampled_from(
    (*ADDRESSES, "-", '""', '"-"', "shop.example", "shop.example:443", "unknown", "jane", "é", "[")
)
glued = st.lists(words, min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from((",", ", ", " , ", ";")).map(lambda glue: glue.join(parts))
)
fronts = st.lists(glued, max_size=6).flatmap(
    lambda parts: st.sampled_from((" ", "  ", "\t")).map(lambda gap: gap.join(parts))
)


@settings(max_examples=400, deadline=None)
@given(fronts, st.sampled_from(("combined", "vhost_combined", "common")))
def test_no_layout_before_the_time_puts_an_address_where_it_is_kept(front: str, format: str) -> None:
    line = f'{front} [12/Oct/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 5'
    tail = "" if format == "common" else ' "-" "M"'
    row = FORMATS[format]("demo", "", NOW_MS)((line + tail).encode(), "id")
    if not row:
        return
    event = Event(*row)
    batch = cleaned(replace(event, consent="consent=all"))
    names = [one.name for one in fields(batch) if one.name not in LEFT_AS_IT_CAME]
    for address in WHOLE:
        assert [name for name in names if address in str(getattr(batch, name))] == []
        assert address not in event.url + event.user_id
