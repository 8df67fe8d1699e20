"""Purposes, the signals that speak about them, and the one table that decides what may be kept.

Signals, strongest first: the explicit choice on the event, then `Sec-GPC: 1` and `DNT: 1`, then the site's default.
Between signals of the same strength the most restrictive wins, and a signal that is present but not understood
is unclear: it can take data away, never give any (docs/consent.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import unquote_plus, urlencode


class Purpose(StrEnum):
    """What a person agrees to."""

    NECESSARY = "necessary"
    MEASUREMENT = "measurement"
    PERSONALISATION = "personalisation"
    MARKETING = "marketing"


class Basis(StrEnum):
    """Why a row may exist."""

    CONSENTED = "consented"
    ANONYMOUS = "anonymous"
    CONTRACT = "contract"


class Measurement(StrEnum):
    """What is known about the purpose that decides whether an event is kept."""

    GRANTED = "granted"
    UNKNOWN = "unknown"
    DENIED = "denied"


UNDECODED_SIGNALS = ("gdpr", "gdpr_consent", "gpp", "gpp_sid", "us_privacy", "gcs", "gcd", "categories")
SIGNALS = ("consent", *UNDECODED_SIGNALS)
# Characters; a longer text is one person's own, and whoever sends it chose its length.
REMEMBERED_LENGTH_MAX = 200
_WORDS = frozenset((*Purpose, "all", "none"))
_ESCAPED_CONSENT_MAX = 3 * len("consent")


@dataclass(frozen=True, slots=True)
class ConsentPolicy:
    """What a site decided; see config.Site."""

    default: Measurement = Measurement.UNKNOWN
    drop_unknown: bool = False
    opt_out_denies_measurement: bool = False
    child_directed: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What may be kept of an event; `basis` None: nothing but a count. `row` names the row of the table that
    decided."""

    basis: Basis | None
    purposes: tuple[Purpose, ...]
    row: str


def encode_signals(signals: Mapping[str, str]) -> str:
    """Signals as one text, `consent=all&gpp=...`, in a fixed order; empty ones are left out."""
    return urlencode([(name, signals[name]) for name in SIGNALS if signals.get(name)])


def decide(signals: str, opted_out: bool, policy: ConsentPolicy) -> Decision:
    """Decide one event.

    signals: text of `encode_signals`; opted_out: GPC or DNT was set.
    """
    remembered = len(signals) <= REMEMBERED_LENGTH_MAX
    return (_decide_once if remembered else _decide)(signals, opted_out, policy)


def _decide(signals: str, opted_out: bool, policy: ConsentPolicy) -> Decision:
    measurement, purposes, row = _measurement(signals, opted_out, policy)
    if policy.child_directed and measurement is Measurement.GRANTED:
        measurement, row = Measurement.UNKNOWN, "child_directed"
    if measurement is Measurement.DENIED:
        return Decision(None, (), row)
    if measurement is Measurement.UNKNOWN:
        basis = None if policy.drop_unknown and not policy.child_directed else Basis.ANONYMOUS
        return Decision(basis, (), row)
    return Decision(Basis.CONSENTED, purposes, row)


# A site's visitors share few combinations, all short; 65,536 x at most 500 bytes = 33 MB.
_decide_once = lru_cache(maxsize=65_536)(_decide)


def _measurement(
    signals: str, opted_out: bool, policy: ConsentPolicy
) -> tuple[Measurement, tuple[Purpose, ...], str]:
    given, unclear = _read_choice(signals)
    choice = parse_choice(given)
    if choice is not None and Purpose.MEASUREMENT not in choice:
        return Measurement.DENIED, (), "choice_denies"
    unclear = unclear or (choice is None and bool(given))
    if choice is not None:
        return (
            (Measurement.UNKNOWN, (), "signal_not_understood")
            if unclear
            else (Measurement.GRANTED, choice, "choice_grants")
        )
    measurement, purposes, row = _without_choice(opted_out, policy)
    if unclear and measurement is Measurement.GRANTED:
        return Measurement.UNKNOWN, (), "signal_not_understood"
    return measurement, purposes, row


def _read_choice(signals: str) -> tuple[str, bool]:
    """What `consent` says, of several the last; and whether other signals stand beside it.

    Those are not decoded: one of 24,000 characters with escapes takes 2 ms.
    """
    given, has_others = "", False
    for signal in filter(None, signals.split("&")):
        name, _, value = signal.partition("=")
        if len(name) <= _ESCAPED_CONSENT_MAX and unquote_plus(name) == "consent":
            given = value
        else:
            has_others = True
    return unquote_plus(given), has_others


def _without_choice(opted_out: bool, policy: ConsentPolicy) -> tuple[Measurement, tuple[Purpose, ...], str]:
    if policy.default is Measurement.DENIED:
        return Measurement.DENIED, (), "default_denies"
    if opted_out:
        if policy.opt_out_denies_measurement:
            return Measurement.DENIED, (), "opt_out_denies"
        return Measurement.UNKNOWN, (), "opt_out"
    if policy.default is Measurement.GRANTED:
        return Measurement.GRANTED, (Purpose.NECESSARY, Purpose.MEASUREMENT), "default_grants"
    return Measurement.UNKNOWN, (), "default_unknown"


def parse_choice(text: str) -> tuple[Purpose, ...] | None:
    """The purposes of `consent=`: `all`, `none`, or names by comma; None when it is absent or not understood.

    One unknown name makes the whole choice not understood.
    """
    words = []
    for word in text.split(","):
        word = word.strip().lower()
        if word and word not in _WORDS:
            return None
        if word:
            words.append(word)
    match words:
        case []:
            return None
        case ["all"]:
            return tuple(Purpose)
        case ["none"]:
            return (Purpose.NECESSARY,)
    known = [purpose for purpose in Purpose if purpose in words]
    if len(known) == len(set(words)):
        return tuple(known)
    return None
