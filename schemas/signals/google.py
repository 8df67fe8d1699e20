"""Google consent mode as hits carry it: `gcs`, and `gcd` with how each answer came about.

Sources: Google's pages on consent mode name the four answers; the letters of `gcd` are read as its tags write them.
"""

from __future__ import annotations

import re

from schemas.signals.bits import Unreadable
from schemas.signals.purposes import Purpose, Statement

_GCS = re.compile(r"G1([01-])([01-])")
# A letter of each answer behind a digit that tells of the tag's own settings, and an end that differs.
_GCD = re.compile(r"1[0-9]([a-z])[0-9]([a-z])[0-9]([a-z])[0-9]([a-z])[0-9][0-9a-z]{0,8}")
_GRANTED = frozenset(
    "tvrn"
)  # by default; by default and again; after a default that denied; without a default
_DENIED = frozenset("pqum")
_UNSAID = "l"


def judge_gcs(text: str) -> Statement:
    """`G1`, then advertising, then analytics: 1 granted, 0 denied, - nobody said. Raises Unreadable."""
    read = _GCS.fullmatch(text)
    if read is None or read[2] == "-":
        raise Unreadable("gcs is G1 and two of 0 and 1, and it says something of analytics")
    return _state("gcs", {Purpose.MARKETING: _answer(read[1]), Purpose.MEASUREMENT: _answer(read[2])})


def judge_gcd(text: str) -> Statement:
    """Four letters: storage of advertising, storage of analytics, user data for advertising, personalised advertising.
    Raises Unreadable, also for a letter that is not known."""
    read = _GCD.fullmatch(text)
    if read is None:
        raise Unreadable("gcd has four letters")
    storage, analytics, user_data, personalised = map(_answer_of, read.groups())
    marketing = storage if storage is False or user_data is None else user_data and storage
    return _state(
        "gcd",
        {
            Purpose.MARKETING: marketing,
            Purpose.MEASUREMENT: analytics,
            Purpose.PERSONALISATION: personalised,
        },
    )


def _answer(sign: str) -> bool | None:
    return None if sign == "-" else sign == "1"


def _answer_of(sign: str) -> bool | None:
    if sign not in _GRANTED and sign not in _DENIED and sign != _UNSAID:
        raise Unreadable("a letter of gcd that is not known")
    return None if sign == _UNSAID else sign in _GRANTED


def _state(signal: str, answers: dict[Purpose, bool | None]) -> Statement:
    granted = {purpose for purpose, answer in answers.items() if answer}
    denied = {purpose for purpose, answer in answers.items() if answer is False}
    row = f"{signal}_denies" if Purpose.MEASUREMENT in denied else f"{signal}_grants"
    if Purpose.MEASUREMENT not in granted | denied:
        row = f"{signal}_unsaid"
    if Purpose.MEASUREMENT in granted:
        granted.add(Purpose.NECESSARY)
    return Statement(row, frozenset(granted), frozenset(denied))
