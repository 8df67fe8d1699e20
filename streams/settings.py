"""What an operator may set for the streams worker, beside the settings of the whole platform."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.settings import FromEnv, setting

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class StreamsSettings(FromEnv):
    """Read once at the start."""

    window_hours: int = setting(
        "FAIRPIXEL_STREAMS_WINDOW_HOURS", 24, "how long a copy of a stored event is recognised as a duplicate"
    )
    flight_packs_max: int = setting(
        "FAIRPIXEL_STREAMS_FLIGHT_PACKS_MAX",
        16,
        "clean packs a partition may have sent and not yet acknowledged",
    )
    stuck_seconds_max: int = setting(
        "FAIRPIXEL_STREAMS_STUCK_SECONDS_MAX",
        12,
        "the worker ends itself when nothing was decided for so long though Kafka answers and packs wait",
    )
    store_cache_mb: int = setting(
        "FAIRPIXEL_STREAMS_STORE_CACHE_MB",
        64,
        "memory for reading the deduplication store, all partitions together",
    )
    store_buffer_mb: int = setting(
        "FAIRPIXEL_STREAMS_STORE_BUFFER_MB",
        16,
        "memory for writing it, for each partition; twice that at the most",
    )
    instance: str = setting(
        "FAIRPIXEL_STREAMS_INSTANCE",
        "",
        "a lasting name of this worker in the consumer group, different for each; empty: a new one at each start",
    )

    @property
    def window_ms(self) -> int:
        """The duplicate window in milliseconds."""
        return self.window_hours * HOUR_MS
