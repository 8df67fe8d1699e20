"""Plausible's script and events API: `POST /api/event` (docs/protocols/plausible.md).

Sent once, as text/plain, and the answer is not looked at: 202 `ok` stays as it is there. An event that is left out is
answered 202 too, with `x-plausible-dropped` and the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from ingest.protocols.lenient import currency, mapping, money
from ingest.protocols.mapping import SERVER, TAG, make_row
from ingest.protocols.payload import is_browser, load_json
from ingest.protocols.protocol import Answer, Ask, Reading, Route, json_answer, text_answer
from ingest.protocols.resent import Resent
from ingest.reading.fields import Rejection, Unacceptable, invalid, parse_address, parse_signals
from ingest.reading.pixel import parse_query
from ingest.reading.row import Row
from ingest.reading.sites import SECRET, Credential
from ingest.serving.answers import UNKNOWN_KEY, HeaderList
from schemas.consent import SIGNALS

PROTOCOL = "plausible"
BODY_BYTES_MAX = 1_000_000
NAME_LENGTH_MAX = 120  # characters
URL_BYTES_MAX = 2_000
REFERRER_LENGTH_MAX = 2_000  # characters; the rest is cut off
DOMAIN_COUNT_MAX = 50  # events of one request, one for each domain
PROPERTY_COUNT_MAX = 30  # the rest is left out
PROPERTY_NAME_BYTES_MAX = 300
PROPERTY_VALUE_BYTES_MAX = 2_000
# Properties that name the order of an event with `revenue`.
ORDER_IDS = ("order_id", "orderId", "order id", "Order ID", "transaction_id", "transactionId")
NAMES: Mapping[str, str] = {"pageview": "page_view"}

MAPPING: Mapping[str, str] = MappingProxyType({
    "event_id": "of an order its property `order_id` or `transaction_id`; the protocol has none, so the edge makes it,"
    " the same one for what a browser sends again within five seconds of the answer",
    "site": "`domain` or `d`, each of a list, `www.` or not; else the host of the url",
    "name": "`name` or `n`; `pageview` is `page_view`; with `revenue` and an order id `purchase`",
    "source": "`tag` from a browser, else `server`",
    "trust": "the site's secret key as Bearer",
    "url": "`url` or `u`",
    "referrer": "`referrer` or `r`",
    "consent": "`consent`, `gdpr`, `gpp`, `gcs`, `gcd` and the like, in the body or the query",
    "viewport": "`w`",
    "value_e4": "`revenue` or `$`: its `amount`",
    "currency": "`revenue` or `$`: its `currency`",
    "properties": "`props`, `p`, `m` or `meta`; `scroll_depth` from `sd`, `engagement_ms` from `e`, `interactive` from"
    " `i`; an order's own name as `original_event`",
})  # fmt: skip


def read(ask: Ask, resent: Resent | None = None) -> Reading:
    """One event for each domain it names. resent: what browsers sent a moment ago."""
    secret = _secret_credential(ask)
    if secret is not None and ask.headers.get(b"x-debug-request", b"").lower() == b"true":
        return Reading(text_answer(_network(ask.client.ip)))  # nothing is stored, as there
    try:
        body = _load(ask.body)
        domains = _domains(body)
    except Unacceptable as problem:
        return Reading(_refused(problem.rejection), refusals=[("", problem.rejection)])
    credentials = [_credential(ask, domain, secret) for domain in domains]
    reading = Reading(text_answer("ok", 202))
    reading.refusals.extend(("", UNKNOWN_KEY) for credential in credentials if credential is None)
    for credential in filter(None, credentials):
        try:
            reading.rows.append((credential, _read_one(ask, credential, body, resent)))
        except Unacceptable as problem:
            reading.refusals.append((credential.site, problem.rejection))
    if not reading.rows and (wrong := [why for site, why in reading.refusals if site]):
        return Reading(_refused(wrong[0]), refusals=reading.refusals)
    if resent is not None:
        sites = {credential.site for credential, _ in reading.rows}
        reading = replace(reading, on_kept=partial(_answered, resent, ask, sites))
    reasons = {why.code for _, why in reading.refusals}
    if any(_is_foreign(ask, credential) for credential, _ in reading.rows):
        reasons.add("origin_refused")
    if reasons:
        return replace(reading, answer=text_answer("ok", 202, _dropped(reasons)))
    return reading


def _answered(resent: Resent, ask: Ask, sites: Iterable[str], now_ms: int) -> None:
    for site in sites:
        resent.answered(ask, site, PROTOCOL, now_ms)


def read_health(ask: Ask) -> Reading:
    """For monitors that ask Plausible; whether hits can be accepted stands at /readyz."""
    return Reading(json_answer({"status": "ok"}))


def refuse(why: Rejection, status: int) -> Answer:
    """A request that never was an event here: Plausible's form for what is wrong with it."""
    return _refused(why, status)


