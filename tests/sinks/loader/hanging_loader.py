"""`python -m tests.sinks.loader.hanging_loader N`: the loader, whose Kafka client hangs for good in its Nth commit.

As seen once after the machine had stood still for 3 s: librdkafka's commit waits without a time limit, and
confluent-kafka lets nobody else into the client meanwhile.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from confluent_kafka import Consumer

import sinks.loader.kafka.inbox
import sinks.loader.watchdog

_never = threading.Event()


class HangingConsumer(Consumer):
    """A consumer that answers nothing more once its last commit was asked for."""

    commits_left = int(sys.argv[1])

    def commit(self, *args: Any, **options: Any) -> Any:
        HangingConsumer.commits_left -= 1
        self._hang()
        return super().commit(*args, **options)

    def get_watermark_offsets(self, *args: Any, **options: Any) -> Any:
        self._hang()
        return super().get_watermark_offsets(*args, **options)

    def _hang(self) -> None:
        if HangingConsumer.commits_left <= 0:
            _never.wait()


if __name__ == "__main__":
    sinks.loader.kafka.inbox.Consumer = HangingConsumer  # type: ignore[misc]
    sinks.loader.watchdog.LOOK_EVERY_S, sinks.loader.watchdog.STALL_S_MAX = 0.5, 4.0
    from sinks.__main__ import main

    sys.exit(main())
