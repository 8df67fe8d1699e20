"""Matomo trackers: `GET|POST /matomo.php` and `/piwik.php`, one event or many (docs/protocols/matomo.md).

No client of Matomo sends anything twice, and none sends an id: ours is made of what the event says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import orjson

from ingest.protocols.lenient import money
from ingest.protocols.mapping import PIXEL, SERVER, make_row
from ingest.protocols.matomo.events import read_payload
from ingest.protocols.payload import ITEM_COUNT_MAX, derive_id, is_browser, load_json
from ingest.protocols.protocol import Answer, Ask, Reading, Route, error_answer, gif_answer, json_answer
from ingest.reading.body import TOO_LARGE, begins_json
from ingest.reading.fields import Rejection, Unacceptable, invalid, parse_signals
from ingest.reading.pixel import QUERY_LENGTH_MAX, parse_query
from ingest.reading.row import Row
from ingest.reading.sites import SECRET, Credential
from ingest.reading.times import NONE, SECONDS, Moment, parse_moment
from ingest.serving.answers import why_headers

PROTOCOL = "matomo"
UNTRUSTED_AGE_MS_MAX = 86_400_000  # an older `cdt` needs `token_auth` (docs/protocols/matomo.md)
PARAM_COUNT_MAX = 500
BULK_PARAM_COUNT_MAX = 200_000  # of all requests of a body: 200,000 x 1.5 µs = 0.3 s beside the loop
FORM_BYTES_MAX = 256_000  # of a body that is one event
OFFSET_SECONDS = re.compile(r"-?\d{1,10}(?:\.\d{1,9})?", re.ASCII)
# What the answer looks like and who asks is no part of the event.
NOT_IN_PAYLOAD = frozenset({"token_auth", "send_image", "apiv", "cdo", "queuedtracking"})
# Each of these tells two hits of one visitor apart.
TELLS_APART = ("rand", "r", "pv_id", "cdt")
CLOCK = frozenset({"h", "m", "s"})  # hour, minute, second where the visitor is
PLACE = ("country", "region", "city", "lat", "long")

MAPPING: Mapping[str, str] = MappingProxyType({
    "event_id": "`ec_id` of an order; else a hash of all parameters, with the second of receipt where a visitor is all"
    " that tells hits apart; made by the edge where nothing does",
    "site": "`idsite`, a public key of the site",
    "name": "`page_view`; `purchase` (`idgoal=0` with `ec_id`), `cart_update` (without), `goal`, the event's `e_a`,"
    " `site_search`, `download`, `outlink`, `content_impression`, `content_interaction`, `ping`",
    "source": "`server` with `token_auth` or from no browser, else `pixel`",
    "trust": "`token_auth`, the site's secret key",
    "occurred_at": "`cdt`, earlier by `cdo` seconds; without `token_auth` at most a day old",
    "ip": "`cip`, with `token_auth`",
    "user_agent": "`ua`",
    "language": "`lang`",
    "url": "`url`",
    "referrer": "`urlref`",
    "title": "`action_name`",
    "visitor_id": "`cid`, else `_id`",
    "user_id": "`uid`",
    "consent": "`consent`, `gdpr`, `gpp`, `gcs`, `gcd` and the like",
    "screen": "`res`",
    "value_e4": "`revenue`, `e_v`",
    "properties": "the rest of `e_*`, `ec_*`, `c_*`, `search*`; `link`, `download`, `idgoal`, `dimension<n>`, `cvar`,"
    " `pf_*`; with `token_auth` also `country`, `region`, `city`, `lat`, `long`",
})  # fmt: skip

TOO_LONG = Rejection(
    "oversize",
    "The event is too large.",
    f"expected at most {QUERY_LENGTH_MAX:,} bytes of query, {FORM_BYTES_MAX:,} of a form and {PARAM_COUNT_MAX}"
    " parameters",
)
TOKEN_IGNORED = "token_auth ignored: expected the site's secret key"
MISSING = Rejection(
    "missing_field",
    "The request holds no event.",
    "idsite and rec: expected ?idsite=<site key>&rec=1&url=...",
)


def read(ask: Ask) -> Reading:
    """One event, or a bulk body: which of them the body says (docs/protocols/matomo.md)."""
    if begins_json(ask.body):
        return _read_bulk(ask)
    reading = Reading(gif_answer())
    try:
        if len(ask.query) > QUERY_LENGTH_MAX or len(ask.body) > FORM_BYTES_MAX:
            raise Unacceptable(*TOO_LONG)
        params = _params(ask.query) | _params(ask.body.strip())
    except Unacceptable as problem:
        return Reading(_refuse(ask, problem.rejection, 413), refusals=[("", problem.rejection)])
    _take(ask, reading, params, params.get("token_auth", ""))
    if reading.refusals:
        return Reading(_refuse(ask, reading.refusals[0][1], 400), refusals=reading.refusals)
    answer = Answer(204) if params.get("send_image") == "0" else reading.answer
    if params.get("token_auth") and all(credential.trust != SECRET for credential, _ in reading.rows):
        told = (b"x-fairpixel-detail", TOKEN_IGNORED.encode())
        answer = replace(answer, headers=[*answer.headers, told])
    return replace(reading, answer=answer)


ROUTES = tuple(
    Route(PROTOCOL, path, ("GET", "POST"), read, is_pixel=True) for path in ("/matomo.php", "/piwik.php")
)


def _refuse(ask: Ask, why: Rejection, status: int) -> Answer:
    """A picture for a GET, with the reason in its headers; JSON for a POST."""
    if ask.method != "GET":
        return error_answer(why, status)
    picture = gif_answer(status)
    return Answer(status, picture.body, [*picture.headers, *why_headers(why)])


def _read_bulk(ask: Ask) -> Reading:
    """`{"requests": ["?idsite=1&rec=1&url=...", ...], "token_auth": ...}`; a request may also be an object."""
    try:
        if ask.body.count(b"&") > BULK_PARAM_COUNT_MAX:
            raise Unacceptable(*TOO_LARGE)
        requests, token = _split(load_json(ask.body, "body"))
    except Unacceptable as problem:
        why = problem.rejection
        status = 413 if why.code == "body_too_large" else 400
        answer = json_answer({"status": "error", "tracked": 0, "invalid": 0, **why._asdict()}, status)
        return Reading(answer, refusals=[("", why)])
    token = token or parse_query(ask.query[:QUERY_LENGTH_MAX]).get("token_auth", "")
    reading, refused = Reading(gif_answer()), []
    for index, request in enumerate(requests):
        if not _take(ask, reading, request, token, index):
            refused.append(index)
    payload: dict[str, Any] = {"status": "success", "tracked": len(reading.rows), "invalid": len(refused)}
    if _is_secret(ask, token):
        payload["invalid_indices"] = refused
    elif token and reading.rows:
        payload["detail"] = TOKEN_IGNORED
    if needed := next((why for _, why in reading.refusals if why.code == "secret_key_needed"), None):
        payload |= needed._asdict()
    return Reading(json_answer(payload), reading.rows, reading.refusals)


def _split(body: object) -> tuple[list[Any], str]:
    requests = body.get("requests") if isinstance(body, dict) else body
    token = body.get("token_auth") if isinstance(body, dict) else None
    if not isinstance(requests, list) or not requests:
        raise invalid("requests", 'a list of at least one request, such as "?idsite=1&rec=1&url=..."')
    if len(requests) > ITEM_COUNT_MAX:
        raise Unacceptable(*TOO_LARGE)
    return requests, token if isinstance(token, str) else ""


def _is_secret(ask: Ask, token: str) -> bool:
    credential = ask.sites.find(token)
    return credential is not None and credential.trust == SECRET


def _params(query: bytes) -> dict[str, str]:
    """Raises Unacceptable where there are too many."""
    if query.count(b"&") >= PARAM_COUNT_MAX:
        raise Unacceptable(*TOO_LONG)
    return parse_query(query) if query else {}


def _take(ask: Ask, reading: Reading, request: object, token: str, index: int = 0) -> bool:
    """Put one request into the reading, as a row or as a refusal; whether it is a row."""
    site = ""
    try:
        params = _texts(request)
        if not params:
            raise Unacceptable(*MISSING)
        credential = _find_credential(ask, params, token)
        site = credential.site
        if credential.trust != SECRET:
            _refuse_claims(params, params.get("token_auth") or token, ask.now_ms)
        reading.rows.append((credential, _read_one(ask, credential, params, index)))
    except Unacceptable as problem:
        reading.refusals.append((site, problem.rejection))
        return False
    return True


def _texts(request: object) -> dict[str, str]:
    """The parameters as text. Raises Unacceptable."""
    if isinstance(request, str):
        head, _, rest = request.partition("?")
        request = _params((request if "=" in head or not rest else rest).encode())
    if not isinstance(request, dict):
        raise invalid("requests", 'query strings such as "?idsite=1&rec=1&url=..."')
    return {name: _text(value) for name, value in request.items() if value not in (None, "")}


def _text(value: object) -> str:
    """A parameter as text; one of a request that is an object may be a number, a list or an object."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise invalid("requests", "parameters nested at most 250 deep") from None


