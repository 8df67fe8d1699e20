"""Who comes over a link from another domain of the same site: a token for one use within two minutes.

A token is URL-safe base64 of a nonce and a sealed visit (AES-256-GCM, NIST SP 800-38D): nobody can read, change or make
one without the site's secret. It counts between the site and the host it was made for, and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from collections import OrderedDict

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ingest.cookies import Visit
from schemas.consent import Purpose

TOKEN_MS_MAX = 120_000  # from making to first use
NONCE_BYTES = 12
USED_MAX = 100_000  # remembered uses; 100,000 x about 250 bytes = 25 MB. Beyond it the oldest are forgotten
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


class UsedTokens:
    """Which tokens were used, and by which page: a page that says its events again may say its token again.

    In the memory of one process: behind several workers a token could count once at each of them within its two
    minutes, and after a restart once more.
    """

    def __init__(self) -> None:
        self._used: OrderedDict[str, tuple[str, int]] = OrderedDict()  # token -> page, when in ms

    def claim(self, token: str, page: str, made_at: int, now_ms: int) -> bool:
        """Whether this page view may use this token now; from then on no other may."""
        self._forget(now_ms)
        used = self._used.get(token)
        if used is not None:
            return bool(page) and used[0] == page
        if not -TOKEN_MS_MAX <= now_ms - made_at <= TOKEN_MS_MAX:
            return False
        self._used[token] = page, now_ms
        return True

    def _forget(self, now_ms: int) -> None:
        used = self._used
        while used and (len(used) >= USED_MAX or next(iter(used.values()))[1] < now_ms - RETRY_MS_MAX):
            used.popitem(last=False)
