"""The first-party cookie: a random visitor, since when, and what was agreed to. Pure: values in, header values out.

One cookie a site, `__Host-fp_<site>`, with the value `<visitor>.<since>.<chosen>.<purposes>.<signature>`: 32 hex
digits, two times in seconds since 1970 as hex digits, the first letters of the purposes, and 128 bits of HMAC-SHA-256
(RFC 2104) over site and value in URL-safe base64. A cookie whose signature does not hold is none. The prefix makes
browsers refuse it from anybody but this host (RFC 6265bis, section 4.1.3.2): a signature alone would let a neighbour
host give a person the cookie of somebody else.

Versions before December 2026 set `fp_<site>`, the same without a signature. Such a cookie goes on naming its visitor on
events, which any event of a public key may do as well, but it proves nothing: it makes no link to another domain, and
it is never signed, as anybody could have invented it.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from schemas.consent import Purpose

COOKIE_SECONDS_MAX = 395 * 86_400  # 13 months from its first day, whatever happens in between
_LETTERS = {
    "n": Purpose.NECESSARY,
    "m": Purpose.MEASUREMENT,
    "p": Purpose.PERSONALISATION,
    "a": Purpose.MARKETING,
}
_LETTER_OF = {purpose: letter for letter, purpose in _LETTERS.items()}  # a as in advertising
_VALUE = re.compile(
    r"([0-9a-f]{32})\.([0-9a-f]{1,9})\.([0-9a-f]{1,9})\.([nmpa]{1,4})(?:\.([A-Za-z0-9_-]{22}))?"
)
VALUE_LENGTH_MAX = 100  # characters; ours have at most 81
# Cookies of one name that are looked at: other hosts of a domain may have set one before ours.
SAME_NAME_MAX = 5
# Visitors named later than this have a signature: unsigned cookies end by themselves, 13 months later.
UNSIGNED_SINCE_S_MAX = 1_798_761_600  # 2027-01-01
SIGNATURE_BYTES = 16
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax"


class Visit(NamedTuple):
    """What a cookie says."""

    visitor: str  # 32 hex digits
    since: int  # s since 1970: when the visitor was first named
    chosen_at: int  # s since 1970
    purposes: tuple[Purpose, ...]
    is_signed: bool = True  # False: of a version that did not sign; a claim of the browser


def cookie_key(site_secret: bytes) -> bytes:
    """The key of a site's cookies: the same at every worker and edge that has the platform's identity secret."""
    return hmac.digest(site_secret, b"visitor cookie v1", "sha256")


def cookie_name(site: str) -> str:
    """One for each site, as an edge may serve several: a choice on one says nothing on another."""
    return f"__Host-fp_{site}"


def unsigned_name(site: str) -> str:
    """The name of one that is not signed."""
    return f"fp_{site}"


def read_visit(header: bytes, site: str, key: bytes, now_s: int) -> Visit | None:
    """The visit in a Cookie header (RFC 6265); None where there is none, or none that can be read, or an old one.

    key: see `cookie_key`. Of several, the first that is signed; one that is not counts only where none is, and each
    under its own name alone.
    """
    for name in (cookie_name(site), unsigned_name(site)):
        for value in _find(header, name):
            visit = _read_value(value, site, key) if len(value) <= VALUE_LENGTH_MAX else None
            if visit is None or not now_s - COOKIE_SECONDS_MAX < visit.since <= now_s + 86_400:
                continue
            if visit.is_signed == (name == cookie_name(site)):
                return visit
    return None


# A browser sends its cookie with each hit: 0.2 µs instead of 3. 8,192 x about 500 bytes = 4 MB.
@lru_cache(maxsize=8_192)
def _read_value(value: str, site: str, key: bytes) -> Visit | None:
    found = _VALUE.fullmatch(value)
    if found is None:
        return None
    payload, _, signature = value.rpartition(".") if found[5] else (value, "", "")
    if signature and not hmac.compare_digest(_sign(payload, site, key), signature):
        return None
    visitor, since, chosen_at = found[1], int(found[2], 16), int(found[3], 16)
    if not signature and since > UNSIGNED_SINCE_S_MAX:
        return None
    purposes = tuple(p for letter, p in _LETTERS.items() if letter in found[4])
    return Visit(visitor, since, chosen_at, purposes, bool(signature))


def set_cookie(site: str, visit: Visit, key: bytes, now_s: int) -> bytes:
    """The Set-Cookie header that keeps a visit. Its end does not move when it is set again.

    What came unsigned stays so: a signature would turn a claim into a proof.
    """
    letters = "".join(_LETTER_OF[purpose] for purpose in visit.purposes)
    rest_s = max(0, visit.since + COOKIE_SECONDS_MAX - now_s)
    value = f"{visit.visitor}.{visit.since:x}.{visit.chosen_at:x}.{letters}"
    if visit.is_signed:
        value = f"{value}.{_sign(value, site, key)}"
    name = cookie_name(site) if visit.is_signed else unsigned_name(site)
    return f"{name}={value}; Max-Age={rest_s}; {_ATTRIBUTES}".encode()


def _sign(payload: str, site: str, key: bytes) -> str:
    digest = hmac.digest(key, f"{site}\0{payload}".encode(), "sha256")[:SIGNATURE_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def delete_cookie(header: bytes, site: str) -> bytes | None:
    """The Set-Cookie header that ends the cookie in a Cookie header, readable or not; None where there is none."""
    names = (name for name in (cookie_name(site), unsigned_name(site)) if any(_find(header, name)))
    name = next(names, None)
    return f"{name}=; Max-Age=0; {_ATTRIBUTES}".encode() if name else None


def derive_visitor(secret: bytes, seed: str) -> str:
    """A new visitor, 128 bits: HMAC-SHA-256 (RFC 2104) of what the page made from chance and repeats on a retry.

    So an event whose answer was lost comes again as the same visitor, with the cookie or without it.
    """
    return hmac.digest(secret, b"visitor\0" + seed.encode("utf-8", "surrogatepass"), "sha256")[:16].hex()


def _find(header: bytes, name: str) -> Iterator[str]:
    """The values under a name of ours, "" for an empty one; by searching, as a header may hold 60,000 others."""
    wanted, at = name.encode() + b"=", -1
    for _ in range(SAME_NAME_MAX):
        at = header.find(wanted, at + 1)
        while at > 0 and header[at - 1] not in b"; \t":  # the end of a longer name
            at = header.find(wanted, at + 1)
        if at < 0:
            return
        end = header.find(b";", at)
        yield header[at + len(wanted) : end if end >= 0 else len(header)].decode("latin-1").strip()
