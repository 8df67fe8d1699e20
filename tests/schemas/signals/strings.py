"""Consent strings written bit by bit, so that a test can make any of them, also wrong ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
BEFORE_DISCLOSED = 17_600_000_000  # tenths of a second: 10 October 2025
AFTER_DISCLOSED = 17_800_000_000  # 28 May 2026
ALL_PURPOSES = tuple(range(1, 12))
Ranges = Sequence[tuple[int, int]]
GPC_ON, GPC_OFF = "YA", "QA"


def number(value: int, bits: int) -> str:
    """A number as so many binary digits."""
    return format(value, f"0{bits}b")


def bitfield(members: Iterable[int], bits: int) -> str:
    """The members of 1 to `bits`, the first one first."""
    chosen = set(members)
    return "".join("1" if one in chosen else "0" for one in range(1, bits + 1))


def encode(digits: str) -> str:
    """Binary digits as base64url, filled up with zeros."""
    digits += "0" * (-len(digits) % 6)
    return "".join(ALPHABET[int(digits[at : at + 6], 2)] for at in range(0, len(digits), 6))


def vendors(members: Iterable[int] = (), ranges: Ranges | None = None) -> str:
    """A set of vendors, as a bit for each or as ranges."""
    if ranges is not None:
        last = max((end for _, end in ranges), default=0)
        return number(last, 16) + "1" + fixed_ranges(ranges)
    members = tuple(members)
    last = max(members, default=0)
    return number(last, 16) + "0" + bitfield(members, last)


def fixed_ranges(ranges: Ranges) -> str:
    """Ranges of vendors: a count, then each."""
    entries = "".join(
        "0" + number(first, 16) if first == last else "1" + number(first, 16) + number(last, 16)
        for first, last in ranges
    )
    return number(len(ranges), 12) + entries


def fibonacci(value: int) -> str:
    """A number in Fibonacci coding."""
    weights = [1, 2]
    while weights[-1] <= value:
        weights.append(weights[-1] + weights[-2])
    digits = ""
    for weight in reversed([one for one in weights if one <= value] or [1]):
        digits = ("1" if weight <= value else "0") + digits
        value -= weight if weight <= value else 0
    return digits + "1"


def tc_core(
    purposes: Iterable[int] = (),
    interests: Iterable[int] = (),
    *,
    created: int = BEFORE_DISCLOSED,
    updated: int | None = None,
    version: int = 2,
    policy_version: int = 5,
    language: str = "EN",
    consented: str | None = None,
    interested: str | None = None,
    restrictions: Sequence[tuple[int, int, Ranges]] = (),
    tail: str = "",
) -> str:
    """The core of a TC string."""
    letters = "".join(number(ord(letter) - ord("A"), 6) for letter in language)
    return encode(
        number(version, 6)
        + number(created, 36)
        + number(created if updated is None else updated, 36)
        + number(27, 12)
        + number(3, 12)
        + number(1, 6)
        + letters
        + number(150, 12)
        + number(policy_version, 6)
        + "10"
        + "0" * 12
        + bitfield(purposes, 24)
        + bitfield(interests, 24)
        + "0"
        + letters
        + (vendors() if consented is None else consented)
        + (vendors() if interested is None else interested)
        + number(len(restrictions), 12)
        + "".join(
            number(purpose, 6) + number(kind, 2) + fixed_ranges(ranges)
            for purpose, kind, ranges in restrictions
        )
        + tail
    )


def disclosed(members: Iterable[int] = (), ranges: Ranges | None = None) -> str:
    """The segment that says whom the person was shown."""
    return encode("001" + vendors(members, ranges))


def allowed(members: Iterable[int] = ()) -> str:
    """The segment of vendors that the publisher allows."""
    return encode("010" + vendors(members))


def publisher(purposes: Iterable[int] = (), custom: int = 0) -> str:
    """The segment of the publisher's own purposes."""
    return encode("011" + bitfield(purposes, 24) + "0" * 24 + number(custom, 6) + "0" * (2 * custom))


def fibonacci_ranges(ranges: Ranges) -> str:
    """Ranges of vendors as GPP's Canadian section has them: each number as its distance from the one before."""
    entries, before = "", 0
    for first, last in ranges:
        entries += "0" + fibonacci(first - before) if first == last else ""
        entries += "1" + fibonacci(first - before) + fibonacci(last - first) if first != last else ""
        before = last
    return number(max((last for _, last in ranges), default=0), 16) + "1" + number(len(ranges), 12) + entries


def canada(express: Iterable[int], consented: str, tail: str = "") -> str:
    """The core of GPP's Canadian section."""
    times = number(AFTER_DISCLOSED, 36) * 2
    head = number(1, 6) + times + "0" * (12 + 12 + 6 + 12 + 12) + number(2, 6) + "0" * 13
    return encode(head + bitfield(express, 24) + "0" * 24 + consented + vendors() + tail)


def gpp(sections: Mapping[int, str]) -> str:
    """A GPP string of sections by their id."""
    ids, last, entries = sorted(sections), 0, ""
    for one in ids:
        entries += "0" + fibonacci(one - last)
        last = one
    header = encode(number(3, 6) + number(1, 6) + number(len(ids), 12) + entries)
    return "~".join([header, *(sections[one] for one in ids)])


def us_core(
    fields: Sequence[tuple[str, int, int]], values: Mapping[str, Sequence[int]], version: int = 1
) -> str:
    """The core of a US section: the fields of its table, 0 where no value is given."""
    digits = number(version, 6)
    for name, bits, count in fields[1:]:
        given = values.get(name, [0] * count)
        digits += "".join(number(value, bits) for value in given)
    return encode(digits)
