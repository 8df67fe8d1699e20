"""A partition processor with its logs in memory, and what it sent, acknowledged and gave up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from rocksdict import Cache

from schemas.clean_pack import read_clean_head
from schemas.dead_letter import Headers
from schemas.links import accept
from schemas.topics import CLEAN, RAW
from streams.decide import open_with
from streams.kafka.outbox import Delivered, DeliveryError, OnDelivery
from streams.partition.processor import Dependencies, PartitionProcessor, RawMessage, RunLimits
from streams.partition.store import StoreLimits
from tests.streams.make import RING, page_view, rules, sealed
from tests.streams.memory_log import MemoryLogs

LIMITS = StoreLimits(window_ms=24 * 3_600_000, buffer_bytes=1_000_000, cache=Cache(4_000_000))
AT_ONCE = RunLimits(count_max=1, wait_s=0)


class HeldOutbox:
    """An outbox that appends only when told to; keeps the order of all effects."""

    def __init__(self, logs: MemoryLogs) -> None:
        self.logs = logs
        self.waiting: deque[tuple[str, bytes, Headers, OnDelivery]] = deque()
        self.at_once = True
        self.effects: list[str] = []

    def send(
        self, topic: str, partition: int, value: bytes, headers: Headers | None, on_delivery: OnDelivery
    ) -> None:
        self.waiting.append((topic, value, headers or [], on_delivery))
        self.effects.append(f"sent to {topic}")
        if self.at_once:
            self.deliver()

    def deliver(self) -> None:
        topic, value, headers, on_delivery = self.waiting.popleft()
        record = self.logs.append(topic, value, [(name, text) for name, text in headers])
        self.effects.append(f"kept in {topic}")
        on_delivery(Delivered(record.offset, record.time_ms))

    def fail(self) -> None:
        self.waiting.popleft()[3](DeliveryError("_MSG_TIMED_OUT"))


class FixedPolicy:
    """Rules and ring that stay."""

    rules = rules()
    open_pack = staticmethod(open_with(RING))


class Office:
    """A partition processor with its logs, and what it acknowledged and gave up."""

    def __init__(self, folder: Path, runs: RunLimits = AT_ONCE) -> None:
        self.logs = MemoryLogs()
        self.outbox = HeldOutbox(self.logs)
        self.gave_up: list[str] = []
        policy: Any = FixedPolicy()
        self.dependencies = Dependencies(
            self.logs, self.outbox, policy, folder, LIMITS, 3, self.gave_up.append, runs
        )
        self.processor = PartitionProcessor(0, self.dependencies)

    def arrive(self, value: bytes) -> RawMessage:
        """A message lands on the raw topic."""
        record = self.logs.append(RAW, value)
        return self.message(record.offset)

    def message(self, offset: int) -> RawMessage:
        record = self.logs.logs[RAW, 0][offset]

        def ack() -> None:
            self.outbox.effects.append(f"acknowledged {offset}")

        return RawMessage(offset, record.time_ms, record.value, ack)

    def accepted(self) -> list[int]:
        """Raw offsets that have an accepted clean pack, in order."""
        heads = [read_clean_head(record.value) for record in self.logs.logs[CLEAN, 0]]
        verdicts, _ = accept(None, [head.as_link for head in heads])
        return [
            offset
            for head, verdict in zip(heads, verdicts, strict=True)
            for offset in range(head.first, head.origin.offset + 1)
            if verdict
        ]


def work(folder: Path, story: Callable[[Office], Awaitable[None]], runs: RunLimits = AT_ONCE) -> Office:
    """Run a story on a fresh partition processor and close it."""
    office = Office(folder, runs)

    async def tell() -> None:
        async with asyncio.timeout(20):
            await story(office)
            await settle()
            await office.processor.close()

    asyncio.run(tell())
    return office


async def settle() -> None:
    """Let callbacks and recoveries run."""
    for _ in range(20):
        await asyncio.sleep(0.005)


def pack(number: int) -> bytes:
    """A raw pack of one event."""
    return sealed([page_view(event_id=f"e{number}")])
