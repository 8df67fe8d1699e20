"""Many texts as one run of bytes: a pattern goes over all of them at once, and says which of them it found."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from unicodedata import category, normalize

import numpy as np
import re2
from numpy.typing import NDArray

from streams.columns.decoded import Codes, Places, decode_escapes, has_escapes

SEPARATOR = "\n"  # no pattern here goes across it, and next to it each reads as at the end of a text
MEMORY_BYTES_MAX = 16_000_000  # of a pattern's automaton, which grows as it is needed


def compile_linear(pattern: str, *, captures: bool = True) -> re2._Regexp[bytes]:
    """A pattern over bytes, one a character, that takes time linear in the text whatever the text is.

    captures: False where nobody asks for groups: to find their places costs 0.8 µs a character of what was found.
    """
    options = re2.Options()
    options.never_capture = not captures
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = MEMORY_BYTES_MAX
    return re2.compile(pattern.encode("latin-1"), options)


class Joined:
    """Texts one behind the other as they read without escapes, one byte a character.

    A call of RE2 costs 2 to 7 µs and 2 ns a character: for a pack at once it is next to nothing. `data` and `starts`
    count in the texts as they read; `original` says where that is in the texts as they are.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._places: Places | None = None  # None: each text reads as it is
        self._unfinished: Places | None = None
        text = SEPARATOR.join(texts)
        if has_escapes(text) and (decoded := decode_escapes(text)):
            kinds, self._places, self._unfinished = (
                _kinds_of(decoded.codes),
                decoded.places,
                decoded.unfinished,
            )
            self.data = kinds.tobytes()
        else:
            self.data = shadow(text)
        if IGNORED_BYTE in self.data:
            kinds = np.frombuffer(self.data, np.uint8)
            keep = np.append(kinds != IGNORED, True)
            self._places = np.flatnonzero(keep) if self._places is None else self._places[keep]
            self.data = kinds[keep[:-1]].tobytes()

    @cached_property
    def starts(self) -> list[int]:
        """Where each text begins, and where one more would."""
        starts = self._original_starts
        if self._places is None:
            return starts
        found: list[int] = np.searchsorted(self._places, starts[:-1]).tolist()
        return [*found, len(self.data) + 1]

    @cached_property
    def _original_starts(self) -> list[int]:
        return list(accumulate((len(text) + 1 for text in self._texts), initial=0))

    def original(self, place: int, at: int) -> int:
        """Where the byte at `at`, in the text at `place`, stands in that text as it is."""
        if self._places is None:
            return at - self.starts[place]
        return int(self._places[at]) - self._original_starts[place]

    def still_encoded(self) -> set[int]:
        """The texts whose last layer nobody took off: what they say is not known."""
        if self._unfinished is None:
            return set()
        return {bisect_right(self._original_starts, at) - 1 for at in self._unfinished.tolist()}

    def place(self, at: int) -> int:
        """Which of the texts has the byte at `at`."""
        return bisect_right(self.starts, at) - 1

    def found(self, pattern: re2._Regexp[bytes]) -> Iterator[int]:
        """Each text in which the pattern is found, once, in order; the pattern must not match the separator."""
        at = 0
        while at < len(self.data) and (hit := pattern.search(self.data, at)):
            place = self.place(hit.start())
            yield place
            at = self.starts[place + 1] - 1


# Digits of other scripts are 0x80 to 0x89, so that the last four bits are the number, as they are of ASCII digits.
# Signs are what is neither letter nor punctuation, such as emoji; what nobody sees, such as a soft hyphen, is ignored.
FOREIGN_DIGIT, FOREIGN_LETTER, FOREIGN, FOREIGN_SIGN, IGNORED = 0x80, 0x8A, 0x8B, 0x8C, 0x8D
IGNORED_BYTE = bytes([IGNORED])
DIGIT = r"[0-9\x80-\x89]"  # \d as Python means it
HEX = r"[0-9A-Fa-f\x80-\x89]"
WORD = r"0-9A-Za-z_\x80-\x8A"  # \w, for a class


def shadow(text: str) -> bytes:
    """The text as far as patterns look at it, one byte a character: ASCII as it is, and what looks like it as what it
    looks like; of the rest its kind. 4 ns a character, where str.translate takes 54 or more."""
    if text.isascii():
        return text.encode()
    return _kinds_of(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)).tobytes()


def _kinds_of(codes: Codes) -> NDArray[np.uint8]:
    kinds = _KINDS[codes]
    new = codes[kinds == _UNKNOWN]
    if new.size:
        for code in np.unique(new).tolist():  # 2 µs each, once in the life of the process
            _KINDS[code] = _kind(chr(code))
        kinds = _KINDS[codes]
    return kinds.astype(np.uint8)


_UNKNOWN = 256
_KINDS = np.full(0x110000, _UNKNOWN, np.uint16)  # character -> its byte; 2 MB
_KINDS[:0x80] = range(0x80)


def _kind(character: str) -> int:
    plain = normalize("NFKC", character)  # such as full-width forms, and spaces that do not break
    if plain.isascii() and len(plain) == 1:
        return ord(plain)
    if character.isdecimal():
        return FOREIGN_DIGIT + int(character)
    if character.isspace():
        return ord(" ")
    if category(character) == "Pd" or character == "\N{MINUS SIGN}":
        return ord("-")
    if character in "\N{IDEOGRAPHIC FULL STOP}\N{HALFWIDTH IDEOGRAPHIC FULL STOP}":  # a dot of hosts too
        return ord(".")
    sort = category(character)
    if sort == "Cf" or character in _UNSEEN:
        return IGNORED
    if character.isalnum() or sort[0] == "M":  # a mark belongs to the letter before it
        return FOREIGN_LETTER
    return FOREIGN if sort[0] in "PZC" and sort != "Cs" else FOREIGN_SIGN


# Beside the formats (Cf), what Unicode calls default ignorable: selectors of variants, joiners and fillers.
_UNSEEN = frozenset(
    map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10)))
)