def _find_credential(ask: Ask, params: Mapping[str, str], token: str) -> Credential:
    """Whose event it is; with the site's secret key as `token_auth`, a backend's. Raises Unacceptable.

    A token of another site, or of none, says nothing.
    """
    credential = ask.sites.find(params.get("idsite", ""))
    if credential is None:
        raise Unacceptable(
            "unknown_key", "The site key is not known here.", "idsite: expected a public key of a site"
        )
    trusted = ask.sites.find(params.get("token_auth") or token)
    return (
        trusted
        if trusted is not None and trusted.trust == SECRET and trusted.site == credential.site
        else credential
    )


def _read_one(ask: Ask, credential: Credential, params: Mapping[str, str], index: int) -> Row:
    if params.get("rec") != "1":
        raise Unacceptable(*MISSING)
    get = params.get
    secret = credential.trust == SECRET
    payload = read_payload(params)
    return make_row(
        ask,
        credential,
        protocol=PROTOCOL,
        source=PIXEL if is_browser(ask) and not secret else SERVER,
        name=payload.name,
        event_id=payload.event_id or _derive_id(ask, credential, params, index),
        occurred_at=_moment(params, ask.now_ms),
        ip=get("cip"),
        user_agent=get("ua"),
        language=get("lang"),
        url=get("url"),
        referrer=get("urlref"),
        title=get("action_name"),
        visitor_id=get("cid") or get("_id"),
        user_id=get("uid"),
        signals=parse_signals(params),
        screen=get("res"),
        value=money(payload.value),
        properties=payload.properties
        | ({name: params[name] for name in PLACE if get(name)} if secret else {}),
    )


