"""The values an event may hold: each function reads one kind, or raises `Unacceptable` naming field and fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from typing import Any, NamedTuple

from schemas.consent import OTHER_SIGNALS, SIGNALS, encode_signals
from schemas.event import EVENT_ID_LENGTH_MAX, NAME_LENGTH_MAX, VALUE_E4_MAX

TRUSTED_TIME_MS_MIN = 946_684_800_000  # 2000-01-01: below it somebody sent seconds for milliseconds
TRUSTED_AHEAD_MS_MAX = 86_400_000  # a clock may be a day ahead, not a century
NUMBER_LENGTH_MAX = 60  # characters
SHORT_LENGTH_MAX = 60  # characters of screen, viewport, timezone
LANGUAGE_LENGTH_MAX = 200  # characters
SIGNALS_LENGTH_MAX = 24_000  # of all signals of an event as they are kept
PURPOSES_MAX = 100  # of a choice said as an object; more are unclear
CONSENT_LENGTH_MAX = 8_000  # characters; consent strings of today have at most about 3,000
# Fields that tell machines apart rather than say what happened (docs/privacy.md).
FINGERPRINTING = frozenset({"canvas", "fonts", "plugins", "battery"})
KINDS: Mapping[str, str] = {"page_view": "page", "purchase": "purchase"}
CURRENCY = re.compile(r"[A-Za-z]{3}")


class Rejection(NamedTuple):
    """Why something was not taken: a code for machines, a sentence for people, the field and the fix. Never a value."""

    code: str
    message: str
    detail: str


class Unacceptable(Exception):
    """Ends the reading of one event; carries its rejection."""

    def __init__(self, code: str, message: str, detail: str) -> None:
        super().__init__(code)
        self.rejection = Rejection(code, message, detail)


def invalid(field: str, expected: str) -> Unacceptable:
    """The rejection of one field."""
    return Unacceptable(
        "invalid_field", f"The field {field} cannot be read.", f"{field}: expected {expected}"
    )


def parse_name(value: object, field: str) -> str:
    """An event's name: 1 to 200 characters."""
    if value is None or value == "":
        raise Unacceptable(
            "missing_field",
            f"The event has no {field}.",
            f"{field}: expected the event's name, such as page_view",
        )
    if not isinstance(value, str) or len(value) > NAME_LENGTH_MAX:
        raise invalid(field, f"text of at most {NAME_LENGTH_MAX} characters")
    return value


def parse_id(value: object, field: str) -> str:
    """An identifier as text, "" for none; one that is too long is replaced by its hash, so that it stays itself."""
    if type(value) is str:
        return value if len(value) <= EVENT_ID_LENGTH_MAX else sha256(value.encode()).hexdigest()
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    raise invalid(field, "text")


def parse_text(value: object, field: str, length_max: int) -> str:
    """Text, cut after `length_max` characters; "" for none."""
    if type(value) is str:
        return value if len(value) <= length_max else value[:length_max]
    if value is None:
        return ""
    raise invalid(field, "text")


def parse_value(value: object, field: str) -> int:
    """An amount in ten-thousandths, exact to four decimals; 0 for none."""
    if value is None or value == "":
        return 0
    expected = "a number, such as 19.90"
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, str))
        or len(str(value)) > NUMBER_LENGTH_MAX
    ):
        raise invalid(field, expected)
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else value)
        if not amount.is_finite() or abs(amount) > VALUE_E4_MAX:
            raise invalid(field, f"{expected}, at most {VALUE_E4_MAX // 10_000:,}")
        value_e4 = int((amount * 10_000).to_integral_value(ROUND_HALF_EVEN))
    except (ArithmeticError, ValueError):  # decimal's errors are arithmetic errors
        raise invalid(field, expected) from None
    if abs(value_e4) > VALUE_E4_MAX:
        raise invalid(field, f"{expected}, at most {VALUE_E4_MAX // 10_000:,}")
    return value_e4


def parse_currency(value: object, field: str) -> str:
    """Three letters as in ISO 4217, in capitals; "" for none. Not checked against the list: codes come and go."""
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not CURRENCY.fullmatch(value):
        raise invalid(field, "three letters as in ISO 4217, such as EUR")
    return value.upper()


def parse_address(value: object) -> str:
    """An IP address, or "" for what is none: an unclear address is no address. An IPv6 zone, which may be of any length
    and says something of the sender's machine alone, is left out."""
    try:
        return str(ip_address(value.partition("%")[0])) if isinstance(value, str) else ""
    except ValueError:
        return ""


def parse_signals(signals: Mapping[str, Any]) -> str:
    """Every consent signal in a mapping of fields, as `consent.encode_signals` writes them.

    A signal that is present but unreadable stays present: it may take data away and never give any.
    """
    given = signals.get("consent")
    if _OTHERS.isdisjoint(signals) and type(given) is not dict:  # nearly always
        choice = parse_choice(given)
        return _choice_alone(choice) if len(choice) <= 100 else encode_signals({"consent": choice})
    choice = parse_choice(given)
    rest = {name: _signal(signals[name]) for name in OTHER_SIGNALS if signals.get(name) not in (None, "")}
    if isinstance(given, dict):  # people also put the signals beside the purposes
        rest |= {name: _signal(given[name]) for name in OTHER_SIGNALS if given.get(name) not in (None, "")}
    found = {"consent": choice, **rest}
    encoded = encode_signals(found)
    if len(encoded) <= SIGNALS_LENGTH_MAX:
        return encoded
    return encode_signals({name: one if len(one) <= 100 else "unclear" for name, one in found.items()})


def parse_choice(value: object) -> str:
    """`consent` as text: itself, or an object of purposes (`{"measurement": true}`) as names by comma; "" for none."""
    if value is None or value == "":
        return ""
    if isinstance(value, str):
        return value if len(value) <= CONSENT_LENGTH_MAX else "unclear"
    if not isinstance(value, dict) or len(value) > PURPOSES_MAX:
        return "unclear"
    purposes = {name: answer for name, answer in value.items() if name not in SIGNALS}
    if any(answer not in _YES and answer not in _NO for answer in map(_answer, purposes.values())):
        return "unclear"
    if not purposes:
        return ""
    given = [name.lower() for name, answer in purposes.items() if _answer(answer) in _YES]
    if not given:
        return "none"
    text = ",".join(given)
    return text if len(text) <= CONSENT_LENGTH_MAX and text.count(",") == len(given) - 1 else "unclear"


_OTHERS = frozenset(OTHER_SIGNALS)
_YES = ("true", "granted")
_NO = ("false", "denied")


def _answer(value: object) -> str:
    return str(value).lower() if isinstance(value, (bool, str)) else "unclear"


def _signal(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, str)) and len(str(value)) <= CONSENT_LENGTH_MAX:
        return str(value)
    return "unclear"


@lru_cache(maxsize=4_096)  # `all`, `none` and a few lists: 1.7 µs saved an event; at most 4,096 x 300 bytes
def _choice_alone(choice: str) -> str:
    return encode_signals({"consent": choice})


def find_fingerprinting(names: Iterable[str]) -> str:
    """The first name that stands for a fingerprinting field, else ""."""
    for name in names:
        if name.lower() in FINGERPRINTING:
            return name.lower()
    return ""


def refuse_fingerprinting(names: Iterable[str], field: str) -> None:
    """Raises Unacceptable where a fingerprinting field is among `names`."""
    if found := find_fingerprinting(names):
        raise Unacceptable(
            "fingerprinting_refused",
            "Fields that only tell machines apart are not taken.",
            f"{field}.{found}: leave it out; {', '.join(sorted(FINGERPRINTING))} are never stored",
        )
