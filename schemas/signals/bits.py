"""Bits of a base64url text, read from the front, as the strings of the IAB are written."""

from __future__ import annotations

import binascii

_FROM_URL = bytes.maketrans(b"-_+/=", b"+/\x00\x00\x00")  # base64url without padding (RFC 4648, section 5)
_FIBONACCI_BITS_MAX = 25  # the largest number of 16 bits needs 23 and the `1` that ends it


class Unreadable(ValueError):
    """A consent string that cannot be read whole. What it seemed to say so far counts for nothing."""


class Bits:
    """One segment. What goes past its end raises Unreadable: a refusal that was cut short is no consent."""

    __slots__ = ("_bytes", "_length", "_place")

    def __init__(self, text: str) -> None:
        """text: base64url without padding, six bits a character. Raises Unreadable for any other text."""
        if not text:
            raise Unreadable("an empty segment")
        try:
            # `A` is six zeros: filled up to whole groups, what was there keeps its place.
            filled = (text + "A" * (-len(text) % 4)).encode("ascii").translate(_FROM_URL)
            self._bytes = binascii.a2b_base64(filled, strict_mode=True)
        except (UnicodeEncodeError, binascii.Error):
            raise Unreadable("a character that is none of base64url") from None
        self._length = 6 * len(text)
        self._place = 0

    def take(self, count: int) -> int:
        """The next `count` bits as a number. 0.3 µs up to some dozens, however long the segment is."""
        begin, end = self._place, self._place + count
        if end > self._length:
            raise Unreadable("it is cut short")
        self._place = end
        last = (end + 7) >> 3
        whole = int.from_bytes(self._bytes[begin >> 3 : last], "big")
        return (whole >> ((last << 3) - end)) & ((1 << count) - 1)

    def take_range(self) -> tuple[int, int]:
        """One number or a range of two, as TCF writes them: a bit that says which, and 16 bits for each. 0.5 µs."""
        place = self._place
        entry = self._bytes[place >> 3 : (place >> 3) + 5]  # 7 + 33 bits are at most five bytes
        bits = int.from_bytes(entry.ljust(5, b"\0"), "big") << (place & 7)
        first = (bits >> 23) & 0xFFFF
        is_range = (bits >> 39) & 1
        self._place = place + (33 if is_range else 17)
        if self._place > self._length:
            raise Unreadable("it is cut short")
        return first, (bits >> 7) & 0xFFFF if is_range else first

    def take_fibonacci(self) -> int:
        """A number of at least 1 in Fibonacci coding: the sum of the Fibonacci numbers of its ones, ended by `11`."""
        number, weight, next_weight, before = 0, 1, 2, 0
        for _ in range(_FIBONACCI_BITS_MAX):
            bit = self.take(1)
            if bit and before:
                return number
            number += bit * weight
            weight, next_weight, before = next_weight, weight + next_weight, bit
        raise Unreadable("a Fibonacci number without end")

    @property
    def left(self) -> int:
        """Bits that were not read yet."""
        return self._length - self._place

    def require_end(self) -> None:
        """Raises Unreadable where more than zeros follows: encoders fill up a segment with zeros alone."""
        if self.take(self.left):
            raise Unreadable("something stands behind its end")
