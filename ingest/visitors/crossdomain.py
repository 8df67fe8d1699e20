"""Who comes over a link from another domain of the same site: a token for one use within two minutes.

A token is URL-safe base64 of a nonce and a sealed visit (AES-256-GCM, NIST SP 800-38D): nobody can read, change or make
one without the site's secret. It counts between the site and the host it was made for, and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ingest.visitors.cookies import Visit
from schemas.consent import Purpose
from schemas.identity import keyed_hash

TOKEN_MS_MAX = 120_000  # from making to first use
NONCE_BYTES = 12
RETRY_MS_MAX = 600_000  # so long the page that used a token may say it again
TOKEN_LENGTH_MAX = 200  # characters
_BODY = struct.Struct(">16sIQ")  # visitor, since in s, made at in ms


def link_key(site_secret: bytes) -> bytes:
    """The key of a site's tokens."""
    return hmac.digest(site_secret, b"cross-domain link v1", "sha256")


def encode_token(visit: Visit, host: str, key: bytes, nonce: bytes, now_ms: int) -> str:
    """A token that takes this visitor to `host`. nonce: 12 random bytes, never used twice under a key."""
    body = _BODY.pack(bytes.fromhex(visit.visitor), visit.since, now_ms)
    sealed = AESGCM(key).encrypt(nonce, body, host.lower().encode())
    return _text(nonce + sealed)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_token(token: str, host: str, key: bytes) -> tuple[Visit, int] | None:
    """(the visit, when the token was made in ms); None for what is no token of ours for this host."""
    if not 0 < len(token) <= TOKEN_LENGTH_MAX:
        return None
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if _text(raw) != token:  # other letters for the same bytes would be a second use
            return None
        body = AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], host.lower().encode())
        visitor, since, made_at = _BODY.unpack(body)
    except (binascii.Error, ValueError, InvalidTag, struct.error):
        return None
    return Visit(visitor.hex(), since, 0, (Purpose.NECESSARY, Purpose.MEASUREMENT)), made_at


class Use(NamedTuple):
    """The first use of a token."""

    page: str  # a keyed hash of the page view
    at_ms: int


class Uses(Protocol):
    """Remembers which tokens were used, for everybody who could take one a second time."""

    def begin(self, token: str, use: Use) -> bool:
        """Remember the first use; False where the token was used already, or where it cannot be remembered."""

    def find(self, token: str) -> Use | None:
        """The first use; None where there was none, or where it cannot be read."""


def claim(uses: Uses, secret: bytes, token: str, page: str, made_at: int, now_ms: int) -> bool:
    """Whether this page view may use this token now; from then on no other may, and this one for RETRY_MS_MAX, as a
    page that says its events again says its token again.

    secret: the site's, so that who sees what is remembered learns nothing of token or page.
    """
    name = keyed_hash(secret, "used link", token)
    by = keyed_hash(secret, "page of a used link", f"{token}\0{page}")
    if abs(now_ms - made_at) <= TOKEN_MS_MAX and uses.begin(name, Use(by, now_ms)):
        return True
    first = uses.find(name)
    return bool(page) and first is not None and first.page == by and not is_forgotten(first, now_ms)


def is_forgotten(use: Use, now_ms: int) -> bool:
    """Whether a use says nothing any more. A token that was used is too old by then: at most 2 x TOKEN_MS_MAX after its
    first use, as clocks may differ by one."""
    return abs(now_ms - use.at_ms) > RETRY_MS_MAX
