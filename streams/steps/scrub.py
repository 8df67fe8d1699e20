"""Masks what looks like an e-mail address, a phone number, a card number or a token in every text that is kept."""

from __future__ import annotations

import re
from typing import Any

import orjson

from streams.batch import CleanBatch, replace
from streams.memo import Memo

EMAIL_MASK, PHONE_MASK, CARD_MASK, TOKEN_MASK = "[email]", "[phone]", "[card]", "[token]"

_EMAIL = r"[A-Za-z0-9._%+'-]{1,64}(?:@|%40)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"
# Separators or a leading plus make a number a phone number; ten bare digits are an order as often as a phone.
_PHONE = (
    r"(?<![\w.+-])(?:\+|00|%2B)\d(?:[ ./()-]?\d){7,14}(?![\w-])"
    r"|(?<![\w.-])\(?0?\d{2,4}\)[ ./-]?\d{3,4}[ ./-]?\d{3,6}(?![\w-])"
    r"|(?<![\w.-])\d{3}[ .-]\d{3}[ .-]\d{4}(?![\w-])"
    r"|(?<![\w.-])0\d{2,4}[ /-]\d{5,9}(?![\w-])"
)
_CARD = (
    r"(?<![\w.-])[2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?![\w-])"
    r"|(?<![\w.-])3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?![\w-])"
)
_TOKEN = (
    r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,2}"
    r"|\b(?:sk|pk|rk|ghp|gho|ghs|xox[abprs]|glpat|AKIA|AIza)[_-]?[A-Za-z0-9_-]{16,}"
    r"|(?<![A-Za-z0-9])(?=[A-Za-z]*\d)[0-9a-fA-F]{32,}(?![A-Za-z0-9])"
    r"|(?<![A-Za-z0-9_])(?=[A-Za-z0-9_]*\d)(?=[A-Za-z0-9_]*[a-z])(?=[A-Za-z0-9_]*[A-Z])[A-Za-z0-9_]{24,}(?![A-Za-z0-9_])"
)
_MAIL = re.compile(_EMAIL)
_NUMBER = re.compile(f"(?P<card>{_CARD})|(?P<phone>{_PHONE})")
_SECRET = re.compile(f"(?P<token>{_TOKEN})|(?P<card>{_CARD})|(?P<phone>{_PHONE})")
# Every pattern above but the mail address needs one of these; to search for them costs a tenth.
_SUSPICIOUS = re.compile(r"\d{3}|\d\D\d\d|[A-Za-z0-9_]{20}|eyJ")
_SEPARATORS = str.maketrans("", "", "-_.")

TEXT_COLUMNS = (
    "path", "query", "referrer_host", "host", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
    "language", "currency",
)  # fmt: skip


def passes_luhn(digits: str) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1)."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if i % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def is_only_name(text: str) -> bool:
    """True for letters and digits, joined by -, _ or dots, that are not digits alone: no number, no mail address."""
    bare = text if text.isalnum() else text.translate(_SEPARATORS)
    return bare.isalnum() and not bare.isdigit()


def names_person(text: str) -> bool:
    """True when an id looks like an e-mail address, a phone or a card number. Tokens are what ids are made of."""
    if is_only_name(text):
        return False
    return _MAIL.search(text) is not None or any(_mask(found) != found[0] for found in _NUMBER.finditer(text))


def scrub_text(text: str) -> str:
    """The text with masks where somebody or a secret could be recognised."""
    if "@" in text or "%40" in text:
        text = _MAIL.sub(EMAIL_MASK, text)
    return _SECRET.sub(_mask, text) if _SUSPICIOUS.search(text) else text


_scrubbed = Memo(scrub_text, size_max=65_536)  # 65,536 x about 300 bytes = 20 MB at the most


def scrub_properties(text: str) -> str:
    """The same for a JSON object, in names and values; what cannot be read as an object is left out."""
    if not text:
        return ""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(value, dict):
        return ""
    if "\\" not in text and "@" not in text and "%40" not in text and not _SUSPICIOUS.search(text):
        return text
    scrubbed = _scrub_value(value)
    return text if scrubbed == value else orjson.dumps(scrubbed).decode()


def _scrub_value(value: Any) -> Any:
    match value:
        case str():
            return scrub_text(value)
        case dict():
            return {scrub_text(key): _scrub_value(one) for key, one in value.items()}
        case list():
            return [_scrub_value(one) for one in value]
        case bool() | None:
            return value
        case int() | float():
            text = repr(value)
            return value if scrub_text(text) == text else scrub_text(text)
    return None


def _mask(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "token":
            return TOKEN_MASK
        case "card":
            digits = re.sub(r"\D", "", found[0])
            return CARD_MASK if 13 <= len(digits) <= 19 and passes_luhn(digits) else found[0]
    return PHONE_MASK


def scrub_texts(batch: CleanBatch) -> CleanBatch:
    """Mask every text column and the properties."""
    columns: dict[str, Any] = {}
    for name in TEXT_COLUMNS:
        column = getattr(batch, name)
        if any(column):
            columns[name] = _scrubbed.of_all(column)
    if any(batch.properties):
        columns["properties"] = [scrub_properties(one) if one else "" for one in batch.properties]
    return replace(batch, **columns)
