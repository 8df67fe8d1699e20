"""Purposes, the signals that speak about them, and the one table that decides what may be kept.

Signals, strongest first: the choices on the event (its own, IAB TCF and GPP strings, `us_privacy`, Google consent
mode), then `Sec-GPC: 1` and `DNT: 1`, then the site's default. Between signals of the same strength the most
restrictive wins, and a signal that is present but not understood is unclear: it can take data away, never give any
(docs/consent.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from urllib.parse import unquote_plus, urlencode

from schemas.signals.memory import Memory
from schemas.signals.purposes import ADVERTISING, EVERYTHING, NOTHING, Purposes, SignalPolicy, Statement
from schemas.signals.purposes import Purpose as Purpose
from schemas.signals.reading import judge_signals


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


OTHER_SIGNALS = ("gdpr", "gdpr_consent", "gpp", "gpp_sid", "us_privacy", "gcs", "gcd", "categories")
SIGNALS = ("consent", *OTHER_SIGNALS)
# Characters; a longer text is one person's own, and whoever sends it chose its length.
REMEMBERED_LENGTH_MAX = 200
REMEMBERED_BYTES_MAX = 16_000_000  # of longer texts with what was decided of them: 20,000 of 500 characters
_WORDS = frozenset((*Purpose, "all", "none"))
_ORDER = tuple(Purpose)  # to walk through the enumeration itself takes 2 µs
_BY_DEFAULT = frozenset((Purpose.NECESSARY, Purpose.MEASUREMENT))
_ESCAPED_CONSENT_MAX = 3 * len("consent")
_LIST_LENGTH_MAX = 500  # characters of `gpp_sid`, whose commas are escaped


@dataclass(frozen=True, slots=True)
class ConsentPolicy(SignalPolicy):
    """What a site decided; see config.Site."""

    default: Measurement = Measurement.UNKNOWN
    drop_unknown: bool = False
    child_directed: bool = False
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        fields = tuple(getattr(self, name) for name in self.__match_args__)
        object.__setattr__(self, "_hash", hash(fields))

    def __hash__(self) -> int:
        return self._hash  # 0.1 µs instead of 1: it is asked for at each event


@dataclass(frozen=True, slots=True)
class Decision:
    """What may be kept of an event; `basis` None: nothing but a count. `row` names the row of the table that
    decided."""

    basis: Basis | None
    purposes: tuple[Purpose, ...]
    row: str
    is_misplaced: bool = False  # a TC string stood where a GPP string belongs, or the other way round


def encode_signals(signals: Mapping[str, str]) -> str:
    """Signals as one text, `consent=all&gpp=...`, in a fixed order; empty ones are left out."""
    return urlencode([(name, signals[name]) for name in SIGNALS if signals.get(name)])


def decide(signals: str, opted_out: bool, policy: ConsentPolicy) -> Decision:
    """Decide one event.

    signals: text of `encode_signals`; opted_out: GPC or DNT was set.
    """
    if len(signals) <= REMEMBERED_LENGTH_MAX:
        return _decide_once(signals, opted_out, policy)
    key = signals, opted_out, policy
    decision = _remembered.get(key)
    if decision is None:
        decision = _decide(signals, opted_out, policy)
        _remembered.put(key, decision, len(signals))
    return decision


def _decide(signals: str, opted_out: bool, policy: ConsentPolicy) -> Decision:
    statements = list_signals(signals, policy)
    measurement, purposes, row = _measurement(statements, opted_out, policy)
    is_misplaced = any(one.is_misplaced for one in statements)
    if policy.child_directed and measurement is Measurement.GRANTED:
        measurement, row = Measurement.UNKNOWN, "child_directed"
    if measurement is Measurement.DENIED:
        return Decision(None, (), row, is_misplaced)
    if measurement is Measurement.UNKNOWN:
        basis = None if policy.drop_unknown and not policy.child_directed else Basis.ANONYMOUS
        return Decision(basis, (), row, is_misplaced)
    return Decision(Basis.CONSENTED, purposes, row, is_misplaced)


# A site's visitors share few combinations, all short; 65,536 x at most 500 bytes = 33 MB.
_decide_once = lru_cache(maxsize=65_536)(_decide)
_remembered: Memory[Decision] = Memory(REMEMBERED_BYTES_MAX)


def list_signals(signals: str, policy: ConsentPolicy) -> list[Statement]:
    """What each signal of an event says to a site, its own choice first.

    signals: text of `encode_signals`.
    """
    given, others, is_odd = _read_signals(signals)
    found = []
    choice = parse_choice(given)
    if choice is not None:
        granted = frozenset(choice)
        row = "choice_grants" if Purpose.MEASUREMENT in granted else "choice_denies"
        found.append(Statement(row, granted, EVERYTHING - granted))
    elif given or is_odd:
        found.append(Statement("signal_not_understood", is_unclear=True))
    return [*found, *judge_signals(others, policy)]


def _measurement(
    statements: list[Statement], opted_out: bool, policy: ConsentPolicy
) -> tuple[Measurement, tuple[Purpose, ...], str]:
    granted, denied = NOTHING, ADVERTISING if opted_out else NOTHING
    granting = unclear = ""
    for one in statements:
        if Purpose.MEASUREMENT in one.denied:
            return Measurement.DENIED, (), one.row
        if Purpose.MEASUREMENT in one.granted:
            granting = granting or one.row
        if one.is_unclear:
            unclear = unclear or one.row
        granted, denied, opted_out = granted | one.granted, denied | one.denied, opted_out or one.is_opt_out
    if granting:
        if unclear:
            return Measurement.UNKNOWN, (), unclear
        return Measurement.GRANTED, _in_order(granted - denied), granting
    measurement, purposes, row = _without_choice(opted_out, policy)
    if unclear and measurement is not Measurement.DENIED:
        return Measurement.UNKNOWN, (), unclear
    return measurement, _in_order(purposes - denied), row


def _in_order(purposes: Purposes) -> tuple[Purpose, ...]:
    return tuple([purpose for purpose in _ORDER if purpose in purposes])


def _read_signals(signals: str) -> tuple[str, dict[str, str], bool]:
    """What `consent` says, of several the last; the other signals by name; and whether there is anything else.

    The others are left as they are: what is right in them is never escaped, and to unescape 24,000 characters takes
    2 ms. Of several with one name, none is read.
    """
    others: dict[str, str] = {}
    given, is_odd = "", False
    for signal in filter(None, signals.split("&")):
        name, _, value = signal.partition("=")
        if name in OTHER_SIGNALS:
            is_odd = is_odd or name in others or not value
            others[name] = value
        elif len(name) <= _ESCAPED_CONSENT_MAX and unquote_plus(name) == "consent":
            given = value
        else:
            is_odd = True
    if "%" in (applying := others.get("gpp_sid", "")) and len(applying) <= _LIST_LENGTH_MAX:
        others["gpp_sid"] = unquote_plus(applying)
    return unquote_plus(given), others, is_odd


def _without_choice(opted_out: bool, policy: ConsentPolicy) -> tuple[Measurement, Purposes, str]:
    if policy.default is Measurement.DENIED:
        return Measurement.DENIED, NOTHING, "default_denies"
    if opted_out:
        if policy.opt_out_denies_measurement:
            return Measurement.DENIED, NOTHING, "opt_out_denies"
        return Measurement.UNKNOWN, NOTHING, "opt_out"
    if policy.default is Measurement.GRANTED:
        return Measurement.GRANTED, _BY_DEFAULT, "default_grants"
    return Measurement.UNKNOWN, NOTHING, "default_unknown"


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
