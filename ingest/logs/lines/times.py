"""Times in any of the forms in which servers write them → ms since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

_MONTHS = dict(Jan=1, Feb=2, Mar=3, Apr=4, May=5, Jun=6, Jul=7, Aug=8, Sep=9, Oct=10, Nov=11, Dec=12)  # noqa: C408
_TIME = re.compile(
    r"(\d{2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))? ([+-])(\d{2})(\d{2})",
    re.ASCII,
)
TEXT_LENGTH_MAX = 64  # a longer text is no time
TIMES_MAX = 4_096  # that are remembered: a log names a second many times
# A number's unit by its size, each from 1973 to 5138: below the first seconds, then ms, µs, ns.
_MS_FROM, _US_FROM, _NS_FROM = 10**11, 10**14, 10**17


def parse_log_time(text: str) -> int:
    """ms since 1970 of `17/May/2015:10:05:03 +0000`, with or without a fraction; 0 for what is no time."""
    found = _TIME.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return 0
    try:
        moment = datetime(
            int(found[3]),
            _MONTHS[found[2]],
            int(found[1]),
            int(found[4]),
            int(found[5]),
            int(found[6]),
            tzinfo=UTC,
        )
    except ValueError:
        return 0
    offset_s = (int(found[9]) * 60 + int(found[10])) * 60 * (-1 if found[8] == "-" else 1)
    fraction_ms = int((found[7] or "0").ljust(3, "0")[:3])
    return (int(moment.timestamp()) - offset_s) * 1000 + fraction_ms


def time_of(value: object) -> int:
    """ms since 1970 of a number (s, ms, µs or ns, told by its size), its digits, ISO 8601 or `2026/01/31 12:00:00` (UTC
    where they name no offset), the combined format's time, or HTTP's (RFC 9110, section 5.6.7); 0 for what is no time.
    """
    try:
        if isinstance(value, str):
            return _time_of_text(value) if len(value) <= TEXT_LENGTH_MAX else 0
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _time_of_number(value)
    except (ValueError, OverflowError, TypeError):
        pass
    return 0


@lru_cache(TIMES_MAX)
def _time_of_text(text: str) -> int:
    if text[2:3] == "/":
        return parse_log_time(text)
    if text[4:5] == "/":  # Caddy's "wall": 2026/01/31 12:00:00.123
        text = text.replace("/", "-")
    elif text[:1].isalpha():
        moment = parsedate_to_datetime(text)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    elif "-" not in text:
        return _time_of_number(float(text))
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _time_of_number(value: float) -> int:
    if value < _MS_FROM:
        return round(value * 1000)
    if value < _US_FROM:
        return int(value)
    return int(value) // 1000 if value < _NS_FROM else int(value) // 1_000_000
