"""The Canadian section of a GPP string (`tcfcav1`): TCF Canada, with express and implied consent.

Source: "GPP extension: Canada" (IAB Tech Lab, Global Privacy Platform).
"""

from __future__ import annotations

from functools import partial

from schemas.signals.bits import Bits, Unreadable
from schemas.signals.purposes import SignalPolicy, Statement
from schemas.signals.tcf import CORE, DISCLOSED, PUBLISHER, TcString, judge_tcf
from schemas.signals.vendors import (
    PURPOSES,
    ReadRanges,
    Restriction,
    Vendors,
    read_fibonacci_ranges,
    read_fixed_ranges,
    read_restrictions,
    read_vendors,
)

VERSION = 1


def read_canada(text: str) -> TcString:
    """The section as a TC string: express consent as consent, implied consent as a legitimate interest. Raises
    Unreadable.

    Its specification codes ranges of vendors as Fibonacci numbers, and its encoders once wrote them as TCF does. Both
    are read, and the one that comes out even counts.
    """
    try:
        return _read(text, read_fibonacci_ranges)
    except Unreadable:
        return _read(text, read_fixed_ranges)


def judge_canada(text: str, policy: SignalPolicy) -> Statement:
    """What the section says to a site. It has no rule of its own on whom the person was shown."""
    section = read_canada(text)
    statement = judge_tcf(section._replace(created=0), policy)
    return statement._replace(row=statement.row.replace("tcf_", "canada_"))


def _read(text: str, read_ranges: ReadRanges) -> TcString:
    core: TcString | None = None
    disclosed: Vendors | None = None
    for segment in text.split("."):
        bits = Bits(segment)
        kind = bits.take(3)
        if kind == CORE and core is None:
            core = _read_core(bits, read_ranges)
        elif kind == DISCLOSED and disclosed is None:
            disclosed = read_vendors(bits, read_ranges)
            bits.require_end()
        elif kind == PUBLISHER:
            bits.take(2 * PURPOSES)
            bits.take(2 * bits.take(6))
            bits.require_end()
        else:
            raise Unreadable("segments that do not belong together")
    if core is None:
        raise Unreadable("it has no core")
    return core._replace(disclosed=disclosed)


def _read_core(bits: Bits, read_ranges: ReadRanges) -> TcString:
    if bits.take(3) != VERSION:
        raise Unreadable("a version other than 1")
    created, updated = bits.take(36), bits.take(36)
    cmp_id = bits.take(12)
    bits.take(12 + 6 + 12 + 12)  # version of the CMP, screen, language, version of the vendor list
    policy_version = bits.take(6)
    bits.take(1 + 12)  # stacks of the publisher's own, special features
    express, implied = bits.take(PURPOSES), bits.take(PURPOSES)
    if updated < created:
        raise Unreadable("fields that cannot be true")
    vendors, implied_vendors = read_vendors(bits, read_ranges), read_vendors(bits, read_ranges)
    restrictions: tuple[Restriction, ...] = ()
    if bits.left >= 12:  # strings of the first encoders have none
        as_sets = partial(read_vendors, read_ranges=read_ranges)
        restrictions = read_restrictions(
            bits, as_sets if read_ranges is read_fibonacci_ranges else read_fixed_ranges
        )
    bits.require_end()
    return TcString(created, cmp_id, policy_version, express, implied, vendors, implied_vendors, restrictions)
