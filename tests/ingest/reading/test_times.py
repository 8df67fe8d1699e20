"""Times as programs write them: any ISO form, leap seconds, numbers that tell their unit."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.reading.fields import Unacceptable
from ingest.reading.times import (
    MICROSECONDS,
    MILLISECONDS,
    NANOSECONDS,
    OTHER_UNIT,
    SECONDS,
    UNITS,
    Moment,
    parse_claim,
    parse_moment,
    parse_time,
)
from schemas.event import Flag

NOW_MS = 1_763_800_000_000
NEW_YEAR_2017 = 1_483_228_800_000


@pytest.mark.parametrize(
    "text",
    [
        "2016-12-31T23:59:60Z",
        "2016-12-31T23:59:60.5Z",
        "2017-01-01T00:59:60.5+01:00",
        "2016-12-31t23:59:60z",
        "20161231T235960Z",
        "2016-12-31 23:59:60",
        "2016-12-31 23:59:60 UTC",
        "2016-12-31 23:59:60+00",
        "2016-12-31 23:59:60.25 +0000 UTC",
        "2016-12-31T18:59:60-05:00[America/New_York]",
        "2016-12-31T24:00:00Z",
        "2016-12-31T24:00Z",
        "2017-01-01T00:00:00z",
        "2017-01-01 01:00:00 +0100",
        "2017-01-01T01:00:00+01:00[Europe/Vienna]",
        "2017-01-01 00:00:00 GMT",
        "2017-01-01T00:00:00,000Z",
        "2017-01-01",
        " 2017-01-01T00:00Z ",
    ],
)
def test_one_instant_in_many_forms(text: str) -> None:
    assert parse_moment(text, "ts") == (NEW_YEAR_2017, 0)


def test_a_rounded_second_is_the_next_minute() -> None:
    assert parse_time("2026-10-12T10:00:60Z", "ts") == parse_time("2026-10-12T10:01:00Z", "ts")


@pytest.mark.parametrize(
    "value",
    [
        "2016-12-31T23:59:61Z", "2016-12-31T23:60:60Z", "2016-12-31T24:00:01Z", "2016-12-31T25:00:00Z", "yesterday",
        "2016-02-30T00:00:60Z", "2016-12-31T23:59:60+25:00", "2016-12-31T23:59:60Zurich", "-1", -1, True, [], {},
        float("nan"), float("inf"), "9" * 40, "2016-12-31T23:59:60Z" + "[a]" * 40, "٢٠١٦", "1" * 5_000, 10**30,
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_under_its_name(value: object) -> None:
    with pytest.raises(Unacceptable) as refused:
        parse_moment(value, "ts")
    assert refused.value.rejection.detail.startswith("ts: ")


@given(
    st.integers(946_684_800_000, 4_102_444_799_999),
    st.sampled_from(UNITS),
    st.sampled_from(UNITS),
    st.booleans(),
)
def test_a_number_says_its_unit_by_its_size(ms: int, sent: int, expected: int, as_text: bool) -> None:
    number = ms * MILLISECONDS // sent
    read = parse_moment(str(number) if as_text else number, "ts", expected)
    assert read == (number * sent // MILLISECONDS, 0 if sent == expected else OTHER_UNIT)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)), st.integers(-14 * 60, 14 * 60))
def test_an_iso_form_is_its_instant(moment: datetime, offset_minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    ms = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    for text in (aware.isoformat(), aware.isoformat(" "), f"{aware.isoformat()}[Some/Where]"):
        assert parse_time(text, "ts") == ms


@given(st.text(max_size=120))
def test_no_text_is_anything_but_a_time_or_a_refusal(text: str) -> None:
    with contextlib.suppress(Unacceptable):
        assert parse_time(text, "ts") >= 0


@pytest.mark.parametrize("unit", [SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS])
def test_a_secret_key_says_its_own_unit_or_nothing(unit: int) -> None:
    for sent in UNITS:
        number = NOW_MS * MILLISECONDS // sent
        if sent == unit:
            assert parse_claim(number, "ts", NOW_MS, trusted=True, unit=unit).flags == 0
            continue
        with pytest.raises(Unacceptable) as refused:
            parse_claim(number, "ts", NOW_MS, trusted=True, unit=unit)
        assert refused.value.rejection.code == "time_out_of_range"


def test_none_is_none_and_zero_is_a_claim() -> None:
    assert (
        parse_claim(None, "ts", NOW_MS, trusted=True)
        == parse_claim("", "ts", NOW_MS, trusted=False)
        == Moment()
    )
    assert parse_claim(0, "ts", NOW_MS, trusted=False) == (0, Flag.TIME_CLAMPED)
    with pytest.raises(Unacceptable):
        parse_claim(0, "ts", NOW_MS, trusted=True)