ROUTES = (
    Route(PROTOCOL, "/api/event", ("POST",), partial(read, resent=Resent()), busy_status=503, refuse=refuse),
    Route(PROTOCOL, "/api/health", ("GET",), read_health),
)


def _secret_credential(ask: Ask) -> Credential | None:
    """The backend whose secret key came as Bearer, if one did."""
    scheme, _, key = ask.headers.get(b"authorization", b"").decode("latin-1").strip().partition(" ")
    credential = ask.sites.find(key.strip()) if scheme.lower() == "bearer" else None
    return credential if credential is not None and credential.trust == SECRET else None


def _credential(ask: Ask, domain: str, secret: Credential | None) -> Credential | None:
    bare = bare_domain(domain)
    forms = (domain, bare, f"www.{bare}")  # a key may be declared in any of them
    credential = next(filter(None, map(ask.sites.find, forms)), None)
    return (
        secret
        if credential is not None and secret is not None and secret.site == credential.site
        else credential
    )


def _is_foreign(ask: Ask, credential: Credential) -> bool:
    """Whether the edge will count the event as origin_refused; the endpoint decides, this only tells the sender."""
    origin = ask.headers.get(b"origin", b"").decode("latin-1")
    return bool(origin) and credential.trust != SECRET and not credential.may_come_from(origin)


def _dropped(reasons: set[str]) -> HeaderList:
    return [
        (b"x-plausible-dropped", b"1"),
        (b"x-drop-reason", ",".join(sorted(reasons)).encode("ascii", "replace")),
    ]


def _refused(why: Rejection, status: int = 400) -> Answer:
    """`{"errors": {field: [what is expected]}}`, and what every error of ours has."""
    field, _, expected = why.detail.partition(": ")
    return json_answer({"errors": {field: [expected or why.message]}, **why._asdict()}, status)


def _network(ip: str) -> str:
    """An address without its host, as it is kept: /24 or /48."""
    address = parse_address(ip)
    return str(ip_network(f"{address}/{48 if ':' in address else 24}", strict=False)) if address else ""


def _load(body: bytes) -> dict[str, Any]:
    if len(body) > BODY_BYTES_MAX:
        raise Unacceptable(
            "oversize", "The event is too large.", f"body: expected at most {BODY_BYTES_MAX:,} bytes"
        )
    loaded = load_json(body, "body")
    if not isinstance(loaded, dict):
        raise invalid("body", 'an object such as {"n": "pageview", "u": "https://...", "d": "shop.example"}')
    return loaded


def _first(body: Mapping[str, Any], *names: str) -> Any:
    """The value under the long or the short name; None for none."""
    return next((body[name] for name in names if body.get(name) not in (None, "")), None)


def bare_domain(domain: str) -> str:
    """A domain as Plausible goes by it: without `www.`, in small letters."""
    return domain.lower().removeprefix("www.")


def _domains(body: Mapping[str, Any]) -> list[str]:
    """The domains, each once, `www.` or not. Raises Unacceptable."""
    given, url = _first(body, "domain", "d"), _first(body, "url", "u")
    if given is None and isinstance(url, str):
        given = _host(url)
    if not isinstance(given, str):
        raise invalid("domain", "a domain, or several by comma")
    named = [domain.strip() for domain in given.split(",", DOMAIN_COUNT_MAX) if domain.strip()]
    unique: dict[str, str] = {}
    for domain in named:
        unique.setdefault(bare_domain(domain), domain)
    domains = list(unique.values())
    if not domains or "," in domains[-1]:
        raise invalid("domain", f"one to {DOMAIN_COUNT_MAX} domains, by comma")
    return domains


