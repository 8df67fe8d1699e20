"""The bare path `/batch`, which PostHog's SDKs and Segment's older ones share: the body's key says whose it is."""

from __future__ import annotations

from ingest.protocols.envelope import basic_user
from ingest.protocols.lenient import mapping
from ingest.protocols.posthog.endpoint import BUSY_STATUS, read_v0
from ingest.protocols.protocol import Ask, Reading, Route
from ingest.protocols.segment.endpoint import SEGMENT, read_calls
from ingest.reading.body import split_list
from ingest.reading.fields import Unacceptable


def read_batch(ask: Ask) -> Reading:
    """`writeKey`, or a key in HTTP Basic, is Segment's; anything else PostHog's (docs/protocols/segment.md)."""
    return read_calls(SEGMENT, "", "", ask) if _is_segments(ask) else read_v0(ask)


def _is_segments(ask: Ask) -> bool:
    if basic_user(ask.headers):
        return True
    if b'"writeKey"' not in ask.body:  # nearly always: PostHog's own are parsed once
        return False
    try:
        fields, items = split_list(ask.body, "batch")
    except Unacceptable:
        return False
    if "api_key" in fields or "token" in fields:
        return False
    return "writeKey" in fields or any("writeKey" in mapping(item) for item in items or [])


ROUTES: tuple[Route, ...] = (Route("posthog", "/batch", ("POST",), read_batch, BUSY_STATUS),)
