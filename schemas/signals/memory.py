"""Answers remembered for as long as there is room: bounded by bytes, as a consent string is one person's own and as
long as its sender likes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

ENTRY_BYTES = 300  # of the dictionary, the key's objects and the answer, beside the text


class Memory(Generic[Answer]):
    """Two halves: what is asked for moves to the young one, and when that is full the old one is forgotten.

    So what comes often stays, and a flood of texts that come once costs a new dictionary now and then.
    """

    def __init__(self, bytes_max: int) -> None:
        self._half = bytes_max // 2
        self._young: dict[Hashable, tuple[Answer, int]] = {}
        self._old: dict[Hashable, tuple[Answer, int]] = {}
        self._bytes = 0  # of the young half

    def get(self, key: Hashable) -> Answer | None:
        """The answer to a key, None where it is not known (any more)."""
        found = self._young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self.put(key, *found)
        return found[0] if found is not None else None

    def put(self, key: Hashable, answer: Answer, size: int) -> None:
        """Remember an answer, which is not None. size: characters of the text in the key."""
        if self._bytes > self._half:
            self._old, self._young, self._bytes = self._young, {}, 0
        self._young[key] = answer, size
        self._bytes += ENTRY_BYTES + size

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
