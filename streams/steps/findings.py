"""Finds mail and IP addresses, phone and card numbers and tokens, in time linear in the text whatever it says.

Texts are looked at as they read without escapes; what is found is said by its place in the text as it is.


RE2 knows no look-around: a pattern takes the character before along, and one behind, and names what it means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import re2

from streams.columns.joined import (
    DIGIT,
    FOREIGN,
    FOREIGN_DIGIT,
    FOREIGN_LETTER,
    HEX,
    WORD,
    Joined,
    compile_linear,
)
from streams.steps.ip import truncate_ip
from streams.steps.tokens import AFTER_WORD, NAMED_SECRET, end_of_reach, tokens_after
from streams.steps.tokens import WORD as TOKEN_WORD

EMAIL_MASK, PHONE_MASK, CARD_MASK, TOKEN_MASK, IP_MASK = "[email]", "[phone]", "[card]", "[token]", "[ip]"
MASKS = (EMAIL_MASK, PHONE_MASK, CARD_MASK, TOKEN_MASK, IP_MASK)
# 3 to 7 µs a finding. No text of people has as many; one that does is left to whoever masks it whole.
FINDINGS_MAX = 50

# The local part as in RFC 5322, 3.2.3, and RFC 6531, but for what separates the parts of addresses, of lists and of
# JSON; or in quotes. Each script has its own letters.
_LETTER = r"A-Za-z0-9\x80-\x8A"
_LABEL = rf"[{_LETTER}-]+"
_MAIL = (
    rf"((?:[{_LETTER}\x8C._%+'!#$*^~-]+|\"[^\"\n]{{1,64}}\")@"
    rf"(?:{_LABEL}(?:\.{_LABEL})+|\[[0-9A-Fa-f:.IPv]{{2,45}}\]))"
)
_GAP = r"[ +-]{0,2}"
_GAPS = r"[ ./()+-]{0,2}"
# Separators or a leading plus make a number a phone number; ten bare digits are an order as often as a phone.
_NUMBER = (
    rf"(?:(?:^|[^{WORD}.-])([2-6]{DIGIT}{{3}}(?:{_GAP}{DIGIT}{{4}}){{2}}{_GAP}{DIGIT}{{1,7}}"
    rf"|3[47]{DIGIT}{{2}}{_GAP}{DIGIT}{{6}}{_GAP}{DIGIT}{{5}})"
    rf"|(?:^|[^{WORD}.+-])((?:\+|00){DIGIT}(?:{_GAPS}{DIGIT}){{7,14}})"
    rf"|(?:^|[^{WORD}.-])(\(?0?{DIGIT}{{2,4}}\)[ ./-]?{DIGIT}{{3,4}}[ ./-]?{DIGIT}{{3,6}}"
    rf"|{DIGIT}{{3}}[ .-]{DIGIT}{{3}}[ .-]{DIGIT}{{4}}"
    rf"|0{DIGIT}{{2,4}}[ /-]{DIGIT}{{5,9}})"
    rf")(?:$|[^{WORD}-])"
)
# All numbers of a row joined by dots, and what looks like an IPv6 address (RFC 4291, 2.2): eight groups, or two colons.
_IPV4 = rf"(?:^|[^0-9\x80-\x89])({DIGIT}+(?:\.{DIGIT}+){{3,}})"
_GROUP, _DOTTED = rf"{HEX}{{1,4}}", rf"(?:\.{DIGIT}{{1,3}}){{3}}"
_IPV6 = (
    rf"(?:^|[^{WORD}])((?:(?:{_GROUP}:){{7}}{_GROUP}|(?:{_GROUP}:){{6}}{DIGIT}{{1,3}}{_DOTTED}"
    rf"|(?:(?:{_GROUP}:)+|:):(?:{_GROUP}(?::{_GROUP})*(?:{_DOTTED})?)?)(?:%[0-9A-Za-z_.~-]+)?)(?:$|[^{WORD}])"
)
_WEB_TOKEN = r"(eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,2})"
_NAMED_KEY = rf"(?:^|[^{WORD}])((?:sk|pk|rk|ghp|gho|ghs|xox[abprs]|glpat|AKIA|AIza)[_-]?[A-Za-z0-9_-]{{16,}})"
_LONG_WORD = r"(?:^|[^A-Za-z0-9_])([A-Za-z0-9_]{24,})"
MAIL, NUMBER, WEB_TOKEN, NAMED_KEY, LONG_WORD, IPV4, IPV6, SECRET, AFTER = map(
    compile_linear,
    (_MAIL, _NUMBER, _WEB_TOKEN, _NAMED_KEY, _LONG_WORD, _IPV4, _IPV6, NAMED_SECRET, AFTER_WORD),
)
_TOKEN_WORD = compile_linear(TOKEN_WORD)
# One look for all of them: in most packs there is nothing, and a call costs as much as a thousand characters.
ANYTHING = "|".join(
    (_MAIL, _NUMBER, _WEB_TOKEN, _NAMED_KEY, _LONG_WORD, _IPV4, _IPV6, NAMED_SECRET, AFTER_WORD)
)
_ANY = compile_linear(ANYTHING, captures=False)
# What the groups of a pattern mean.
_KINDS = {
    MAIL: ("mail",),
    NUMBER: ("card", "phone", "phone"),
    WEB_TOKEN: ("token",),
    NAMED_KEY: ("token",),
    LONG_WORD: ("word",),
    IPV4: ("dotted",),
    IPV6: ("groups",),
    SECRET: ("token", "token", "token"),
}
_HEX = b"0123456789abcdefABCDEF"


class Finding(NamedTuple):
    """What is to be masked in a text, and as what."""

    start: int
    end: int
    mask: str


def find_all(joined: Joined) -> dict[int, list[Finding] | None]:
    """For each text in which something is found, by its place: the findings in order, without overlap; None where
    there are more than FINDINGS_MAX, or where it cannot be read to the end. `joined` is spent."""
    unread = joined.still_encoded()
    found: dict[int, list[Finding] | None] = dict.fromkeys(unread)
    if not _ANY.search(joined.data):
        return found
    if b"@" in joined.data:
        _collect(joined, MAIL, found)
        if len(found) > len(unread):
            joined.data = _without(joined, found)
    for pattern in (WEB_TOKEN, NAMED_KEY, LONG_WORD, SECRET, IPV6, IPV4, NUMBER):
        if pattern is not WEB_TOKEN or b"eyJ" in joined.data:
            _collect(joined, pattern, found)
    _collect_tokens(joined, found)
    return {place: some and _as_written(joined, place, some) for place, some in found.items() if some != []}


def find_persons(texts: Sequence[str]) -> set[int]:
    """The places of those texts that hold a mail or IP address, a phone or a card number, or cannot be read."""
    joined = Joined(texts)
    found: dict[int, list[Finding] | None] = dict.fromkeys(joined.still_encoded())
    if b"@" in joined.data:
        _collect(joined, MAIL, found)
    for pattern in (IPV6, IPV4, NUMBER):
        _collect(joined, pattern, found)
    return {place for place, some in found.items() if some != []}


def passes_luhn(digits: Sequence[int]) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1)."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        number = digit * (2 if i % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


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


def _collect_tokens(joined: Joined, found: dict[int, list[Finding] | None]) -> None:
    """Add the tokens that stand behind a word; each place is looked at once, however many words it has."""
    data = joined.data
    at = 0
    while at < len(data) and (hit := AFTER.search(data, at)):
        word = _TOKEN_WORD.search(data, hit.start())
        place = joined.place(word.start() if data[word.start()] != 0x0A else word.start() + 1)
        first = joined.starts[place]
        at = end_of_reach(data, word.end())
        some = found.setdefault(place, [])
        if some is None:
            continue
        some += [
            Finding(start - first, end - first, TOKEN_MASK)
            for start, end in tokens_after(data, word.start(), word.end(), at)
        ]
        if len(some) > FINDINGS_MAX:
            found[place] = None


def _judge(data: bytes, kind: str, start: int, end: int) -> Iterator[Finding]:
    match kind:
        case "mail":
            yield Finding(start, end, EMAIL_MASK)
        case "token":
            if data[start:end] not in _MASKS:  # it is masked already
                yield Finding(start, end, TOKEN_MASK)
        case "word":
            yield from _tokens(data, start, end)
        case "card":
            digits = [byte & 15 for byte in data[start:end] if 0x30 <= byte <= 0x39 or byte >= FOREIGN_DIGIT]
            if 13 <= len(digits) <= 19 and passes_luhn(digits):
                yield Finding(start, end, CARD_MASK)
        case "dotted":
            yield from _ipv4(data, start, end)
        case "groups":
            yield from _ipv6(data, start, end)
        case _:
            yield Finding(start, end, PHONE_MASK)


_MASKS = frozenset(mask.encode() for mask in MASKS) | frozenset(mask[:-1].encode() for mask in MASKS)
_ASCII_DIGITS = bytes.maketrans(bytes(range(FOREIGN_DIGIT, FOREIGN_LETTER)), b"0123456789")
_OBJECT_ARC_MAX = 2  # object identifiers (ITU-T X.660) begin with 0, 1 or 2
_VERSION_SIGN = b"vV"


def _ipv4(data: bytes, start: int, end: int) -> Iterator[Finding]:
    """Four numbers below 256, as they are or with something behind: a port, the end of a file's name.

    Not behind a v, as versions stand; not what is cut already, this machine (RFC 1122, 3.2.1.3) or the identifier of an
    object.
    """
    text = data[start:end].translate(_ASCII_DIGITS)
    parts = text.split(b".")
    numbers = [int(part) if len(part) <= 3 else 256 for part in parts[:4]]
    if max(numbers) > 255 or numbers[0] in (0, 127) or not numbers[3]:
        return
    if len(parts) > 4 and numbers[0] <= _OBJECT_ARC_MAX:
        return
    if start and data[start - 1] in _VERSION_SIGN and not data[max(start - 2, 0) : start - 1].isalnum():
        return
    address = b".".join(parts[:4])
    yield Finding(start, start + len(address), truncate_ip(address.decode()) or IP_MASK)


def _ipv6(data: bytes, start: int, end: int) -> Iterator[Finding]:
    """An address that is not cut yet; not two colons between words, as in `add::face`."""
    text, _, zone = data[start:end].translate(_ASCII_DIGITS).decode("latin-1").partition("%")
    groups = [group for group in text.split(":") if group]
    if not any(map(str.isdigit, text)) and len(groups) < 3:
        return
    network = truncate_ip(text)
    if network in ("::", text) and not zone:
        return
    yield Finding(start, end, network or IP_MASK)


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


def _as_written(joined: Joined, place: int, findings: list[Finding]) -> list[Finding]:
    """The findings without overlap, by their places in the text as it is."""
    first = joined.starts[place]
    return [
        Finding(joined.original(place, first + one.start), joined.original(place, first + one.end), one.mask)
        for one in _apart(findings)
    ]


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
