"""Google consent mode: which place speaks of what, and that nothing unknown grants anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.signals.bits import Unreadable
from schemas.signals.google import judge_gcd, judge_gcs
from schemas.signals.purposes import Purpose, Statement

MARKETING, MEASUREMENT, PERSONALISATION = Purpose.MARKETING, Purpose.MEASUREMENT, Purpose.PERSONALISATION


def spoken(statement: Statement) -> tuple[set[Purpose], set[Purpose]]:
    return set(statement.granted) - {Purpose.NECESSARY}, set(statement.denied)


@pytest.mark.parametrize(
    ("gcs", "granted", "denied"),
    [
        ("G111", {MARKETING, MEASUREMENT}, set()),
        ("G101", {MEASUREMENT}, {MARKETING}),
        ("G110", {MARKETING}, {MEASUREMENT}),
        ("G100", set(), {MARKETING, MEASUREMENT}),
        ("G1-1", {MEASUREMENT}, set()),
        ("G1-0", set(), {MEASUREMENT}),
    ],
)
def test_gcs_has_advertising_first_and_analytics_second(
    gcs: str, granted: set[Purpose], denied: set[Purpose]
) -> None:
    assert spoken(judge_gcs(gcs)) == (granted, denied)


@pytest.mark.parametrize("gcs", ["g111", "G1", "G11", "G1--", "G11-", "G211", "G1111", "", "G1 1", "111"])
def test_another_gcs_is_unreadable(gcs: str) -> None:
    with pytest.raises(Unreadable):
        judge_gcs(gcs)


@pytest.mark.parametrize(
    ("gcd", "granted", "denied"),
    [
        ("13l3l3l3l1l1", set(), set()),
        ("11t1t1t1t5", {MARKETING, MEASUREMENT, PERSONALISATION}, set()),
        ("11p1p1p1p5", set(), {MARKETING, MEASUREMENT, PERSONALISATION}),
        ("13r3n3v3t5l1", {MARKETING, MEASUREMENT, PERSONALISATION}, set()),
        ("13q3m3u3p5l1", set(), {MARKETING, MEASUREMENT, PERSONALISATION}),
        ("11t1q1t1t5", {MARKETING, PERSONALISATION}, {MEASUREMENT}),
        ("11t1t1q1q5", {MEASUREMENT}, {MARKETING, PERSONALISATION}),
        ("11l1t1t1l5", {MEASUREMENT}, set()),
        ("11t1l1l1l5", {MARKETING}, set()),
    ],
)
def test_gcd_has_four_answers(gcd: str, granted: set[Purpose], denied: set[Purpose]) -> None:
    assert spoken(judge_gcd(gcd)) == (granted, denied)


@given(st.text("lpqtrmnuv0135xkzRT", max_size=14))
def test_a_letter_that_is_not_known_grants_nothing(gcd: str) -> None:
    try:
        statement = judge_gcd(gcd)
    except Unreadable:
        return
    assert set(gcd) <= set("lpqtrmnuv0135xkz"), "capitals are none of its letters"
    assert set(gcd[2:9:2]) <= set("lpqtrmnuv")
    assert bool(statement.granted) <= bool(set(gcd[2:9:2]) & set("trnv"))
