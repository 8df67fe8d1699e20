"""Segment's tracking API: paths, keys and answers (docs/protocols/segment.md); RudderStack's has the same envelope."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from ingest.protocols.envelope import (
    UNKNOWN_KEY,
    basic_user,
    bearer,
    check_shared,
    read_items,
    refuse_whole,
    rows_and_refusals,
)
from ingest.protocols.lenient import first_text, mapping
from ingest.protocols.mapping import PIXEL
from ingest.protocols.protocol import Answer, Ask, Reading, Route, error_answer, gif_answer, json_answer
from ingest.protocols.segment.calls import MAPPING, Calls
from ingest.reading.body import split_list
from ingest.reading.fields import Unacceptable
from ingest.reading.pixel import parse_query
from ingest.reading.sites import Credential

__all__ = ["MAPPING", "ROUTES", "Dialect", "read_calls", "read_pixel"]

BATCH_COUNT_MAX = 2_500  # events; Segment stores no more of a batch
LETTERS = {"i": "identify", "t": "track", "p": "page", "s": "screen", "g": "group", "a": "alias"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the platforms that share the envelope."""

    protocol: str
    success: Answer


SEGMENT = Dialect("segment", json_answer({"success": True}))


def read_calls(dialect: Dialect, call: str, source: str, ask: Ask) -> Reading:
    """One call, or a batch of them, as SDKs POST it.

    call: as the path names it; "" where each call names its own. source: as the path decides it; "" as each call shows.
    """
    header_key = basic_user(ask.headers)
    if header_key and ask.sites.find(header_key) is None:
        return refuse_whole(UNKNOWN_KEY, 401)  # before the body is parsed
    try:
        fields, items = split_list(ask.body, "batch")
    except Unacceptable as problem:
        credential = ask.sites.find(header_key)
        return refuse_whole(problem.rejection, 400, credential.site if credential else "")
    one_call = items is None
    if items is None:
        fields, items = {}, [fields]
    credential = _find_credential(ask, header_key, fields, items)
    if credential is None:
        return refuse_whole(UNKNOWN_KEY, 401)
    calls = Calls.of(ask, dialect.protocol, fields, call if one_call else "", source)
    return _answer(dialect, ask, credential, items, calls, one_call)


def _answer(
    dialect: Dialect, ask: Ask, credential: Credential, items: list[Any], calls: Calls, one_call: bool
) -> Reading:
    try:
        check_shared(calls.context, len(items))
        read = read_items(ask, items, lambda _: credential, calls.read, BATCH_COUNT_MAX)
    except Unacceptable as problem:
        return refuse_whole(problem.rejection, 400, credential.site)
    rows, refusals = rows_and_refusals(read)
    if one_call and refusals:  # nothing else hangs on it, and it can never succeed
        return Reading(error_answer(refusals[0][1], 400), rows, refusals)
    return Reading(dialect.success, rows, refusals)


def _find_credential(
    ask: Ask, header_key: str, fields: Mapping[str, Any], items: list[Any]
) -> Credential | None:
    """By Basic, else the body's `writeKey` or its first event's, else X-Write-Key, the query's, or the bearer's."""
    first = mapping(items[0]) if items else {}
    key = header_key or first_text(
        fields.get("writeKey"),
        first.get("writeKey"),
        ask.headers.get(b"x-write-key", b"").decode("latin-1"),
        parse_query(ask.query).get("writeKey"),
        bearer(ask.headers),
    )
    return ask.sites.find(key or "")


def read_pixel(dialect: Dialect, call: str, ask: Ask) -> Reading:
    """`GET .../pixel/...`: the GIF whatever happens; the event in `data`, base64 of JSON, or in dotted parameters."""
    item = _pixel_item(ask.query)
    credential = ask.sites.find(first_text(item.get("writeKey")) or "") or ask.sites.find(
        basic_user(ask.headers)
    )
    calls = Calls.of(ask, dialect.protocol, {}, call, PIXEL)
    read = read_items(ask, [item], lambda _: credential, calls.read, 1)
    return Reading(gif_answer(), *rows_and_refusals(read))


def _pixel_item(query: bytes) -> dict[str, Any]:
    params = parse_query(query)
    if data := params.pop("data", ""):
        try:
            padded = data.translate(_URL_SAFE) + "=" * (-len(data) % 4)
            decoded = orjson.loads(urlsafe_b64decode(padded))
        except (binascii.Error, ValueError):  # orjson's errors are value errors
            return dict(params)
        return {**params, **decoded} if isinstance(decoded, dict) else dict(params)
    item: dict[str, Any] = {}
    for name, value in params.items():
        *path, last = name.split(".")[:_DEPTH_MAX]
        inner = item
        for part in path:
            inner = inner.setdefault(part, {}) if isinstance(inner.get(part, {}), dict) else {}
        inner[last] = value
    return item


_URL_SAFE = str.maketrans("+/ ", "-_-")  # a plus in a query string reads as a space
_DEPTH_MAX = 5  # of dotted names


def discard(answer: Answer, _: Ask) -> Reading:
    """A request that says nothing of visitors, such as the browser SDK's own metrics."""
    return Reading(answer)


def read_settings(ask: Ask) -> Reading:
    """What the browser SDK asks for before it starts: send to this host, with no other destination."""
    key = ask.path_params.get("writeKey", "")
    if ask.sites.find(key) is None:
        return refuse_whole(UNKNOWN_KEY, 404)
    host = ask.headers.get(b"host", b"").decode("latin-1")
    plain = ask.headers.get(b"origin", b"").startswith(b"http:")
    destination: dict[str, Any] = {
        "apiKey": key,
        "unbundledIntegrations": [],
        "addBundledMetadata": True,
        "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
        **({"apiHost": f"{host}/segment/v1", "protocol": "http" if plain else "https"} if host else {}),
    }
    enabled = {"__default": {"enabled": True, "integrations": {}}}
    content = {
        "integrations": {"Segment.io": destination},
        "plan": {"track": enabled, "identify": enabled, "group": enabled},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }
    answer = json_answer(content)
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"public, max-age=86400"), _VARY]
    return Reading(Answer(200, answer.body, headers))


_VARY = (b"vary", b"Origin, Host")

ROUTES: tuple[Route, ...] = (
    *(
        Route(
            "segment", f"/v1/{path}", ("POST",), partial(read_calls, SEGMENT, call, ""), oversize_status=400
        )
        for letter, call in LETTERS.items()
        for path in (letter, call)
    ),
    *(
        Route("segment", path, ("POST",), partial(read_calls, SEGMENT, "", ""), oversize_status=400)
        for path in ("/v1/batch", "/v1/import", "/v1/b", "/v1/batch/b")
    ),
    *(
        Route(
            "segment", path, ("POST",), partial(read_calls, SEGMENT, "", ""), bare=False, oversize_status=400
        )
        for path in ("/batch", "/batch/b", "/b")  # as Jitsu serves them; bare they are others'
    ),
    Route("segment", "/v1/m", ("POST",), partial(discard, SEGMENT.success)),
    *(
        Route("segment", f"/v1/pixel/{call}", ("GET",), partial(read_pixel, SEGMENT, call), is_pixel=True)
        for call in LETTERS.values()
    ),
    *(
        Route("segment", f"{twice}/{{writeKey}}/settings", ("GET",), read_settings)
        for twice in ("/v1/projects", "/v1/projects/projects", "/v1/projects/v1/projects")
    ),
)
