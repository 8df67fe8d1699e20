"""Finds mail addresses, phone and card numbers and tokens, in time linear in the text whatever it says.

RE2 knows no look-around: a pattern takes the character before along, and one behind, and names what it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import re2

from streams.columns.joined import DIGIT, FOREIGN, FOREIGN_DIGIT, FOREIGN_LETTER, WORD, Joined, compile_linear

EMAIL_MASK, PHONE_MASK, CARD_MASK, TOKEN_MASK = "[email]", "[phone]", "[card]", "[token]"
# 3 to 7 µs a finding. No text of people has as many; one that does is left to whoever masks it whole.
FINDINGS_MAX = 50

# A sign as it stands, or percent-encoded, or that encoded again, as in an address within an address.
_PERCENT = r"%(?:25){0,2}"
_LETTER = r"A-Za-z0-9\x80-\x8A"  # of a mail address: each script has its own
_LABEL = rf"[{_LETTER}-]{{1,63}}"
_MAIL = rf"([{_LETTER}._%+'-]{{1,64}}(?:@|{_PERCENT}40){_LABEL}(?:(?:\.|{_PERCENT}2[Ee]){_LABEL})+)"
_GAP = rf"(?:[ +-]|{_PERCENT}2[0Dd]){{0,2}}"
_GAPS = rf"(?:[ ./()+-]|{_PERCENT}2[089BbDdEeFf]){{0,2}}"
_ESCAPE = r"%[0-9A-Fa-f]{2}"
_ESCAPED_GAP = re.compile(rf"{_PERCENT}2[0Dd]".encode())
# Separators or a leading plus make a number a phone number; ten bare digits are an order as often as a phone.
_NUMBER = (
    rf"(?:(?:^|[^{WORD}.-]|{_ESCAPE})([2-6]{DIGIT}{{3}}(?:{_GAP}{DIGIT}{{4}}){{2}}{_GAP}{DIGIT}{{1,7}}"
    rf"|3[47]{DIGIT}{{2}}{_GAP}{DIGIT}{{6}}{_GAP}{DIGIT}{{5}})"
    rf"|(?:^|[^{WORD}.+-]|{_ESCAPE})((?:\+|00|{_PERCENT}2[Bb]){DIGIT}(?:{_GAPS}{DIGIT}){{7,14}})"
    rf"|(?:^|[^{WORD}.-]|{_ESCAPE})(\(?0?{DIGIT}{{2,4}}\)[ ./-]?{DIGIT}{{3,4}}[ ./-]?{DIGIT}{{3,6}}"
    rf"|{DIGIT}{{3}}[ .-]{DIGIT}{{3}}[ .-]{DIGIT}{{4}}"
    rf"|0{DIGIT}{{2,4}}[ /-]{DIGIT}{{5,9}})"
    rf")(?:$|[^{WORD}-])"
)
_WEB_TOKEN = r"(eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,2})"
_NAMED_KEY = rf"(?:^|[^{WORD}])((?:sk|pk|rk|ghp|gho|ghs|xox[abprs]|glpat|AKIA|AIza)[_-]?[A-Za-z0-9_-]{{16,}})"
_LONG_WORD = r"(?:^|[^A-Za-z0-9_])([A-Za-z0-9_]{24,})"
MAIL, NUMBER, WEB_TOKEN, NAMED_KEY, LONG_WORD = map(
    compile_linear, (_MAIL, _NUMBER, _WEB_TOKEN, _NAMED_KEY, _LONG_WORD)
)
# One look for all of them: in most packs there is nothing, and a call costs as much as a thousand characters.
ANYTHING = "|".join((_MAIL, _NUMBER, _WEB_TOKEN, _NAMED_KEY, _LONG_WORD))
_ANY = compile_linear(ANYTHING)
# What the groups of a pattern mean.
_KINDS = {
    MAIL: ("mail",),
    NUMBER: ("card", "phone", "phone"),
    WEB_TOKEN: ("token",),
    NAMED_KEY: ("token",),
    LONG_WORD: ("word",),
}
_HEX = b"0123456789abcdefABCDEF"


class Finding(NamedTuple):
    """What is to be masked in a text, and as what."""

    start: int
    end: int
    mask: str


def find_all(joined: Joined) -> dict[int, list[Finding] | None]:
    """For each text in which something is found, by its place: the findings in order, without overlap; None where
    there are more than FINDINGS_MAX. `joined` is spent."""
    found: dict[int, list[Finding] | None] = {}
    if not _ANY.search(joined.data):
        return found
    if _may_have_mail(joined.data):
        _collect(joined, MAIL, found)
        if found:
            joined.data = _without(joined, found)
    for pattern in (WEB_TOKEN, NAMED_KEY, LONG_WORD, NUMBER):
        if pattern is not WEB_TOKEN or b"eyJ" in joined.data:
            _collect(joined, pattern, found)
    return {place: some and _apart(some) for place, some in found.items() if some != []}


def find_persons(texts: Sequence[str]) -> set[int]:
    """The places of those texts that hold a mail address, a phone or a card number."""
    joined = Joined(texts)
    found: dict[int, list[Finding] | None] = {}
    if _may_have_mail(joined.data):
        _collect(joined, MAIL, found)
    _collect(joined, NUMBER, found)
    return {place for place, some in found.items() if some != []}


def passes_luhn(digits: Sequence[int]) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1)."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        number = digit * (2 if i % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def _may_have_mail(data: bytes) -> bool:
    return b"@" in data or (b"40" in data and b"%" in data)


def _collect(joined: Joined, pattern: re2._Regexp[bytes], found: dict[int, list[Finding] | None]) -> None:
    """Add what the pattern finds; what nobody masks counts as work all the same."""
    data, kinds = joined.data, _KINDS[pattern]
    at, place, looked_at = 0, -1, 0
    while at < len(data) and (hit := pattern.search(data, at)):
        group = hit.lastindex
        start, end = hit.span(group)
        if start >= joined.starts[place + 1]:
            place, looked_at = joined.place(start), 0
        first = joined.starts[place]
        looked_at += 1
        some = found.setdefault(place, [])
        if some is not None:
            some += [
                Finding(one - first, other - first, mask)
                for one, other, mask in _judge(data, kinds[group - 1], start, end)
            ]
            if len(some) > FINDINGS_MAX or looked_at > FINDINGS_MAX:
                some = found[place] = None
        # The next pattern may need the separator as the character before.
        at = end if some is not None else joined.starts[place + 1] - 1


def _judge(data: bytes, kind: str, start: int, end: int) -> Iterator[Finding]:
    match kind:
        case "mail":
            yield Finding(start, end, EMAIL_MASK)
        case "token":
            yield Finding(start, end, TOKEN_MASK)
        case "word":
            yield from _tokens(data, start, end)
        case "card":
            number = _ESCAPED_GAP.sub(b"", data[start:end])
            digits = [byte & 15 for byte in number if 0x30 <= byte <= 0x39 or byte >= FOREIGN_DIGIT]
            if 13 <= len(digits) <= 19 and passes_luhn(digits):
                yield Finding(start, end, CARD_MASK)
        case _:
            yield Finding(start, end, PHONE_MASK)


def _tokens(data: bytes, start: int, end: int) -> Iterator[Finding]:
    """A long word with a digit and letters of both sizes; or what in it is hexadecimal, with a digit, from 32 on."""
    word = data[start:end]
    # A digit of another script behind the word counts as its own, as it always did.
    before_digit = end < len(data) and FOREIGN_DIGIT <= data[end] < FOREIGN_LETTER
    if word.upper() != word != word.lower() and (before_digit or not word.replace(b"_", b"").isalpha()):
        yield Finding(start, end, TOKEN_MASK)
        return
    for piece in word.split(b"_"):
        with_digit = not piece.isalpha() or (before_digit and start + len(piece) == end)
        if len(piece) >= 32 and with_digit and not piece.translate(None, _HEX):
            yield Finding(start, start + len(piece), TOKEN_MASK)
        start += len(piece) + 1


def _without(joined: Joined, found: dict[int, list[Finding] | None]) -> bytes:
    """The bytes with something else in the place of mail addresses: what stands beside one is looked at as if its
    mask stood there."""
    data = bytearray(joined.data)
    for place, some in found.items():
        first = joined.starts[place]
        for start, end, _ in some or ():
            data[first + start : first + end] = bytes([FOREIGN]) * (end - start)
    return bytes(data)


def _apart(findings: list[Finding]) -> list[Finding]:
    """In order; of those that overlap one, over all of it."""
    findings.sort()
    if all(one.end <= other.start for one, other in pairwise(findings)):
        return findings
    apart: list[Finding] = []
    for one in findings:
        if apart and one.start < apart[-1].end:
            last = apart[-1]
            apart[-1] = last._replace(end=max(last.end, one.end))
        else:
            apart.append(one)
    return apart
