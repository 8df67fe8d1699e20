"""Many texts as one run of bytes: a pattern goes over all of them at once, and says which of them it found."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from unicodedata import category, normalize

import numpy as np
import re2

SEPARATOR = "\n"  # no pattern here goes across it, and next to it each reads as at the end of a text
MEMORY_BYTES_MAX = 16_000_000  # of a pattern's automaton, which grows as it is needed


def compile_linear(pattern: str) -> re2._Regexp[bytes]:
    """A pattern over bytes, one a character, that takes time linear in the text whatever the text is."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = MEMORY_BYTES_MAX
    return re2.compile(pattern.encode("latin-1"), options)


class Joined:
    """Texts one behind the other, one byte a character.

    A call of RE2 costs 2 to 7 µs and 2 ns a character: for a pack at once it is next to nothing.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.data = shadow(SEPARATOR.join(texts))
        self._texts = texts

    @cached_property
    def starts(self) -> list[int]:
        """Where each text begins, and where one more would."""
        return list(accumulate((len(text) + 1 for text in self._texts), initial=0))

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
FOREIGN_DIGIT, FOREIGN_LETTER, FOREIGN = 0x80, 0x8A, 0x8B
DIGIT = r"[0-9\x80-\x89]"  # \d as Python means it
WORD = r"0-9A-Za-z_\x80-\x8A"  # \w, for a class


def shadow(text: str) -> bytes:
    """The text as far as patterns look at it, one byte a character: ASCII as it is, and what looks like it as what it
    looks like; of the rest its kind. 4 ns a character, where str.translate takes 54 or more."""
    if text.isascii():
        return text.encode()
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _KINDS[codes]
    new = codes[kinds == _UNKNOWN]
    if new.size:
        for code in np.unique(new).tolist():  # 2 µs each, once in the life of the process
            _KINDS[code] = _kind(chr(code))
        kinds = _KINDS[codes]
    return kinds.astype(np.uint8).tobytes()


_UNKNOWN = 256
_KINDS = np.full(0x110000, _UNKNOWN, np.uint16)  # character -> its byte; 2 MB
_KINDS[:0x80] = range(0x80)


def _kind(character: str) -> int:
    if character.isdecimal():
        return FOREIGN_DIGIT + int(character)
    plain = normalize("NFKC", character)  # such as full-width forms, and spaces that do not break
    if plain.isascii() and len(plain) == 1:
        return ord(plain)
    if character.isspace():
        return ord(" ")
    if category(character) == "Pd" or character == "\N{MINUS SIGN}":
        return ord("-")
    if character in "\N{IDEOGRAPHIC FULL STOP}\N{HALFWIDTH IDEOGRAPHIC FULL STOP}":  # a dot of hosts too
        return ord(".")
    return FOREIGN_LETTER if character.isalnum() else FOREIGN
