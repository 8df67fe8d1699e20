"""Wires the worker: Faust brings raw packs, a processor for each partition decides, our own producer delivers."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from prometheus_client import generate_latest

from runtime.health_server import serve_health
from runtime.kafka_access import find_access
from runtime.logs import get_logger
from runtime.settings import PlatformSettings
from schemas.topics import RAW
from streams import measures
from streams.fault import end_process, where
from streams.kafka.consumer_lag import KafkaConsumerLag
from streams.kafka.faust_app import build_app, end_if_crashed
from streams.kafka.log_reader import KafkaLogReader
from streams.kafka.outbox import KafkaOutbox
from streams.kafka.ready import wait_for_kafka
from streams.partition.processor import CLOSE_SECONDS_MAX, Dependencies, PartitionProcessor, RawMessage
from streams.partition.store import StoreLimits
from streams.policy import Policy
from streams.settings import StreamsSettings
from streams.watchdog import Watchdog

CONFIG_EVERY_SECONDS = 1.0
RING_EVERY_SECONDS = 3_600.0
MB = 1_000_000


class Worker:
    """All partition processors of one process; as `Work`, what the watchdog sees."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._processors: dict[int, PartitionProcessor] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._closing: dict[int, asyncio.Task[None]] = {}
        self._catching_up: asyncio.Task[None] | None = None
        self._finished = 0  # progress of partition processors that are closed
        self.assigned = False  # true after the first assignment, even an empty one

    def progress(self) -> int:
        return self._finished + sum(processor.progress for processor in list(self._processors.values()))

    def next_raw(self) -> Mapping[int, int]:
        return {processor.partition: processor.next_raw for processor in list(self._processors.values())}

    def ready(self) -> bool:
        return self.assigned and all(processor.ready for processor in list(self._processors.values()))

    async def take(self, event: Any) -> None:
        """One raw message from Faust; without a partition processor it is left to whoever has the partition now."""
        message = event.message
        processor = self._processors.get(message.partition)
        if processor is not None:
            time_ms = round(message.timestamp * 1000)
            raw = RawMessage(message.offset, time_ms, message.value or b"", event.ack)
            if not processor.gather(raw):
                # Faust cancels agents; a partition processor must not stop in the middle of a step.
                await asyncio.shield(processor.decide_waiting())

    async def assign(self, partitions: set[int]) -> None:
        """Open a partition processor for each partition, all at once; messages wait for theirs."""
        await self.revoke()
        for partition in sorted(partitions):
            processor = self._processors[partition] = PartitionProcessor(
                partition, self._dependencies, self._closing.get(partition)
            )
            task = asyncio.get_running_loop().create_task(processor.open())
            task.add_done_callback(self._opened)
            self._opening.add(task)
        self.assigned = True
        get_logger().info("partitions_assigned", partitions=sorted(partitions))

    async def revoke(self) -> None:
        """Close all partition processors; the end of the log is short to read again for those that come back."""
        processors, self._processors = self._processors, {}
        self._finished += sum(processor.progress for processor in processors.values())
        for partition, processor in processors.items():
            self._closing[partition] = asyncio.get_running_loop().create_task(processor.close())
        if processors:
            await asyncio.wait(
                [self._closing[partition] for partition in processors], timeout=CLOSE_SECONDS_MAX
            )

    def catch_up(self) -> None:
        """While a partition awaits others, its messages fill Faust's buffers, and behind them those of all others wait,
        here and in other workers: then each open one reads for itself."""
        if self._catching_up and not self._catching_up.done():
            return
        processors = list(self._processors.values())
        if any(processor.awaits_others for processor in processors):
            self._catching_up = asyncio.get_running_loop().create_task(
                self._catch_up([one for one in processors if one.ready])
            )
            self._catching_up.add_done_callback(self._caught_up)

    async def _catch_up(self, processors: Sequence[PartitionProcessor]) -> None:
        for processor in processors:
            await processor.catch_up()

    def _caught_up(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._dependencies.give_up(where(error))

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._dependencies.give_up(f"a partition cannot be opened: {where(error)}")


async def run(settings: PlatformSettings, streams: StreamsSettings, identity_secret: bytes) -> None:
    """Work until SIGTERM or SIGINT."""
    (settings.data / "streams").mkdir(mode=0o700, parents=True, exist_ok=True)
    kafka = find_access(settings, "streams")
    policy = Policy(settings.config_path, settings.keys, identity_secret)
    await asyncio.get_running_loop().run_in_executor(
        None, wait_for_kafka, kafka, RAW, settings.kafka_partitions
    )
    outbox = KafkaOutbox(kafka)
    dependencies = Dependencies(
        log=KafkaLogReader(kafka),
        outbox=outbox,
        policy=policy,
        folder=settings.data / "streams" / "seen",
        limits=StoreLimits.of(streams.window_ms, streams.store_buffer_mb * MB, streams.store_cache_mb * MB),
        flight_packs_max=streams.flight_packs_max,
        give_up=end_process,
    )
    worker = Worker(dependencies)
    app = build_app(settings, kafka, streams, worker, end_process)
    watchdog = Watchdog(
        KafkaConsumerLag(kafka), worker, streams.stuck_seconds_max, end_process, measures.CONSUMER_LAG.set
    )
    serve_health(
        settings.streams_port,
        lambda: watchdog.health().healthz(),
        lambda: watchdog.health().readyz(),
        generate_latest,
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    # What is here now stays; packs are freed by count. Rarer rounds of the collector: 1.5 µs an event less.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    app.finalize()
    await app.start()
    get_logger().info("worker_started", rules_version=policy.rules.version)
    duties = [
        asyncio.create_task(_every(CONFIG_EVERY_SECONDS, policy.refresh_config)),
        asyncio.create_task(_every(CONFIG_EVERY_SECONDS, worker.catch_up)),
        asyncio.create_task(_every(RING_EVERY_SECONDS, policy.refresh_ring)),
        asyncio.create_task(_every(CONFIG_EVERY_SECONDS, partial(end_if_crashed, app, end_process))),
    ]
    await stopping.wait()
    get_logger().info("worker_stopping")
    for duty in duties:
        duty.cancel()
    await worker.revoke()
    outbox.close(5.0)
    await app.stop()


async def _every(seconds: float, duty: Any) -> None:
    while True:
        await asyncio.sleep(seconds)
        duty()
