"""Other systems' clients: every route reads any query and body as rows that survive a pack."""

from __future__ import annotations

from dataclasses import replace

from ingest.endpoints.routes import ROUTES
from ingest.protocols.protocol import Ask
from ingest.reading.client import Client
from ingest.reading.fields import Unacceptable
from ingest.reading.sites import Sites
from runtime.config import parse_config
from tests.fuzz.pieces import check_rows
from tests.ingest.builders import NOW_MS

LENGTH_MAX = 4_000
_SITES = Sites.of(parse_config("[sites.demo]\n"), {})
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64)", "python-requests/2")
_TYPES = (b"application/json", b"text/plain", b"application/x-www-form-urlencoded", b"")
_CALLS = (
    b'{"batch": [{"type": "track", "event": "a", "messageId": "", "properties": {"revenue": "1"}, "writeKey": "demo"}],'
    b' "writeKey": "demo", "api_key": "demo", "sentAt": "2026-01-31T12:00:00Z"}'
)
_BODIES = (
    _CALLS,
    b'{"api_key": "demo", "batch": [{"event": "$pageview", "distinct_id": "d", "properties": {"$current_url": "x"}}]}',
    b'{"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4",'
    b' "data": [{"e": "pv", "aid": "demo", "p": "web", "url": "x", "cx": "e30", "dtm": "1763799990000"}]}',
    b'{"requests": ["?idsite=demo&rec=1&url=x&cdt=1763799990"], "token_auth": "demo"}',
    b'{"name": "pageview", "domain": "demo", "url": "https://demo/", "props": {"a": 1}, "revenue": {"amount": "1"}}',
    b'{"client_id": "1", "events": [{"name": "purchase", "params": {"items": [{}]}}], "timestamp_micros": 1}',
)
_QUERY = b"k=demo&idsite=demo&rec=1&aid=demo&e=pv&measurement_id=demo&api_secret=demo&data=eyJhIjoxfQ&v=1&tid=demo\n"
SEEDS = tuple(
    bytes([0, number]) + _QUERY + body for number in range(len(ROUTES)) for body in _BODIES[number % 2 :: 2]
)
WORDS = (
    b'"batch"', b'"properties"', b'"context"', b'"timestamp"', b'"revenue"', b'"products"', b'"writeKey"',
    b'"api_key"',
    b'"$set"', b'"distinct_id"', b'"data"', b'"schema"', b'"requests"', b'"params"', b'"items"', b'"consent"', b"NaN",
    b"1e999", b'"\\ud800"', b"&url=", b"&cvar=", b"&ec_items=", b"&ue_px=", b"&co=", b"&data=", b"&en=", b"&ep.a=",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """Two bytes choose headers and route; the first line is the query, the rest the body."""
    if len(data) < 3:
        return
    route = ROUTES[data[1] % len(ROUTES)]
    query, _, body = data[2:].partition(b"\n")
    user_agent, content_type = _AGENTS[data[0] & 1], _TYPES[data[0] >> 1 & 3]
    headers = {b"content-type": content_type}
    if data[0] & 8:
        headers[b"authorization"] = b"Basic ZGVtbzo="
    if data[0] & 16:
        headers[b"authorization"] = b"Bearer " + query[:20]
    ask = Ask(
        "POST", route.path, query, headers, body, Client("203.0.113.9", user_agent, "de", "", 0, ""), NOW_MS, _SITES,
        lambda: "made", {"site": "demo", "key": "demo"},
    )  # fmt: skip
    for method in route.methods:
        try:
            reading = route.read(replace(ask, method=method, body=body if method == "POST" else b""))
        except Unacceptable:
            continue
        assert 200 <= reading.answer.status < 500, reading.answer.status
        check_rows([row for _, row in reading.rows])
