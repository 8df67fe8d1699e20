"""Opt-outs by the laws of US states: sections of GPP strings and `us_privacy`. They object and never grant.

Sources: the section specifications of the Global Privacy Platform (IAB Tech Lab: usnat version 1 and 2, and one of each
state), "CCPA compliance framework: US Privacy String" version 1.
"""

from __future__ import annotations

import re

from schemas.signals.bits import Bits, Unreadable
from schemas.signals.purposes import SignalPolicy, Statement, opt_out

# A field of a section: its name, bits of a value, values.
Fields = tuple[tuple[str, int, int], ...]

# Answers: 0 does not apply, 1 yes (to an opt-out) or no (to a consent), 2 the other.
OBJECTS = 1
# Where a 1 says that the person objects, or did not agree where the law asks for it.
OBJECTIONS = (
    "sale_opt_out", "sharing_opt_out", "targeted_advertising_opt_out",
    "known_child_consents", "personal_data_consents", "additional_processing_consent",
)  # fmt: skip
GPC_SEGMENT = 1

_US_PRIVACY = re.compile(r"1[YN-]([YN-])[YN-]")


def _fields(text: str) -> Fields:
    found = []
    for word in text.split():
        name, _, size = word.partition(":")
        bits, _, count = size.partition("x")
        found.append((name, int(bits), int(count or 1)))
    return tuple(found)


_MSPA = "mspa_covered:2 mspa_opt_out_option:2 mspa_service_provider:2"
_ADVERTISING_NOTICES = "sale_opt_out_notice:2 targeted_advertising_opt_out_notice:2"
_ADVERTISING = f"{_ADVERTISING_NOTICES} sale_opt_out:2 targeted_advertising_opt_out:2"
_NATIONAL = (
    "version:6 sharing_notice:2 sale_opt_out_notice:2 sharing_opt_out_notice:2 targeted_advertising_opt_out_notice:2"
    " sensitive_data_opt_out_notice:2 sensitive_data_limit_use_notice:2 sale_opt_out:2 sharing_opt_out:2"
    " targeted_advertising_opt_out:2 sensitive_data:2x{} known_child_consents:2x{} personal_data_consents:2 "
)


def _state(sensitive: int, children: int, *, additional: bool) -> Fields:
    more = "additional_processing_consent:2 " if additional else ""
    data = f"sensitive_data:2x{sensitive} known_child_consents:2x{children} {more}"
    return _fields(f"version:6 notice:2 {_ADVERTISING} {data}{_MSPA}")


def _late_state(children: str) -> Fields:
    """Sections of 2025 and later begin with the agreement that covers them."""
    return _fields(
        f"version:6 mspa_covered:2 mspa_mode:2 notice:2 {_ADVERTISING} {children} additional_processing_consent:2"
    )


_WITH_SENSITIVE_NOTICE = _fields(
    f"version:6 notice:2 {_ADVERTISING_NOTICES} sensitive_data_opt_out_notice:2 sale_opt_out:2"
    f" targeted_advertising_opt_out:2 sensitive_data:2x8 known_child_consents:2 {_MSPA}"
)
_CHILD = "known_child_consents:2"
# The core of each section, by its id and version. They differ in the number of sensitive kinds of data and of ages of
# children.
CORES: dict[tuple[int, int], Fields] = {
    (7, 1): _fields(_NATIONAL.format(12, 2) + _MSPA),
    (7, 2): _fields(_NATIONAL.format(16, 3) + _MSPA),
    (8, 1): _fields(
        "version:6 sale_opt_out_notice:2 sharing_opt_out_notice:2 sensitive_data_limit_use_notice:2 sale_opt_out:2"
        f" sharing_opt_out:2 sensitive_data:2x9 known_child_consents:2x2 personal_data_consents:2 {_MSPA}"
    ),
    (9, 1): _state(8, 1, additional=False),  # Virginia
    (10, 1): _state(7, 1, additional=False),  # Colorado
    (11, 1): _WITH_SENSITIVE_NOTICE,  # Utah
    (12, 1): _state(8, 3, additional=False),  # Connecticut
    (13, 1): _state(8, 3, additional=True),  # Florida
    (14, 1): _state(8, 3, additional=True),  # Montana
    (15, 1): _state(11, 3, additional=True),  # Oregon
    (16, 1): _state(8, 1, additional=True),  # Texas
    (17, 1): _state(9, 5, additional=True),  # Delaware
    (18, 1): _WITH_SENSITIVE_NOTICE,  # Iowa
    (19, 1): _state(8, 1, additional=True),  # Nebraska
    (20, 1): _state(8, 3, additional=True),  # New Hampshire
    (21, 1): _state(10, 5, additional=True),  # New Jersey
    (22, 1): _state(8, 1, additional=True),  # Tennessee
    (23, 1): _state(8, 1, additional=True),  # Minnesota
    (24, 1): _late_state(""),  # Maryland
    (25, 1): _late_state(_CHILD),  # Indiana
    (26, 1): _late_state(_CHILD),  # Kentucky
    (27, 1): _late_state(_CHILD),  # Rhode Island
}
SECTIONS = frozenset(section for section, _ in CORES)
# Their second segment says of which sensitive data the person agreed to the use; of the others it is GPC.
WITH_SENSITIVE_SEGMENT = frozenset((25, 26, 27))
SENSITIVE_BITS = 2 * 8


def read_us_section(section: int, text: str) -> dict[str, tuple[int, ...]]:
    """The fields of a section, each with all its values; `gpc`, where the section has that segment. Raises Unreadable.

    section: its id, one of SECTIONS.
    """
    core, *more = text.split(".")
    bits = Bits(core)
    version = bits.take(6)
    fields = CORES.get((section, version))
    if fields is None or len(more) > 1:
        raise Unreadable("a version or a segment that is not known")
    found: dict[str, tuple[int, ...]] = {"version": (version,)}
    for name, size, count in fields[1:]:
        values = found[name] = tuple(bits.take(size) for _ in range(count))
        if max(values) > 2:
            raise Unreadable(f"a value of {name} that is none")
    bits.require_end()
    if more and section in WITH_SENSITIVE_SEGMENT:
        second = Bits(more[0])
        second.take(SENSITIVE_BITS)
        second.require_end()
    elif more:
        second = Bits(more[0])
        if second.take(2) != GPC_SEGMENT:
            raise Unreadable("a segment that is not known")
        found["gpc"] = (second.take(1),)
        second.require_end()
    return found


def judge_us_section(section: int, text: str, policy: SignalPolicy) -> Statement:
    """What a section says to a site."""
    fields = read_us_section(section, text)
    objects = any(OBJECTS in fields.get(name, ()) for name in OBJECTIONS)
    return (
        opt_out(policy, "us_opt_out")
        if objects or fields.get("gpc") == (1,)
        else Statement("us_no_objection")
    )


def judge_us_privacy(text: str, policy: SignalPolicy) -> Statement:
    """What `us_privacy` says: version, notice, opt-out of sale, agreement; `-` where the law does not apply. Raises
    Unreadable."""
    read = _US_PRIVACY.fullmatch(text)
    if read is None:
        raise Unreadable("us_privacy is 1 and three of Y, N and -")
    return opt_out(policy, "us_opt_out") if read[1] == "Y" else Statement("us_no_objection")
