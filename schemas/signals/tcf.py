"""TC strings of the IAB's Transparency and Consent Framework, version 2: read, and what they say of our purposes.

Sources: "Transparency and Consent String with Global Vendor & CMP List Formats" (IAB Tech Lab, TCF 2.2 and 2.3). TCF
2.4 changed texts and not the format.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from schemas.signals.bits import Bits, Unreadable
from schemas.signals.purposes import EVERYTHING, Purpose, SignalPolicy, Statement
from schemas.signals.vendors import (
    PURPOSES,
    REQUIRE_CONSENT,
    REQUIRE_LEGITIMATE_INTEREST,
    Restriction,
    Vendors,
    read_restrictions,
    read_vendors,
)

# 1 March 2026, UTC, in tenths of a second: strings made from then on must say whom the person was shown (TCF 2.3).
DISCLOSED_SINCE = 17_723_232_000
WITHOUT_DISCLOSED_VENDORS = "tcf_without_disclosed_vendors"  # a row of the decision table
VERSION = 2
STORAGE = 1  # purpose 1: to store and read on the device; only by consent
PERSONALISATION_PURPOSES = (5, 6)
# For these nobody may claim a legitimate interest (TCF policies since 2.2).
BY_CONSENT_ALONE = (1, 3, 4, 5, 6)
CORE, DISCLOSED, ALLOWED, PUBLISHER = range(4)  # types of segments: their first three bits
LETTERS = 26
_36_BITS, _24_BITS = (1 << 36) - 1, (1 << 24) - 1


class TcString(NamedTuple):
    """What we need of a TC string. Purposes are 24 bits, purpose 1 highest."""

    created: int  # tenths of a second since 1970
    cmp_id: int
    policy_version: int
    purposes: int
    interests: int  # purposes of which the person was told, and to which they did not object
    vendors: Vendors
    interest_vendors: Vendors
    restrictions: tuple[Restriction, ...]
    disclosed: Vendors | None = None  # None: the string does not say whom the person was shown


def read_tc_string(text: str, *, in_any_order: bool = False) -> TcString:
    """A TC string: a core and at most one segment of each other type, joined by dots.

    Policy versions that are not known yet are read for the fields that all share. in_any_order: as a section of GPP,
    which leaves the order to its writer. Raises Unreadable.
    """
    segments = text.split(".")
    if len(segments) > 4:
        raise Unreadable("too many segments")
    found: dict[int, Bits] = {}
    for number, segment in enumerate(segments):
        bits = Bits(segment)
        kind = bits.take(3)
        if kind in found or kind > PUBLISHER or (number == 0 and kind != CORE and not in_any_order):
            raise Unreadable("segments that do not belong together")
        found[kind] = bits
    if CORE not in found:
        raise Unreadable("it has no core")
    tc_string = _read_core(found[CORE])
    if ALLOWED in found:
        _read_set(found[ALLOWED])
    if PUBLISHER in found:
        _read_publisher(found[PUBLISHER])
    if DISCLOSED in found:
        return tc_string._replace(disclosed=_read_set(found[DISCLOSED]))
    return tc_string


def _read_core(bits: Bits) -> TcString:
    # All up to the vendors as one number: 2 µs instead of 8. Its fields, each with the bits behind it:
    head = bits.take(210)  # 207 version, of which the type of the segment took the first half
    created, updated = head >> 171 & _36_BITS, head >> 135 & _36_BITS
    cmp_id = head >> 123 & 0xFFF  # 111 its version, 105 screen
    first, second = head >> 99 & 63, head >> 93 & 63  # 81 version of the vendor list
    policy_version = (
        head >> 75 & 63
    )  # 74 service specific, 73 texts of the publisher's own, 61 special features
    purposes, interests = head >> 37 & _24_BITS, head >> 13 & _24_BITS  # 12 purpose one is treated apart
    country = head & 0xFFF
    if head >> 207 != VERSION:
        raise Unreadable("a version other than 2")
    if updated < created or max(first, second, country >> 6, country & 63) >= LETTERS:
        raise Unreadable("fields that cannot be true")
    vendors, interest_vendors, restrictions = read_vendors(bits), read_vendors(bits), read_restrictions(bits)
    bits.require_end()
    return TcString(
        created, cmp_id, policy_version, purposes, interests, vendors, interest_vendors, restrictions
    )


def _read_set(bits: Bits) -> Vendors:
    vendors = read_vendors(bits)
    bits.require_end()
    return vendors


def _read_publisher(bits: Bits) -> None:
    """The publisher's own purposes: read to its end, as a string that is cut short is none."""
    bits.take(2 * PURPOSES)
    bits.take(2 * bits.take(6))
    bits.require_end()


def judge_tcf(tc_string: TcString, policy: SignalPolicy) -> Statement:
    """What a TC string says to a site: it speaks of all purposes."""
    disclosed, vendor = tc_string.disclosed, policy.tcf_vendor_id
    if disclosed is None:
        if tc_string.created >= DISCLOSED_SINCE and not policy.tcf_accepts_missing_disclosed:
            return Statement(WITHOUT_DISCLOSED_VENDORS, denied=EVERYTHING)
    elif vendor and not disclosed.has(vendor):
        return Statement("tcf_vendor_not_disclosed", denied=EVERYTHING)
    refused = ~allowed_purposes(tc_string, policy)
    granted = {Purpose.NECESSARY}
    if not refused & mask((STORAGE, *policy.tcf_measurement_purposes)):
        granted.add(Purpose.MEASUREMENT)
    if not refused & mask((STORAGE, *PERSONALISATION_PURPOSES)):
        granted.add(Purpose.PERSONALISATION)
    if not refused & mask((STORAGE, *policy.tcf_marketing_purposes)):
        granted.add(Purpose.MARKETING)
    row = "tcf_grants" if Purpose.MEASUREMENT in granted else "tcf_denies"
    return Statement(row, frozenset(granted), EVERYTHING - granted)


def allowed_purposes(tc_string: TcString, policy: SignalPolicy) -> int:
    """The purposes that the site may pursue, as 24 bits: by consent, and by its legitimate interest where its policy
    says so. Without a number on the vendor list nothing that is said of vendors concerns it."""
    vendor = policy.tcf_vendor_id
    by_consent, by_interest = tc_string.purposes, tc_string.interests & ~mask(BY_CONSENT_ALONE)
    if vendor and not tc_string.vendors.has(vendor):
        by_consent = 0
    if not policy.tcf_legitimate_interest or (vendor and not tc_string.interest_vendors.has(vendor)):
        by_interest = 0
    for restriction in tc_string.restrictions:
        if vendor and restriction.vendors.has(vendor):
            others = ~mask((restriction.purpose,))
            if restriction.kind != REQUIRE_CONSENT:
                by_consent &= others
            if restriction.kind != REQUIRE_LEGITIMATE_INTEREST:
                by_interest &= others
    return by_consent | by_interest


@lru_cache(maxsize=256)
def mask(purposes: tuple[int, ...]) -> int:
    """Purposes of 1 to 24 as 24 bits, purpose 1 highest."""
    return sum(1 << (PURPOSES - purpose) for purpose in set(purposes))
