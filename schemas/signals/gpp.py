"""GPP strings of the IAB's Global Privacy Platform: the header, and which sections count for an event.

Source: "Global Privacy Platform: Consent String Specification" (IAB Tech Lab).
"""

from __future__ import annotations

import re

from schemas.signals.bits import Bits, Unreadable
from schemas.signals.canada import judge_canada
from schemas.signals.purposes import NOTHING, SignalPolicy, Statement
from schemas.signals.tcf import judge_tcf, read_tc_string
from schemas.signals.us import SECTIONS as US_SECTIONS
from schemas.signals.us import judge_us_privacy, judge_us_section

HEADER_TYPE, HEADER_VERSION = 3, 1
TCF_EU, TCF_CANADA, US_PRIVACY = 2, 5, 6
SECTIONS_MAX = 40  # 27 are defined
# The ids of the sections that apply, and two that are none: -1 no law applies, 0 nobody knows yet.
NO_SECTION = frozenset((-1, 0))
_APPLIES = re.compile(r"-?[0-9]{1,3}(?:[,_;|.][0-9]{1,3}){0,40}")
_SEPARATORS = re.compile(r"[,_;|.]")


def read_gpp(text: str) -> dict[int, str]:
    """The sections of a GPP string by their id, as text. Raises Unreadable."""
    header, *sections = text.split("~")
    bits = Bits(header)
    if bits.take(6) != HEADER_TYPE or bits.take(6) != HEADER_VERSION:
        raise Unreadable("a header of no known type or version")
    ids: list[int] = []
    last = 0
    for _ in range(bits.take(12)):
        is_range = bits.take(1)
        first = last + bits.take_fibonacci()
        last = first + bits.take_fibonacci() if is_range else first
        if len(ids) + last - first >= SECTIONS_MAX:
            raise Unreadable("more sections than there are")
        ids.extend(range(first, last + 1))
    bits.require_end()
    if not ids or len(ids) != len(sections):
        raise Unreadable("as many sections as the header names")
    return dict(zip(ids, sections, strict=True))


def read_applying(text: str) -> frozenset[int] | None:
    """The sections that apply by `gpp_sid`; None where it says nothing. Raises Unreadable."""
    if not text:
        return None
    if not _APPLIES.fullmatch(text):
        raise Unreadable("gpp_sid is a list of section ids")
    return frozenset(map(int, _SEPARATORS.split(text)))


def judge_gpp(text: str, applying: frozenset[int] | None, policy: SignalPolicy) -> list[Statement]:
    """What each section says to a site.

    A section that does not apply grants nothing, and what it denies stands: so less is kept, whoever is right. A
    section that applies and is missing, or that nobody can read, is unclear. Raises Unreadable for the string as a
    whole.
    """
    sections = read_gpp(text)
    found = []
    for section, content in sections.items():
        statement = _judge_section(section, content, policy)
        applies = applying is None or section in applying
        found.append(statement if applies else statement._replace(granted=NOTHING))
    missing = (applying or frozenset()) - sections.keys() - NO_SECTION
    if missing:
        found.append(Statement("gpp_section_missing", is_unclear=True))
    return found


def _judge_section(section: int, content: str, policy: SignalPolicy) -> Statement:
    try:
        if section == TCF_EU:
            return judge_tcf(read_tc_string(content, in_any_order=True), policy)
        if section == TCF_CANADA:
            return judge_canada(content, policy)
        if section == US_PRIVACY:
            return judge_us_privacy(content, policy)
        if section in US_SECTIONS:
            return judge_us_section(section, content, policy)
    except Unreadable:
        pass
    return Statement("gpp_section_unreadable", is_unclear=True)
