"""All signals of an event but its own choice, each as what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from schemas.signals.bits import Unreadable
from schemas.signals.google import judge_gcd, judge_gcs
from schemas.signals.gpp import NO_SECTION, judge_gpp, read_applying
from schemas.signals.purposes import SignalPolicy, Statement
from schemas.signals.tcf import judge_tcf, read_tc_string
from schemas.signals.us import judge_us_privacy

# A TC string of version 2 begins with `C`, the header of a GPP string with `D`: six bits of 2 and of 3.
_TC, _GPP = "C", "D"
GDPR_APPLIES, GDPR_DOES_NOT_APPLY = "1", "0"


def judge_signals(signals: Mapping[str, str], policy: SignalPolicy) -> list[Statement]:
    """What each signal says to a site.

    signals: by the names of `consent.SIGNALS`, without the empty ones. A signal that nobody can read is unclear; no
    text raises anything.
    """
    strings = [*_judge_strings(signals, policy)]
    found = [*strings, *_judge_others(signals, policy)]
    gdpr = signals.get("gdpr", "")
    if gdpr == GDPR_APPLIES:
        if not any(one.row.startswith("tcf_") for one in strings):
            found.append(Statement("gdpr_without_tc_string", is_unclear=True))
    elif gdpr and gdpr != GDPR_DOES_NOT_APPLY:
        found.append(Statement("gdpr_unreadable", is_unclear=True))
    return found


def _judge_strings(signals: Mapping[str, str], policy: SignalPolicy) -> Iterator[Statement]:
    """The strings of the IAB, each read as what it is, also where it stands in the place of the other."""
    try:
        applying = read_applying(signals.get("gpp_sid", ""))
    except Unreadable:
        applying = frozenset((0,))
        yield Statement("gpp_sid_unreadable", is_unclear=True)
    if applying and applying - NO_SECTION and not signals.get("gpp"):
        yield Statement("gpp_section_missing", is_unclear=True)
    for name, other in (("gdpr_consent", _GPP), ("gpp", _TC)):
        text = signals.get(name, "")
        if not text:
            continue
        is_misplaced = text.startswith(other)
        try:
            if (name == "gpp") != is_misplaced:
                statements = judge_gpp(text, applying if name == "gpp" else None, policy)
            else:
                statements = [judge_tcf(read_tc_string(text), policy)]
        except Unreadable:
            statements = [
                Statement(f"{'tc_string' if name == 'gdpr_consent' else name}_unreadable", is_unclear=True)
            ]
        for one in statements:
            yield one._replace(is_misplaced=True) if is_misplaced else one


def _judge_others(signals: Mapping[str, str], policy: SignalPolicy) -> Iterator[Statement]:
    for name, say in (
        ("us_privacy", lambda text: judge_us_privacy(text, policy)),
        ("gcs", judge_gcs),
        ("gcd", judge_gcd),
    ):
        if text := signals.get(name, ""):
            try:
                yield say(text)
            except Unreadable:
                yield Statement(f"{name}_unreadable", is_unclear=True)
    if signals.get("categories"):  # what has clear names became a choice where it was read
        yield Statement("categories_unclear", is_unclear=True)
