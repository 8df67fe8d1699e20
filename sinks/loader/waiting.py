"""Lets time pass while Kafka or ClickHouse is away; the loader stays a member of its group meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from runtime.kafka import KafkaUnavailable
from runtime.logs import get_logger
from schemas.bounds import TooEarly
from sinks.loader.block import Message
from sinks.loader.kafka.inbox import Inbox, InboxBroken
from sinks.loader.tally import Tally
from sinks.warehouse.client import WarehouseAway

# Between tries while something is away; the last one repeats.
PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
# 1 s apart; then the process ends and begins anew.
ASK_TRIES_MAX: Final = 30

_T = TypeVar("_T")

log = get_logger()


class LostPartition(Exception):
    """Somebody else has the partition now: what was under way is theirs to repeat."""


class Waiting:
    """What all partitions of a loader wait with: one of them waits, the others are paused."""

    def __init__(
        self, inbox: Inbox, tally: Tally, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._inbox = inbox
        self._tally = tally
        self._clock = clock
        self._sleep = sleep
        self._paused = False
        self._arrived: list[Message] = []  # while something was away
        self.turns = 0  # grows from call to call: a thread that hangs in one is seen by it

    def turn(self) -> None:
        """Say that something moves."""
        self.turns += 1

    def take_arrived(self) -> list[Message]:
        """What came meanwhile and is not looked at yet."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def drop_arrived(self, partition: int) -> None:
        """What came of this partition comes again."""
        self._arrived = [one for one in self._arrived if one.partition != partition]

    def wait(self, problem: str, tries: int, is_lost: Callable[[], bool]) -> None:
        """Pause all partitions and poll for some time, longer after more tries.

        Raises LostPartition as soon as `is_lost`, which a poll may bring about.
        """
        if problem != self._tally.problem:
            log.warning("waiting", problem=problem)
        self._tally.problem = problem
        if not self._paused:
            self._paused = True
            self._inbox.pause()
        until = self._clock() + PAUSES_S[min(tries, len(PAUSES_S) - 1)]
        while True:
            self.turns += 1
            self._arrived += self._inbox.poll(max(0.0, until - self._clock()))
            if is_lost():
                raise LostPartition
            if self._clock() >= until:
                return

    def end(self) -> None:
        """Nothing is away any more, or nobody waits for it."""
        self._tally.problem = ""
        if self._paused:
            self._paused = False
            self._inbox.resume()

    def ask(self, question: Callable[[], _T]) -> _T:
        """The answer, asked again while nobody answers, without a poll: for what is asked inside of one.

        Raises InboxBroken after ASK_TRIES_MAX tries.
        """
        for _ in range(ASK_TRIES_MAX):
            self.turns += 1
            try:
                return question()
            except (KafkaUnavailable, WarehouseAway, TooEarly) as away:
                self._tally.problem = str(away)
                self._sleep(1.0)
        raise InboxBroken(f"no way back found: {self._tally.problem}")
