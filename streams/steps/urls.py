"""Takes from a page's address what may be kept: host, path, listed query keys, campaign, where a visit came from."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_plus, urlencode

from streams.columns.batch import CleanBatch, replace
from streams.columns.memo import Memo
from streams.rules import Rules
from streams.steps.findings import TOKEN_MASK
from streams.steps.scrub import scrub_all
from streams.steps.tokens import mask_tokens, secret_names

UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
HOST_LENGTH_MAX = 253  # characters, RFC 1035
# A campaign's query strings repeat; those with a click's own id do not, and are longer. 0.2 µs a hit; a miss costs 8
# with three listed keys and 1.4 with none.
QUERIES_MAX = 16_384  # 16,384 x about 600 bytes = 10 MB at the most
QUERY_LENGTH_KNOWN_MAX = 200  # characters
_SEARCH = (
    "google.", "bing.", "duckduckgo.", "yahoo.", "ecosia.", "qwant.", "baidu.", "yandex.", "startpage.",
    "search.brave.",
)  # fmt: skip
_SOCIAL = (
    "facebook.", "instagram.", "linkedin.", "lnkd.", "twitter.", "t.co", "x.com", "reddit.", "pinterest.", "tiktok.",
    "youtube.", "mastodon.", "bsky.", "threads.",
)  # fmt: skip
_PAID = (
    "cpc", "ppc", "paid", "paidsearch", "paid_search", "paid-search", "display", "banner", "cpm", "cpv", "retargeting",
)  # fmt: skip


# Scheme, login, host, port, path; a path's parameters (`;`) and all behind them are left out.
_ADDRESS = re.compile(
    r"(?:(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#\\@]*@)*(?P<host>\[[0-9A-Fa-f:.]*\]|[^/?#\\:@\s]*)(?::[0-9]*)?)?"
    r"(?P<path>/[^?#;]*)?"
)


class Place(NamedTuple):
    """Host in small letters and path."""

    host: str
    path: str


def read_place(address: str) -> Place:
    """Of an address up to its query; both "" for what is no address: unclear input gives less."""
    found = _ADDRESS.match(address)
    if found is None:
        return Place("", "")
    return Place((found["host"] or "").lower()[:HOST_LENGTH_MAX], found["path"] or "")


class Query(NamedTuple):
    """What is kept of a query string."""

    query: str  # listed keys, in the order they came
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_term: str = ""
    utm_content: str = ""


NOTHING = Query("")


def keep_query(query: str, keys: frozenset[str]) -> Query:
    """The listed keys alone, their values scrubbed; campaign names apart. What has no value is left out."""
    names, values = [], []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if value and (name := _unquote(name)) in keys:
            names.append(name)
            values.append(_unquote(value))
    if not names:
        return NOTHING
    if announced := _announced(keys):
        values = [
            mask_tokens(value, TOKEN_MASK) if name in announced else value
            for name, value in zip(names, values, strict=True)
        ]
    kept = list(zip(names, scrub_all(values), strict=True))
    campaign = {key: value for key, value in reversed(kept) if key in UTM}
    rest = [(key, value) for key, value in kept if key not in UTM]
    return Query(urlencode(rest) if rest else "", *(campaign.get(key, "") for key in UTM))


@lru_cache(maxsize=1_000)  # a site's keys stay
def _announced(keys: frozenset[str]) -> frozenset[str]:
    """Those of a site's keys whose value is a token where it looks like one."""
    return frozenset().union(*secret_names(sorted(keys)))


def query_of(rules: Rules, case: tuple[str, str]) -> Query:
    """What a site keeps of a query string, with or without a fragment behind it."""
    site, query = case
    return keep_query(query.partition("#")[0], rules.of(site).query_keys)


def _unquote(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def referrer_host_of(referrer: str) -> str:
    """The host alone; no path of another site is kept for anybody."""
    return read_place(referrer).host


Visit = tuple[str, str, str, str, str]  # source, host, referrer_host, utm_source, utm_medium


def channel_of(visit: Visit) -> str:
    """email, paid, social, search, affiliate, campaign, referral, internal, direct; "" for events of a backend."""
    source, host, referrer_host, utm_source, utm_medium = visit
    medium = utm_medium.lower()
    if source == "email" or medium in ("email", "e-mail", "newsletter"):
        return "email"
    if medium in _PAID:
        return "paid"
    if medium in ("affiliate", "affiliates"):
        return "affiliate"
    if medium.startswith("social"):
        return "social"
    if utm_source or medium:
        return "campaign"
    if source in ("server", "direct"):
        return ""
    if not referrer_host:
        return "direct"
    if referrer_host == host:
        return "internal"
    if _belongs(referrer_host, _SEARCH):
        return "search"
    return "social" if _belongs(referrer_host, _SOCIAL) else "referral"


def _belongs(host: str, names: tuple[str, ...]) -> bool:
    dotted = f".{host}."
    return any(f".{name}" in dotted for name in names)


_places = Memo(read_place, size_max=32_768)  # 1.5 µs an address; 32,768 x about 500 bytes = 16 MB at the most
_referrers = Memo(referrer_host_of, size_max=16_384)  # 16,384 x about 400 bytes = 7 MB at the most
_channels = Memo(channel_of, size_max=16_384)  # 16,384 x about 400 bytes = 7 MB at the most


def split_urls(rules: Rules, batch: CleanBatch) -> CleanBatch:
    """Fill host, path, query, utm_*, referrer_host and channel; empty url and referrer."""
    columns: dict[str, Any] = {
        "referrer_host": _referrers.of_all(batch.referrer) if any(batch.referrer) else []
    }
    if any(batch.url):
        parts = [url.partition("?") for url in batch.url]  # pages repeat, whole addresses do not
        places = _places.of_all([part[0] for part in parts])
        known = rules.memo(query_of, QUERIES_MAX)
        known.make_room()
        queries = [
            NOTHING if not query or "#" in address
            else known[site, query] if len(query) <= QUERY_LENGTH_KNOWN_MAX
            else query_of(rules, (site, query))
            for (address, _, query), site in zip(parts, batch.site, strict=True)
        ]  # fmt: skip
        columns |= zip(Place._fields, map(list, zip(*places, strict=True)), strict=True)
        columns |= zip(Query._fields, map(list, zip(*queries, strict=True)), strict=True)
    nothing = [""] * len(batch)
    others = [columns.get(name) or nothing for name in ("host", "referrer_host", "utm_source", "utm_medium")]
    columns["channel"] = _channels.of_all(zip(batch.source, *others, strict=True))
    return replace(batch, url=[], referrer=[], **columns)
