"""Signed links of mails: the open pixel and the click redirect. No address in them, and nobody else can make one.

A token is URL-safe base64 (RFC 4648, section 5, unpadded) of a 16-byte tag and a JSON list. The tag is HMAC-SHA-256
(RFC 2104) cut to 128 bits, under a key derived from the platform's identity secret.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import orjson

OPEN, CLICK = "o", "c"
TAG_BYTES = 16
TOKEN_LENGTH_MAX = 6_000  # characters; servers and proxies take addresses of 8,000
TARGET_LENGTH_MAX = 2_000  # characters
WORD_LENGTH_MAX = 100  # characters of message, recipient and consent
TIME_MS_MAX = 253_402_300_799_999  # the end of the year 9999
_LABEL = b"mail link v1"
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\]", re.IGNORECASE)
_UNSAFE = re.compile(
    r"[\x00-\x20\x7f\\]"
)  # browsers read a backslash as a slash, and pass over tab and newline


class LinkError(ValueError):
    """A link that cannot be made; the text names what was expected and never repeats a value."""


@dataclass(frozen=True, slots=True)
class MailLink:
    """What a token says. Its signature covers all of it."""

    kind: str  # OPEN or CLICK: one cannot be used as the other
    site: str
    message: str  # the mail team's name of the mailing
    recipient: str  # the mail team's own id of whom it was sent to; never an address
    sent_at: int  # ms since 1970, whole seconds
    consent: str = ""  # `all`, `none` or purposes by comma, as the mail team knows it; "" for unknown
    target: str = ""  # of a click; "": the address names it, and its host must be declared


def link_key(identity_secret: bytes) -> bytes:
    """The key of all tokens: derived, so that no other use of the secret can make one."""
    return hmac.digest(identity_secret, _LABEL, "sha256")


def encode_link(link: MailLink, key: bytes) -> str:
    """The token. Raises LinkError where the link would be refused when somebody follows it."""
    _check(link)
    payload = orjson.dumps(
        [link.kind, link.site, link.message, link.recipient, link.sent_at // 1000, link.consent, link.target]
    )
    token = base64.urlsafe_b64encode(_tag(payload, key) + payload).rstrip(b"=").decode()
    if len(token) > TOKEN_LENGTH_MAX:
        raise LinkError(f"the link: expected at most {TOKEN_LENGTH_MAX:,} characters in all")
    return token


def decode_link(token: str, key: bytes, kind: str) -> MailLink | None:
    """What a token says, or None where it is damaged, forged or of the other kind. Compares in constant time."""
    if not token.isascii() or len(token) > TOKEN_LENGTH_MAX:
        return None
    try:
        whole = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    tag, payload = whole[:TAG_BYTES], whole[TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(payload, key)):
        return None
    # From here on it is our own writing; an older or newer form is refused rather than guessed at.
    match orjson.loads(payload):
        case [str(found), str(site), str(message), str(recipient), int(sent_s), str(consent), str(target)]:
            return (
                MailLink(found, site, message, recipient, sent_s * 1000, consent, target)
                if found == kind
                else None
            )
    return None


def safe_target(target: str, hosts: Collection[str] | None = None) -> str:
    """The address as a `Location` header may carry it, or "" where nobody may be sent there.

    Absolute, http or https, no user in it, nothing that two readers understand differently.
    hosts: if given, the host must be one of them, or below one that begins with a dot (`.shop.example`).
    """
    if not target or len(target) > TARGET_LENGTH_MAX or _UNSAFE.search(target):
        return ""
    try:
        parts = urlsplit(target)
        host, _ = parts.hostname or "", parts.port  # .port raises for what is no number
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not target[len(parts.scheme) :].startswith("://"):
        return ""
    if not host or "@" in parts.netloc or not _HOST.fullmatch(f"[{host}]" if ":" in host else host):
        return ""
    if hosts is not None and not any(_is_below(host.rstrip("."), declared.lower()) for declared in hosts):
        return ""
    try:
        return quote(target, safe="%/:?#[]@!$&'()*+,;=~")
    except UnicodeEncodeError:  # lone surrogates
        return ""


def _is_below(host: str, declared: str) -> bool:
    return host.endswith(declared) if declared.startswith(".") else host == declared


def _check(link: MailLink) -> None:
    for name, text in (("message", link.message), ("recipient", link.recipient)):
        if not text or len(text) > WORD_LENGTH_MAX:
            raise LinkError(f"{name}: expected 1 to {WORD_LENGTH_MAX} characters")
        if "@" in text or "%40" in text:
            raise LinkError(
                f"{name}: expected an id of your own, not an e-mail address; links travel through many hands"
            )
    if len(link.consent) > WORD_LENGTH_MAX:
        raise LinkError(f"consent: expected at most {WORD_LENGTH_MAX} characters")
    if not 0 < link.sent_at <= TIME_MS_MAX:
        raise LinkError("sent_at: expected a time in ms since 1970 or ISO 8601")
    if link.kind not in (OPEN, CLICK) or (link.target and link.kind == OPEN):
        raise LinkError("only a click has a target")
    if link.target and not safe_target(link.target):
        raise LinkError(
            "target: expected an address that begins with http:// or https://, has no user in it, no blanks and no"
            " backslashes, and names its host in ASCII (xn-- for others)"
        )
    try:
        orjson.dumps([link.site, link.message, link.recipient, link.consent, link.target])
    except TypeError:  # lone surrogates
        raise LinkError("the link: expected text without lone surrogates") from None


def _tag(payload: bytes, key: bytes) -> bytes:
    return hmac.digest(key, payload, "sha256")[:TAG_BYTES]
