"""Who may be with the engine at once: readers have a bound of their own, so the writer always finds a slot.

A slot belongs to its statement until the engine lets go of it, whoever has stopped waiting meanwhile. One that the
engine does not give back after it was told to end is lost, and only a new process brings it back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.settings import Limits


@dataclass(eq=False, slots=True)
class Slot:
    """One statement's place."""

    is_reader: bool
    deadline: float
    told_to_end: float | None = None  # when


class Slots:
    """All slots; `count_max` of them, of which readers may hold `reader_count_max`."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._changed = threading.Condition()
        self._held: set[Slot] = set()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, *, is_reader: bool) -> Slot:
        """A slot; waits for one up to `slot_wait_s_max`, then raises ClickHouseError 202."""
        limits = self._limits
        seconds = limits.reader_seconds_max + limits.grace_s if is_reader else limits.writer_seconds_max
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_free(is_reader), limits.slot_wait_s_max):
                whose, maximum = (
                    ("of readers", limits.reader_count_max)
                    if is_reader
                    else ("at all", limits.running_count_max)
                )
                raise ClickHouseError(
                    202,
                    "TOO_MANY_SIMULTANEOUS_QUERIES",
                    f"Too many simultaneous queries {whose}. Maximum: {maximum}; none ended within "
                    f"{limits.slot_wait_s_max:g} s",
                )
            slot = Slot(is_reader, self._clock() + seconds)
            self._held.add(slot)
            return slot

    def _is_free(self, is_reader: bool) -> bool:
        if len(self._held) >= self._limits.running_count_max:
            return False
        return not is_reader or sum(one.is_reader for one in self._held) < self._limits.reader_count_max

    def give_back(self, slot: Slot) -> None:
        with self._changed:
            self._held.discard(slot)
            self._changed.notify_all()

    def tell_to_end(self, slot: Slot) -> None:
        """Note that nobody waits for the statement any more."""
        slot.told_to_end = slot.told_to_end or self._clock()

    def lost_count(self, for_s: float = 0.0) -> int:
        """How many the engine has kept for `for_s` seconds after it was told to end them."""
        latest = self._clock() - for_s
        with self._changed:
            return sum(one.told_to_end is not None and one.told_to_end <= latest for one in self._held)

    def wait_empty(self, seconds: float) -> bool:
        """Whether every slot is given back within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, seconds)


class Budget:
    """Bytes that all readers' bodies, or answers, may hold together; `take` raises ClickHouseError 202 above that."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._taken = 0

    def take(self, count: int) -> None:
        with self._lock:
            if self._taken + count > self._bytes_max:
                raise ClickHouseError(
                    202,
                    "TOO_MANY_SIMULTANEOUS_QUERIES",
                    f"What readers sent or wait for is together longer than {self._bytes_max} bytes; try again later",
                )
            self._taken += count

    def give_back(self, count: int) -> None:
        with self._lock:
            self._taken -= count
