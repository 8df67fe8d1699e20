"""The key ring as a value: which key to seal under, which to open with, which to make and which to destroy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KEY_ID_BYTES = 8
KEY_BYTES = 32  # AES-256
DAY_MS = 86_400_000
DAYS_AHEAD = 2  # keys are made this long before they are used, so an edge never lacks one
# 1 in use + 1 spool + 2 raw retention + 8 dead letters; then nothing under it can be read.
KEY_LIFETIME_DAYS = 12


class RingError(ValueError):
    """A key file that cannot be used; the text names the file and never its content."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One key; `not_before` is the ms since 1970 from which an edge uses it."""

    not_before: int
    key_id: bytes
    secret: bytes = field(repr=False, compare=False)

    @property
    def file_name(self) -> str:
        """`<not_before>-<key id in hex>.key`; the file holds the 32 bytes of the key."""
        return f"{self.not_before:013d}-{self.key_id.hex()}.key"


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys, oldest first."""

    keys: tuple[Key, ...]
    by_id: Mapping[bytes, Key] = field(repr=False)

    @classmethod
    def of(cls, keys: Mapping[str, bytes]) -> Ring:
        """Build a ring from file names and contents, as `Key.file_name` makes them. Raises RingError."""
        parsed = sorted(_parse_key(name, secret) for name, secret in keys.items())
        return cls(tuple(parsed), {key.key_id: key for key in parsed})

    def newest(self, now_ms: int) -> Key:
        """The key to seal under: the newest that has begun, else the oldest there is. Raises RingError when empty."""
        if not self.keys:
            raise RingError("the key ring is empty; `fairpixel up` makes the first keys")
        begun = [key for key in self.keys if key.not_before <= now_ms]
        return begun[-1] if begun else self.keys[0]

    def missing(self, now_ms: int) -> list[int]:
        """`not_before` of each key that should exist by now: one a day, today and DAYS_AHEAD days ahead."""
        today = now_ms // DAY_MS * DAY_MS
        have = {key.not_before for key in self.keys}
        return [day for day in (today + i * DAY_MS for i in range(DAYS_AHEAD + 1)) if day not in have]

    def expired(self, now_ms: int) -> list[Key]:
        """Keys under which nothing can be read any more: to be destroyed."""
        return [key for key in self.keys if key.not_before + KEY_LIFETIME_DAYS * DAY_MS < now_ms]


def _parse_key(name: str, secret: bytes) -> Key:
    stem, _, suffix = name.partition(".")
    not_before, _, key_id = stem.partition("-")
    try:
        key = Key(int(not_before), bytes.fromhex(key_id), secret)
    except ValueError:
        raise RingError(f"{name}: not the name of a key file") from None
    if suffix != "key" or len(key.key_id) != KEY_ID_BYTES:
        raise RingError(f"{name}: not the name of a key file")
    if len(secret) != KEY_BYTES:
        raise RingError(f"{name}: expected {KEY_BYTES} bytes, found {len(secret)}")
    return key