def _host(url: str) -> str:
    try:
        return bare_domain(urlsplit(url).hostname or "")
    except ValueError:
        return ""


def _read_one(ask: Ask, credential: Credential, body: Mapping[str, Any], resent: Resent | None) -> Row:
    name, url = _name(body), _url(body)
    referrer = _first(body, "referrer", "r")
    properties = _properties(body)
    amount, unit = _revenue(_first(body, "revenue", "$"))
    order = (
        next((properties[key] for key in ORDER_IDS if key in properties), None)
        if amount is not None
        else None
    )
    if order is not None:
        properties = {key: value for key, value in properties.items() if key not in ORDER_IDS}
        properties |= {"original_event": name}
        name = "purchase"
    made = resent.id_of(ask, credential.site, PROTOCOL) if resent is not None else None
    return make_row(
        ask,
        credential,
        protocol=PROTOCOL,
        source=TAG if is_browser(ask) and credential.trust != SECRET else SERVER,
        name=NAMES.get(name, name),
        event_id=str(order) if order is not None else made,
        url=url,
        referrer=referrer[:REFERRER_LENGTH_MAX] if isinstance(referrer, str) else None,
        signals=_signals(ask, body),
        viewport=_number(body.get("w")),
        value=amount,
        currency=unit,
        properties=properties | _engagement(name, body),
    )


def _name(body: Mapping[str, Any]) -> str:
    name = _first(body, "name", "n")
    if not isinstance(name, str) or len(name) > NAME_LENGTH_MAX:
        raise invalid("event_name", f"text of 1 to {NAME_LENGTH_MAX} characters")
    return name


def _url(body: Mapping[str, Any]) -> str:
    url = _first(body, "url", "u")
    if not isinstance(url, str) or len(url.encode()) > URL_BYTES_MAX or url[:5].lower() == "data:":
        raise invalid("url", f"an address of at most {URL_BYTES_MAX:,} bytes that is no data: address")
    return url


def _object(given: Any) -> Mapping[str, Any]:
    """An object or its JSON as text; an empty one for anything else, as a script hears no refusal."""
    if isinstance(given, str):
        try:
            given = load_json(given, "")
        except Unacceptable:
            return {}
    return mapping(given)


def _properties(body: Mapping[str, Any]) -> dict[str, Any]:
    """The first 30 scalars of the properties; what is longer than Plausible takes is left out."""
    given = _object(_first(body, "props", "p", "meta", "m"))
    kept: dict[str, Any] = {}
    for key, value in given.items():
        if not isinstance(value, (str, int, float)) or value == "":
            continue
        too_long = isinstance(value, str) and len(value.encode()) > PROPERTY_VALUE_BYTES_MAX
        if not too_long and len(key.encode()) <= PROPERTY_NAME_BYTES_MAX:
            kept[key] = value
        if len(kept) == PROPERTY_COUNT_MAX:
            break
    return kept


def _revenue(given: Any) -> tuple[Any, Any]:
    """(amount, currency); both, or none where either cannot be read."""
    found = _object(given)
    amount, unit = money(found.get("amount")), currency(found.get("currency"))
    return (None, None) if amount is None or not unit else (amount, unit)


def _engagement(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Scroll depth in percent, engaged time in ms, and whether an event is an interaction. Raises Unacceptable."""
    found = {
        our_name: body[key]
        for key, our_name in (("sd", "scroll_depth"), ("e", "engagement_ms"))
        if isinstance(body.get(key), (int, float)) and not isinstance(body[key], bool)
    }
    if name == "engagement" and not found:
        raise invalid("engagement", "sd (scroll depth) or e (engaged milliseconds) as numbers")
    interactive = _first(body, "interactive", "i")
    return found | ({"interactive": interactive} if isinstance(interactive, bool) else {})


def _number(value: Any) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _signals(ask: Ask, body: Mapping[str, Any]) -> str:
    """Consent signals of the body, those of the address where it has none."""
    query = parse_query(ask.query) if ask.query else {}
    return parse_signals({name: body.get(name) or query.get(name) for name in SIGNALS})
