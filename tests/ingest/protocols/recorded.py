"""Recorded requests of compatible clients, and what the endpoints make of them.

`golden/<protocol>/<case>.json` holds `request` {method, path, query, headers, body}, `answer` {status, body}, `rows`
(the fields of each Event that are not empty; without `received_at`, properties as an object) and `refusals` (their
codes). A new case needs its request only: `python -m tests.ingest.protocols.recorded [protocol ...]` records today's
answers, rows and refusals; then read the diff.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from ingest.protocols.protocol import Answer, Ask, Reading, Route
from ingest.reading.body import inflate
from ingest.reading.client import read_client
from ingest.reading.pixel import GIF
from ingest.reading.row import Row
from ingest.reading.sites import PUBLIC, SECRET, Credential, Sites
from schemas.event import Event
from tests.house.tables import compatible_protocols

FOLDER = Path(__file__).parent / "golden"
NOW_MS = 1_763_800_000_000  # 2025-11-22T08:26:40Z
CLIENT_IP = "203.0.113.77"
PUBLIC_KEYS = ("shop", "shop.example", "1", "G-SHOP")
SECRET_KEY = "shop-secret"
SITES = Sites(
    {key: Credential("shop", PUBLIC) for key in PUBLIC_KEYS},
    {sha256(SECRET_KEY.encode()).digest(): (SECRET_KEY, Credential("shop", SECRET))},
)
EMPTY = {one.name: one.default for one in fields(Event) if one.default is not MISSING}


def protocols() -> list[str]:
    """Every protocol that has recorded requests."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def cases(protocol: str) -> list[Path]:
    """The recorded requests of one protocol."""
    return sorted((FOLDER / protocol).glob("*.json"))


def routes_of(protocol: str) -> tuple[Route, ...]:
    """What the protocol's module serves."""
    routes: tuple[Route, ...] = compatible_protocols()[protocol].ROUTES
    return routes


def mapping_of(protocol: str) -> Mapping[str, str]:
    """The protocol's table: field of our event -> their words for it."""
    mapping: Mapping[str, str] = compatible_protocols()[protocol].MAPPING
    return mapping


def ask(
    method: str,
    path: str,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    path_params: Mapping[str, str] | None = None,
) -> Ask:
    """A request as the endpoint hands it to a protocol. path: without prefix and trailing slash."""
    lower = {name.lower().encode(): value.encode() for name, value in (headers or {}).items()}
    inflated = inflate(body, lower.get(b"content-encoding", b"").decode())
    numbers = itertools.count(1)
    return Ask(
        method,
        path,
        query.encode(),
        lower,
        inflated,
        read_client(lower, CLIENT_IP),
        NOW_MS,
        SITES,
        lambda: f"made-{next(numbers)}",
        path_params or {},
    )


def read(
    routes: Iterable[Route],
    method: str,
    path: str,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Reading:
    """What the first of the routes that takes the request makes of it, found as the edge finds it."""
    slashless = path.rstrip("/")
    for route in routes:
        prefixed = f"/{route.protocol}{route.path}"
        for form in (prefixed, route.path) if route.bare else (prefixed,):
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(form.rstrip("/")))
            found = re.fullmatch(pattern, slashless)
            if found and method in route.methods:
                inner = slashless.removeprefix(f"/{route.protocol}") or "/"
                params = {name: unquote(value) for name, value in found.groupdict().items()}
                return route.read(ask(method, inner, query, headers, body, params))
    raise LookupError(f"no route for {method} {path}")


def replay(protocol: str, request: Mapping[str, Any]) -> Reading:
    """The reading of a recorded request."""
    body = request.get("body", "")
    return read(
        routes_of(protocol),
        request["method"],
        request["path"],
        request.get("query", ""),
        request.get("headers", {}),
        body.encode() if isinstance(body, str) else orjson.dumps(body),
    )


def show(reading: Reading) -> dict[str, Any]:
    """A reading as it is recorded."""
    return {
        "answer": {"status": reading.answer.status, "body": show_body(reading.answer)},
        "rows": [show_row(row) for _, row in reading.rows],
        "refusals": [why.code for _, why in reading.refusals],
    }


def show_body(answer: Answer) -> Any:
    """JSON as a value, the pixel as "GIF", anything else as text."""
    if answer.body == GIF:
        return "GIF"
    if any(name == b"content-type" and b"json" in value for name, value in answer.headers):
        return orjson.loads(answer.body)
    return answer.body.decode()


def show_row(row: Row) -> dict[str, Any]:
    """The fields that say something."""
    event = Event(*row)
    payload = {name: getattr(event, name) for name in EMPTY if getattr(event, name) != EMPTY[name]}
    assert payload.pop("received_at") == NOW_MS
    if event.properties:
        payload["properties"] = json.loads(event.properties)
    return payload


def record(chosen: Iterable[str]) -> None:
    """Write what today's code makes of every recorded request."""
    for protocol in chosen:
        for path in cases(protocol):
            recorded = json.loads(path.read_text("utf-8"))
            content = {"request": recorded["request"], **show(replay(protocol, recorded["request"]))}
            path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    record(sys.argv[1:] or protocols())
