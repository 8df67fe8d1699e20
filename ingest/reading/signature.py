"""Signed bodies: HMAC-SHA-256 over time and body under the site's secret key, so that the key itself never travels.

`X-Fairpixel-Signature: t=<seconds since 1970>,v1=<hex HMAC-SHA-256 of "t.body">`, the body as it is sent, compressed or
not. Several v1 may stand there while a key changes: one that fits is enough. A signature is good for 5 minutes around
its time; within them a replay has the same ids, so it is a duplicate.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from ingest.reading.fields import Rejection, Unacceptable

HEADER = b"x-fairpixel-signature"
HEADER_LENGTH_MAX = 1_000  # bytes
WINDOW_S = 300
_EXPECTED = (
    "X-Fairpixel-Signature: expected t=<seconds since 1970>,v1=<hex HMAC-SHA-256 of t, a dot and the body as sent,"
    " under the site's secret key>"
)
UNREADABLE = Rejection("signature_unreadable", "The signature cannot be read.", _EXPECTED)
WRONG = Rejection("signature_wrong", "The signature does not fit the body.", _EXPECTED)
EXPIRED = Rejection(
    "signature_expired",
    "The signature is too old, or of the future.",
    f"t: expected the time of sending within {WINDOW_S} s of ours; check the clock, and sign again for each try",
)
NO_SECRET = Rejection(
    "signature_without_key",
    "The site has no secret key to check the signature with.",
    "secrets.toml: expected secret_key for this site",
)
REJECTIONS = frozenset(one.code for one in (UNREADABLE, WRONG, EXPIRED, NO_SECRET))


def sign(secret_key: str, at_s: int, body: bytes) -> str:
    """The header's value for a body sent at this time."""
    return f"t={at_s},v1={_digest(secret_key, str(at_s), body)}"


def check_signature(value: bytes, secret_key: str, body: bytes, now_ms: int) -> str:
    """The digest that fits, in lower case. Raises Unacceptable saying what is wrong and what to do."""
    if not secret_key:
        raise Unacceptable(*NO_SECRET)
    at, digests = _parse(value)
    if abs(now_ms // 1000 - int(at)) > WINDOW_S:
        raise Unacceptable(*EXPIRED)
    expected = _digest(secret_key, at, body)
    if sum(hmac.compare_digest(expected, given) for given in digests) == 0:  # all are compared, whatever fits
        raise Unacceptable(*WRONG)
    return expected


def generated_id(digest: str, index: int) -> str:
    """The id of an event that came without one in a signed body: the same whenever that body comes again."""
    return sha256(f"{digest}.{index}".encode()).hexdigest()[:32]


def _digest(secret_key: str, at: str, body: bytes) -> str:
    return hmac.new(secret_key.encode(), at.encode() + b"." + body, sha256).hexdigest()


def _parse(value: bytes) -> tuple[str, list[str]]:
    """(t as it stands, every v1); other versions are passed over."""
    if len(value) > HEADER_LENGTH_MAX or not value.isascii():
        raise Unacceptable(*UNREADABLE)
    at, digests = "", []
    for part in value.decode("ascii").split(","):
        name, _, given = part.strip().partition("=")
        if name == "t":
            at = given
        elif name == "v1":
            digests.append(given.lower())
    if not (at.isdigit() and len(at) <= 12) or not digests:
        raise Unacceptable(*UNREADABLE)
    return at, digests
