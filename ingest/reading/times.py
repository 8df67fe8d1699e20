"""When something happened, as programs write it: ISO 8601 with leap seconds, numbers whose size tells their unit."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ingest.reading.fields import (
    TRUSTED_AHEAD_MS_MAX,
    TRUSTED_TIME_MS_MIN,
    Unacceptable,
    invalid,
)
from schemas.event import Flag

TIME_MS_MAX = 253_402_300_799_999  # the end of the year 9999, the last a calendar here knows
TEXT_LENGTH_MAX = 100  # characters; the longest form, of Java with a zone's name, has about 70
# Nanoseconds of one: what a number counts.
SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS = 1_000_000_000, 1_000_000, 1_000, 1
UNITS = (MILLISECONDS, SECONDS, MICROSECONDS, NANOSECONDS)
# Between 2000 and 2100 no number is a time in two units: each is a thousand times the next.
TOLD_APART_MS = (TRUSTED_TIME_MS_MIN, 4_102_444_800_000)
_NAMES = {
    SECONDS: "seconds",
    MILLISECONDS: "milliseconds",
    MICROSECONDS: "microseconds",
    NANOSECONDS: "nanoseconds",
}
OTHER_UNIT, CLAMPED = int(Flag.TIME_UNIT), int(Flag.TIME_CLAMPED)

_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{0,30})?")
_CLOCK = re.compile(
    r"(\d{4}-?\d{2}-?\d{2})[Tt ](\d{2}):?(\d{2})(?::?(\d{2})([.,]\d+)?)?", re.ASCII
)  # date, hour, minute, second, its fraction
# Behind it: a zone by name or apart (Ruby, PostgreSQL), a small z (RFC 3339), the zone's name (RFC 9557, as Java has).
_ZONE = re.compile(
    r" ?([+-]\d{2}(?::?\d{2})?)?(?:z|utc| utc|gmt| gmt)?(?:\[[^\[\]]*\]){0,3}", re.IGNORECASE | re.ASCII
)


class Moment(NamedTuple):
    """A time as it was read."""

    ms: int = 0  # since 1970; 0: none
    flags: int = 0  # what was done to it, bits of Flag


NONE = Moment()


def parse_time(value: object, field: str, unit: int = MILLISECONDS) -> int:
    """The ms of `parse_moment`."""
    return parse_moment(value, field, unit).ms


def parse_moment(value: object, field: str, unit: int = MILLISECONDS) -> Moment:
    """A time from a number or its digits, or from ISO 8601 (UTC where it names no offset). Raises Unacceptable.

    unit: of numbers; one that can only be a time of our days in another unit is one in that, and flagged so. A second
    60 is the first of the next minute (RFC 3339, section 5.6).
    """
    if value is None or value == "":
        return NONE
    if isinstance(value, str):
        text = value.strip()
        moment = _of_digits(text, unit) if _NUMBER.fullmatch(text) else Moment(_of_text(text))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        moment = _of_number(value, unit)
    elif isinstance(value, Moment):
        moment = value
    else:
        moment = Moment(-1)
    if not 0 <= moment.ms <= TIME_MS_MAX:
        raise invalid(field, f"{_NAMES[unit]} since 1970 or ISO 8601, such as 2026-01-31T12:00:00Z")
    return moment


def parse_claim(
    value: object, field: str, now_ms: int, *, trusted: bool, sent_at: int = 0, unit: int = MILLISECONDS
) -> Moment:
    """When an event says that it happened. Raises Unacceptable for what is no time.

    trusted: a secret key said it. Such times are taken as they are, so the impossible ends here, and so does another
    unit. From a public key one before 2000 comes from a clock that was never set: without a time of sending, which
    tells what it showed, the event has the time of receipt.
    """
    if value is None or value == "" or value is NONE:
        return NONE
    if unit == MILLISECONDS and (type(value) is int or (type(value) is str and _is_usual(value))):
        ms = int(value)  # nearly always: 0.4 µs instead of 1
        if TRUSTED_TIME_MS_MIN <= ms <= now_ms:
            return Moment(ms)
    moment = parse_moment(value, field, unit)
    if trusted:
        if moment.flags or not TRUSTED_TIME_MS_MIN <= moment.ms <= now_ms + TRUSTED_AHEAD_MS_MAX:
            raise Unacceptable(
                "time_out_of_range",
                f"The time in {field} cannot be true.",
                f"{field}: expected a time between 2000-01-01 and tomorrow, in {_NAMES[unit]} since 1970 or ISO 8601",
            )
    elif moment.ms < TRUSTED_TIME_MS_MIN:
        return Moment(max(1, moment.ms), moment.flags) if sent_at else Moment(0, CLAMPED)
    return moment


def _is_usual(text: str) -> bool:
    return len(text) == 13 and text.isascii() and text.isdigit()


def _of_digits(text: str, unit: int) -> Moment:
    whole, _, fraction = text.partition(".")
    return _of_number(float(text) if fraction else int(whole), unit)


def _of_number(number: float, unit: int) -> Moment:
    ms = _to_ms(number, unit)
    if TOLD_APART_MS[0] <= ms <= TOLD_APART_MS[1]:
        return Moment(ms)
    for other in UNITS:
        if TOLD_APART_MS[0] <= (found := _to_ms(number, other)) <= TOLD_APART_MS[1]:
            return Moment(found, OTHER_UNIT)
    return Moment(ms)


def _to_ms(number: float, unit: int) -> int:
    """Whole ms; -1 for what is no time at all, such as NaN."""
    if isinstance(number, int):
        return number * unit // MILLISECONDS
    try:
        return int(number) if unit == MILLISECONDS else round(number * unit / MILLISECONDS)
    except (ValueError, OverflowError):
        return -1


def _of_text(text: str) -> int:
    """ms since 1970; -1 for what cannot be read."""
    if len(text) > TEXT_LENGTH_MAX:
        return -1
    try:
        return _since_1970(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        pass
    found = _CLOCK.match(text)
    zone = _ZONE.fullmatch(text, found.end()) if found is not None else None
    if found is None or zone is None:
        return -1
    day, hour, minute, second, fraction = found.groups(default="")
    is_leap = second == "60"  # also at another minute's end, where a rounded 59.9995 stands
    is_end = (hour, minute) == ("24", "00") and second.strip(
        "0"
    ) == ""  # of a day (ISO 8601-1, section 4.3.8)
    if is_leap:
        second, fraction = "59", ""
    if is_end:
        hour, fraction = "00", ""
    try:
        ms = _since_1970(
            datetime.fromisoformat(f"{day}T{hour}:{minute}:{second or '00'}{fraction}{zone[1] or '+00:00'}")
        )
    except (ValueError, OverflowError):
        return -1
    return ms + 1_000 * is_leap + 86_400_000 * is_end


def _since_1970(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _START) // _MS


_START, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
