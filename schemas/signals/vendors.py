"""Sets of vendors as TCF strings write them: a bit for each, or ranges of their numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from schemas.signals.bits import Bits, Unreadable

PURPOSES = 24
RESTRICTIONS_MAX = PURPOSES * 3  # each purpose with each type once


class Vendors(NamedTuple):
    """Numbers of vendors; `bits` for the numbers from 1 to `last`, the first one highest, or `ranges`."""

    last: int = 0
    bits: int = 0
    ranges: tuple[tuple[int, int], ...] = ()

    def has(self, vendor: int) -> bool:
        """Whether a vendor is among them; vendor: at least 1."""
        if self.ranges:
            return any(first <= vendor <= last for first, last in self.ranges)
        return vendor <= self.last and bool((self.bits >> (self.last - vendor)) & 1)


class Restriction(NamedTuple):
    """What a publisher says of one purpose to some vendors."""

    purpose: int
    kind: int  # NOT_ALLOWED, REQUIRE_CONSENT, REQUIRE_LEGITIMATE_INTEREST
    vendors: Vendors


NOT_ALLOWED, REQUIRE_CONSENT, REQUIRE_LEGITIMATE_INTEREST = 0, 1, 2

ReadRanges = Callable[[Bits], Vendors]


def read_vendors(bits: Bits, read_ranges: ReadRanges | None = None) -> Vendors:
    """A set whose writer chose the shorter way. read_ranges: of GPP's Canadian section, which has another one."""
    last = bits.take(16)
    if bits.take(1):
        return (read_ranges or read_fixed_ranges)(bits)
    return Vendors(last, bits.take(last))


def read_fixed_ranges(bits: Bits) -> Vendors:
    """A 12-bit count of entries, each one number or a range of 16-bit numbers."""
    ranges = []
    for _ in range(bits.take(12)):
        first, last = bits.take_range()
        if not 0 < first <= last:
            raise Unreadable("a range of vendors that is none")
        ranges.append((first, last))
    return Vendors(ranges=tuple(ranges))


def read_fibonacci_ranges(bits: Bits) -> Vendors:
    """The same with each number as its distance from the one before, in Fibonacci coding."""
    ranges, before = [], 0
    for _ in range(bits.take(12)):
        is_range = bits.take(1)
        first = before + bits.take_fibonacci()
        before = first + bits.take_fibonacci() if is_range else first
        ranges.append((first, before))
    return Vendors(ranges=tuple(ranges))


def read_restrictions(bits: Bits, read_set: ReadRanges = read_fixed_ranges) -> tuple[Restriction, ...]:
    """The publisher's restrictions, each for a set of vendors."""
    count = bits.take(12)
    if count > RESTRICTIONS_MAX:
        raise Unreadable("more restrictions than there are purposes and kinds")
    found = []
    for _ in range(count):
        purpose, kind = divmod(bits.take(8), 4)
        if kind > REQUIRE_LEGITIMATE_INTEREST or not 0 < purpose <= PURPOSES:
            raise Unreadable("a restriction of no known kind or purpose")
        found.append(Restriction(purpose, kind, read_set(bits)))
    return tuple(found)
