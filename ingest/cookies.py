"""The first-party cookie: a random visitor, since when, and what was agreed to. Pure: values in, header values out.

One cookie a site, `fp_<site>`, with the value `<visitor>.<since>.<chosen>.<purposes>`: 32 hex digits, two times in
seconds since 1970 as hex digits, and the first letters of the purposes. It is not signed: a visitor is a claim of the
browser, and a forged one says no more than a public key may say anyway.
"""

from __future__ import annotations

import hmac
import re
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
_VALUE = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{1,9})\.([0-9a-f]{1,9})\.([nmpa]{1,4})")
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax"


class Visit(NamedTuple):
    """What a cookie says."""

    visitor: str  # 32 hex digits
    since: int  # s since 1970: when the visitor was first named
    chosen_at: int  # s since 1970
    purposes: tuple[Purpose, ...]


def cookie_name(site: str) -> str:
    """One for each site, as an edge may serve several: a choice on one says nothing on another."""
    return f"fp_{site}"


def read_visit(header: bytes, site: str, now_s: int) -> Visit | None:
    """The visit in a Cookie header (RFC 6265); None where there is none, or none that can be read, or an old one."""
    found = _VALUE.fullmatch(_find(header, site))
    if found is None:
        return None
    since, chosen_at = int(found[2], 16), int(found[3], 16)
    if not now_s - COOKIE_SECONDS_MAX < since <= now_s + 86_400:
        return None
    return Visit(found[1], since, chosen_at, tuple(p for letter, p in _LETTERS.items() if letter in found[4]))


def has_cookie(header: bytes, site: str) -> bool:
    """Whether the browser keeps a cookie of this site, readable or not."""
    return bool(_find(header, site))


def set_cookie(site: str, visit: Visit, now_s: int) -> bytes:
    """The Set-Cookie header that keeps a visit. Its end does not move when it is set again."""
    letters = "".join(_LETTER_OF[purpose] for purpose in visit.purposes)
    rest_s = max(0, visit.since + COOKIE_SECONDS_MAX - now_s)
    value = f"{visit.visitor}.{visit.since:x}.{visit.chosen_at:x}.{letters}"
    return f"{cookie_name(site)}={value}; Max-Age={rest_s}; {_ATTRIBUTES}".encode()


def delete_cookie(site: str) -> bytes:
    """The Set-Cookie header that ends it."""
    return f"{cookie_name(site)}=; Max-Age=0; {_ATTRIBUTES}".encode()


def derive_visitor(secret: bytes, seed: str) -> str:
    """A new visitor, 128 bits: HMAC-SHA-256 (RFC 2104) of what the page made from chance and repeats on a retry.

    So an event whose answer was lost comes again as the same visitor, with the cookie or without it.
    """
    return hmac.digest(secret, b"visitor\0" + seed.encode("utf-8", "surrogatepass"), "sha256")[:16].hex()


def _find(header: bytes, site: str) -> str:
    wanted = cookie_name(site)
    for part in header.decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return value
    return ""
