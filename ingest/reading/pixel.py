"""The pixel's query string as one event: parameters of `GET /p.gif` → `Row` or `Rejection`."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import unquote

import orjson

from ingest.reading.client import Client
from ingest.reading.fields import (
    KINDS,
    Rejection,
    Unacceptable,
    parse_currency,
    parse_id,
    parse_name,
    parse_signals,
    parse_value,
    refuse_fingerprinting,
)
from ingest.reading.row import Row, build_row, check_properties_size
from ingest.reading.sites import SECRET, Credential
from ingest.reading.times import parse_claim
from schemas.event import EVENT_ID_LENGTH_MAX, TEXT_LENGTH_MAX, Flag

GIF = bytes.fromhex(
    "4749463839610100010080000000000000000021f90401000000002c00000000010001000002024401003b"
)  # 43 bytes: one transparent point
KEY_NAMES = ("k", "writeKey", "aid", "api_key", "idsite", "domain")
QUERY_LENGTH_MAX = 16_000  # bytes; browsers and proxies stop well below
PARAMS_MAX = 1_000  # 1,000 x 2 µs
ESCAPES_MAX = 300_000  # in a body that is a form: 300,000 x 0.2 µs = 60 ms
ID_GENERATED = int(Flag.ID_GENERATED)

Params = dict[str, str]


def parse_query(query: bytes) -> Params:
    """The parameters of a query string, percent-decoded; of several with one name the last counts.

    None of more than PARAMS_MAX, as nobody could say what those left out would have taken back, nor of more than
    ESCAPES_MAX.
    """
    if len(query) > PARAMS_MAX and (query.count(b"&") >= PARAMS_MAX or query.count(b"%") > ESCAPES_MAX):
        return {}
    text = query.decode("utf-8", "replace")
    if "+" in text:  # seldom, so that each part is searched for one sign and not for two
        text = text.replace("+", "%20")
    params = {}
    for part in text.split("&"):
        name, _, value = part.partition("=")
        if "%" in part:
            name = unquote(name)
            value = _unquote(value) if len(value) <= 300 else unquote(value)
        params[name] = value
    return params


def find_key(params: Params) -> str:
    """The site key of a pixel, by any of the names other trackers use for it; "" for none."""
    for name in KEY_NAMES:
        if key := params.get(name):
            return key
    return ""


def parse_pixel(
    params: Params, credential: Credential, client: Client, now_ms: int, generated_id: str
) -> Row | Rejection:
    """One pixel as one event.

    generated_id: the id to use where the client sent none.
    """
    get = params.get
    try:
        name = get("e") or "page_view"
        if name != "page_view":
            name = parse_name(name, "e")
        event_id, flags = get("id"), client.flags
        if not event_id:
            event_id = generated_id
            flags |= ID_GENERATED
        elif len(event_id) > EVENT_ID_LENGTH_MAX:
            event_id = parse_id(event_id, "id")
        occurred_at = 0
        if "ts" in params:
            trusted = credential.trust == SECRET
            occurred_at, changed = parse_claim(params["ts"], "ts", now_ms, trusted=trusted)
            flags |= changed
        return build_row(
            event_id,
            credential.site,
            name,
            KINDS.get(name, "custom"),
            "pixel",
            "native",
            credential.trust,
            occurred_at,
            0,  # sent_at
            now_ms,
            client.ip,
            client.user_agent,
            client.language,
            (get("url") or client.page)[:TEXT_LENGTH_MAX],
            get("ref", "")[:TEXT_LENGTH_MAX],
            "",  # title
            # A look is 0.03 µs, a call 0.1: few pixels name anybody.
            _short(params["a"]) if "a" in params else "",
            _short(params["u"]) if "u" in params else "",
            "",  # session_id
            parse_signals(params),
            flags,
            "",  # screen
            "",  # viewport
            "",  # timezone
            parse_value(params["v"], "v") if "v" in params else 0,
            parse_currency(params["cur"], "cur") if "cur" in params else "",
            _properties(params),
        )
    except Unacceptable as problem:
        return problem.rejection


def _short(identifier: str) -> str:
    return identifier if len(identifier) <= EVENT_ID_LENGTH_MAX else parse_id(identifier, "")


def _properties(params: Params) -> str:
    if "p." not in " ".join(params):  # nearly always: 0.25 µs instead of 0.5
        return ""
    given = {name[2:]: value for name, value in params.items() if name[:2] == "p." and len(name) > 2}
    if not given:
        return ""
    refuse_fingerprinting(given, "p")
    return check_properties_size(orjson.dumps(given), "p.<name>")


@lru_cache(
    maxsize=8_192
)  # pages and campaigns repeat: 0.1 µs instead of 3 an address; 8,192 x at most 1.5 kB = 12 MB
def _unquote(value: str) -> str:
    return unquote(value)
