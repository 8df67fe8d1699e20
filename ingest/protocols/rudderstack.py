"""RudderStack's gateway: Segment's envelope under paths and answers of its own (docs/protocols/rudderstack.md)."""

from __future__ import annotations

from functools import partial

from ingest.protocols.envelope import UNKNOWN_KEY, basic_user, refuse_whole
from ingest.protocols.mapping import TAG
from ingest.protocols.protocol import Ask, Reading, Route, json_answer, text_answer
from ingest.protocols.segment.endpoint import MAPPING, Dialect, read_calls, read_pixel
from ingest.reading.pixel import parse_query

__all__ = ["MAPPING", "ROUTES"]

RUDDERSTACK = Dialect("rudderstack", text_answer("OK"))
CALLS = ("alias", "group", "identify", "merge", "page", "screen", "track")


def read_source_config(ask: Ask) -> Reading:
    """What the browser SDK asks for before it starts; it checks that source, config and destinations are there."""
    key = parse_query(ask.query).get("writeKey", "") or basic_user(ask.headers)
    credential = ask.sites.find(key)
    if credential is None:
        return refuse_whole(UNKNOWN_KEY, 401)
    source = {
        "id": credential.site,
        "name": credential.site,
        "writeKey": key,
        "workspaceId": credential.site,
        "enabled": True,
        "config": {"statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}},
        "connections": [],
        "destinations": [],
        "dataplanes": {},
    }
    return Reading(json_answer({"source": source, "updatedAt": "2026-01-01T00:00:00.000Z"}))


def read_version(_: Ask) -> Reading:
    """The gateway's version: ours speaks as none of theirs."""
    return Reading(json_answer({"Version": "fairpixel"}))


def read_health(_: Ask) -> Reading:
    """The gateway answers."""
    return Reading(json_answer({"server": "UP"}))


ROUTES: tuple[Route, ...] = (
    *(
        Route("rudderstack", f"/v1/{call}", ("POST",), partial(read_calls, RUDDERSTACK, call, ""), bare=False)
        for call in CALLS
        if call != "merge"
    ),
    *(
        Route("rudderstack", f"/v1/{path}", ("POST",), partial(read_calls, RUDDERSTACK, "", ""), bare=False)
        for path in ("batch", "import")
    ),
    Route("rudderstack", "/v1/merge", ("POST",), partial(read_calls, RUDDERSTACK, "merge", "")),
    Route("rudderstack", "/beacon/v1/batch", ("POST",), partial(read_calls, RUDDERSTACK, "", TAG)),
    *(
        Route(
            "rudderstack",
            f"/pixel/v1/{call}",
            ("GET",),
            partial(read_pixel, RUDDERSTACK, call),
            is_pixel=True,
        )
        for call in ("track", "page")
    ),
    Route("rudderstack", "/sourceConfig", ("GET",), read_source_config),
    Route("rudderstack", "/version", ("GET",), read_version),
    Route("rudderstack", "/health", ("GET",), read_health, bare=False),
    Route("rudderstack", "/", ("GET",), read_health, bare=False),
)