def _refuse_claims(params: Mapping[str, str], token: str, now_ms: int) -> None:
    """What a hit may say with the site's secret key only. Matomo refuses it too: a backfill at the present minute, or a
    server's own address as everybody's, is worse than none. Raises Unacceptable."""
    moment = _moment(params, now_ms)
    is_old = moment is not NONE and now_ms - moment.ms > UNTRUSTED_AGE_MS_MAX
    if "cip" in params or is_old:
        name, such = ("cip", "") if "cip" in params else ("cdt", " for a time older than a day")
        wrong = "; the one that was given is not" if token else ""
        raise Unacceptable(
            "secret_key_needed",
            "The hit says what only the site's secret key may say.",
            f"{name}: expected with token_auth, the site's secret key{such}{wrong}",
        )


def _moment(params: Mapping[str, str], now_ms: int) -> Moment:
    """`cdt`, seconds since 1970 or a date and time in UTC, less the seconds of `cdo`: how long a hit waited in a queue.
    NONE where neither is said. Raises Unacceptable."""
    cdt, offset = params.get("cdt", ""), params.get("cdo", "")
    if not cdt and not offset:
        return NONE
    moment = parse_moment(cdt, "cdt", SECONDS) if cdt else Moment(now_ms)
    if offset:
        if not OFFSET_SECONDS.fullmatch(offset):
            raise invalid("cdo", "seconds")
        moment = moment._replace(ms=max(0, moment.ms - round(abs(float(offset)) * 1_000)))
    return moment


def _derive_id(ask: Ask, credential: Credential, params: Mapping[str, str], index: int) -> str | None:
    """An id made of the event, where anything tells it from the next one like it.

    A visitor alone does not: there the second of receipt does (docs/protocols/matomo.md), and the place in a bulk body.
    """
    payload: dict[str, Any] = {
        name: value for name, value in params.items() if value and name not in NOT_IN_PAYLOAD
    }
    if not any(name in payload for name in TELLS_APART) and not payload.keys() >= CLOCK:
        if "_id" not in payload and "cid" not in payload:
            return None
        payload["second, place"] = [ask.now_ms // 1_000, index]
    return derive_id(ask.sites.id_secret(credential.site), PROTOCOL, payload)
