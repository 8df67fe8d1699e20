"""What a person agrees to, and what one signal says of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Purpose(StrEnum):
    """What a person agrees to."""

    NECESSARY = "necessary"
    MEASUREMENT = "measurement"
    PERSONALISATION = "personalisation"
    MARKETING = "marketing"

    __hash__ = str.__hash__  # Enum's own is a call of Python, and sets of purposes ask it for each


Purposes = frozenset[Purpose]
NOTHING: Purposes = frozenset()
EVERYTHING: Purposes = frozenset(Purpose)
# What an opt-out of sale, sharing or targeted advertising takes away.
ADVERTISING: Purposes = frozenset((Purpose.PERSONALISATION, Purpose.MARKETING))


@dataclass(frozen=True, slots=True)
class SignalPolicy:
    """How a site reads the strings of the IAB; see config.Site."""

    tcf_vendor_id: int = 0  # its number on the Global Vendor List; 0: it has none
    tcf_measurement_purposes: tuple[int, ...] = (8,)  # beside purpose 1
    tcf_marketing_purposes: tuple[int, ...] = (3, 4)
    tcf_legitimate_interest: bool = False
    tcf_accepts_missing_disclosed: bool = False
    opt_out_denies_measurement: bool = False


class Statement(NamedTuple):
    """What one signal says. A purpose in neither set is one that it does not speak of."""

    row: str  # the row of the decision table (docs/consent.md) that it stands for
    granted: Purposes = NOTHING
    denied: Purposes = NOTHING
    is_unclear: bool = False  # it is there and cannot be read: nothing is granted beside it
    is_opt_out: bool = (
        False  # an objection of the law of a US state: no choice, and stronger than a site's default
    )
    is_misplaced: bool = False  # a TC string where a GPP string belongs, or the other way round


def opt_out(policy: SignalPolicy, row: str) -> Statement:
    """An objection to sale, sharing or targeted advertising."""
    denied = ADVERTISING | {Purpose.MEASUREMENT} if policy.opt_out_denies_measurement else ADVERTISING
    return Statement(row, denied=denied, is_opt_out=True)
