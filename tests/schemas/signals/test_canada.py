"""The Canadian section: express consent, with vendors in either of the two ways that encoders write them."""

from __future__ import annotations

import pytest

from schemas.signals.bits import Unreadable
from schemas.signals.canada import judge_canada, read_canada
from schemas.signals.purposes import Purpose, SignalPolicy
from tests.schemas.signals.strings import canada, encode, fibonacci_ranges, number, publisher, vendors

RANGES = [(3, 3), (10, 14), (755, 900)]
MEMBERS = [3, *range(10, 15), *range(755, 901)]
NO_RESTRICTIONS = number(0, 12)


@pytest.mark.parametrize("consented", [fibonacci_ranges(RANGES), vendors(ranges=RANGES), vendors(MEMBERS)])
@pytest.mark.parametrize("tail", [NO_RESTRICTIONS, ""])
def test_vendors_are_read_as_numbers_bits_or_distances(consented: str, tail: str) -> None:
    read = read_canada(canada((1, 8), consented, tail))
    assert [one for one in range(1, 1_000) if read.vendors.has(one)] == MEMBERS


@pytest.mark.parametrize(
    ("vendor", "granted"), [(0, True), (12, True), (15, False), (755, True), (901, False)]
)
def test_express_consent_counts_as_consent(vendor: int, granted: bool) -> None:
    policy = SignalPolicy(tcf_vendor_id=vendor)
    statement = judge_canada(canada((1, 8), fibonacci_ranges(RANGES), NO_RESTRICTIONS), policy)
    assert (Purpose.MEASUREMENT in statement.granted) == granted
    assert statement.row == ("canada_grants" if granted else "canada_denies")
    assert judge_canada(canada((8,), vendors()), policy).row == "canada_denies"


def test_a_restriction_of_the_publisher_is_obeyed() -> None:
    restricted = number(1, 12) + number(8, 6) + number(0, 2) + fibonacci_ranges([(12, 12)])
    text = canada((1, 8), fibonacci_ranges(RANGES), restricted)
    assert judge_canada(text, SignalPolicy(tcf_vendor_id=12)).row == "canada_denies"
    assert judge_canada(text, SignalPolicy(tcf_vendor_id=11)).row == "canada_grants"


def test_a_vendor_whom_the_person_was_not_shown_has_nothing() -> None:
    shown = encode("001" + fibonacci_ranges([(12, 12)]))
    text = f"{canada((1, 8), fibonacci_ranges(RANGES), NO_RESTRICTIONS)}.{publisher((1,))}.{shown}"
    assert judge_canada(text, SignalPolicy(tcf_vendor_id=12)).row == "canada_grants"
    assert judge_canada(text, SignalPolicy(tcf_vendor_id=11)).row == "canada_vendor_not_disclosed"


def test_a_section_that_is_cut_is_unreadable() -> None:
    whole = canada((1, 8), fibonacci_ranges(RANGES), NO_RESTRICTIONS)
    for place in range(len(whole) - 4):  # what is cut behind that are zeros
        with pytest.raises(Unreadable):
            read_canada(whole[:place])
