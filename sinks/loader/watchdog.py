"""Ends a loader that stands still although it could load; the supervisor starts it anew, and nothing is lost by that.

The watchdog asks Kafka with a client of its own. The loader's may be inside a call that never returns (librdkafka's
`commit` waits without a time limit), and confluent-kafka lets one thread at a time into a consumer: whoever asked that
client would hang as well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from runtime.kafka import KafkaUnavailable
from runtime.watchdog import Standstill, WatchThread

LOOK_EVERY_S = 2.0
STALL_S_MAX = 20.0  # packs wait and none is loaded, though nothing is waited for
CALL_S_MAX = 60.0  # the loader's longest calls are `committed`, 50 s, and an insert with its position, 46 s
TOPIC_LOOKS = 15  # every so many looks: is it still the same topic?


class Look(NamedTuple):
    """What one look at the loader found."""

    turns: int  # grows while the loader's thread gets from call to call
    offsets: Mapping[int, int]  # partition -> first offset that is not loaded
    waits: bool  # for Kafka or ClickHouse, and knows it
    consumer_lag: int | None  # clean packs that wait on our partitions; None: Kafka does not answer


class Patience:
    """How long nothing has moved (pure). Looks are counted, not seconds: a process that was frozen stood not still."""

    def __init__(self) -> None:
        self._counted_s = 0.0
        self._hung = Standstill(CALL_S_MAX)  # since the last turn
        self._still = Standstill(STALL_S_MAX)  # since a pack was loaded or nothing had to be
        self._turns = -1
        self._offsets: dict[int, int] = {}

    def judge(self, look: Look) -> str:
        """The reason to end the process, or nothing."""
        self._counted_s += LOOK_EVERY_S
        turned = look.turns != self._turns
        loaded = look.offsets != self._offsets or not look.offsets
        self._turns, self._offsets = look.turns, dict(look.offsets)
        hung = self._hung.is_over(self._counted_s, turned)
        still = self._still.is_over(self._counted_s, loaded or look.waits or not look.consumer_lag)
        if hung:
            return f"a call has not returned for {CALL_S_MAX:.0f} s"
        return "packs wait and none is loaded" if still else ""


class Work(Protocol):
    """What the watchdog sees of the loader, from another thread."""

    @property
    def turns(self) -> int: ...

    @property
    def next_offsets(self) -> dict[int, int]: ...

    @property
    def waits(self) -> bool: ...


class TopicEnds(Protocol):
    """What the watchdog asks Kafka; both raise KafkaUnavailable when there is no answer in time."""

    def ends(self, partitions: list[int]) -> dict[int, int]:
        """Partition -> the offset behind its last message."""

    def topic_id(self) -> str:
        """The id of the topic that has this name now."""


class Watchdog:
    """Looks at the loader from a thread of its own. `highs` and `is_blind` are for the pages."""

    def __init__(self, work: Work, kafka: TopicEnds, topic_id: str, give_up: Callable[[str], None]) -> None:
        self._work = work
        self._kafka = kafka
        self._topic_id = topic_id
        self._patience = Patience()
        self._looks = 0
        self._thread = WatchThread(self._look, give_up, LOOK_EVERY_S, first_s=LOOK_EVERY_S)
        self.highs: Mapping[int, int] = {}  # partition -> end offset at the last look

    @property
    def is_blind(self) -> bool:
        """True when the watchdog itself hangs: then only a new process sees again."""
        return self._thread.is_blind

    def start(self, stop: threading.Event) -> None:
        """Look every LOOK_EVERY_S from a thread of its own, until `stop`."""
        self._thread.start(stop)

    def run(self, stop: threading.Event) -> None:
        """Look every LOOK_EVERY_S until `stop`."""
        self._thread.run(stop)

    def _look(self) -> str:
        """The reason to end the loader, or nothing."""
        self._looks += 1
        ask_topic = self._looks % TOPIC_LOOKS == 0
        offsets, waits, consumer_lag = self._work.next_offsets, self._work.waits, None
        try:
            if ask_topic and self._kafka.topic_id() != self._topic_id:
                return "the clean topic was made anew"
            self.highs = self._kafka.ends(list(offsets)) if offsets else {}
            consumer_lag = sum(
                max(0, self.highs[partition] - offset) for partition, offset in offsets.items()
            )
        except KafkaUnavailable:
            pass  # nobody here can help; a call that hangs is noticed all the same
        return self._patience.judge(Look(self._work.turns, offsets, waits, consumer_lag))
