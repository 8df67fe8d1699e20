"""The edge's own settings, beside those every program reads (`schemas.settings.PlatformSettings`)."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.settings import FromEnv, setting


@dataclass(frozen=True, slots=True)
class EdgeSettings(FromEnv):
    """Bounds and addresses of one edge; every bound says what happens when it is reached."""

    host: str = setting("FAIRPIXEL_EDGE_HOST", "127.0.0.1", "address the edge listens on; 0.0.0.0 for all")
    workers: int = setting(
        "FAIRPIXEL_INGEST_WORKERS", 1, "worker processes of the edge; each has a spool of its own"
    )
    name: str = setting(
        "FAIRPIXEL_INGEST_NAME", "edge", "first part of the edge's name, as packs and spool folders carry it"
    )
    trusted_proxies: int = setting(
        "FAIRPIXEL_TRUSTED_PROXIES",
        0,
        "proxies in front of the edge whose X-Forwarded-For is believed, counted from the right",
    )
    pack_age_ms_max: int = setting(
        "FAIRPIXEL_INGEST_PACK_AGE_MS_MAX", 10, "longest wait of a pack for more events, ms"
    )
    kafka_wait_ms_max: int = setting(
        "FAIRPIXEL_INGEST_KAFKA_WAIT_MS_MAX",
        1_000,
        "a pack Kafka has not acknowledged after this many ms goes to the spool",
    )
    waiting_events_max: int = setting(
        "FAIRPIXEL_INGEST_WAITING_EVENTS_MAX",
        50_000,
        "events that may wait for an acknowledgement; beyond it the edge answers 503",
    )
    spool_bytes_max: int = setting(
        "FAIRPIXEL_INGEST_SPOOL_BYTES_MAX",
        2_000_000_000,
        "size of a worker's spool; when it is full the edge answers 503",
    )
