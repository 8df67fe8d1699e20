"""The edge's own settings, beside those every program reads (`runtime.settings.PlatformSettings`)."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.operation import parse_listen
from runtime.settings import FromEnv, SettingError, setting


@dataclass(frozen=True, slots=True)
class EdgeSettings(FromEnv):
    """Bounds and addresses of one edge; every bound says what happens when it is reached."""

    host: str = setting("FAIRPIXEL_EDGE_HOST", "127.0.0.1", "address the edge listens on; 0.0.0.0 for all")
    workers: int = setting(
        "FAIRPIXEL_INGEST_WORKERS",
        0,
        "worker processes of the edge, each with a spool of its own; 0: by the cores under `make up`, else 1",
    )
    name: str = setting(
        "FAIRPIXEL_INGEST_NAME", "edge", "first part of the edge's name, as packs and spool folders carry it"
    )
    core: str = setting(
        "FAIRPIXEL_INGEST_CORE",
        "own",
        "own: each worker keeps to one core, which makes a hit cheaper; any: the kernel may move it",
    )
    trusted_proxies: int = setting(
        "FAIRPIXEL_TRUSTED_PROXIES",
        0,
        "proxies in front of the edge whose X-Forwarded-For is believed, counted from the right",
    )
    proxy_header: str = setting(
        "FAIRPIXEL_PROXY_HEADER",
        "X-Forwarded-For",
        "the header those proxies write: X-Forwarded-For or Forwarded; no other is believed",
    )
    tls_min: str = setting("FAIRPIXEL_TLS_MIN", "1.2", "lowest version of TLS that is spoken: 1.2 or 1.3")
    network_rate_max: int = setting(
        "FAIRPIXEL_INGEST_NETWORK_RATE_MAX",
        5_000,
        "requests a second of one network (/24, /48) at one worker; beyond it 429; 0: no limit",
    )
    rate_burst_seconds: int = setting(
        "FAIRPIXEL_INGEST_RATE_BURST_SECONDS", 5, "so many seconds of a rate may come at once after a silence"
    )
    header_seconds_max: int = setting(
        "FAIRPIXEL_INGEST_HEADER_SECONDS_MAX",
        30,
        "a connection is closed when its next request's header has not come whole after so many s; at most 60",
    )
    body_seconds_max: int = setting(
        "FAIRPIXEL_INGEST_BODY_SECONDS_MAX",
        30,
        "a body that has not come whole after so many s is refused: 408",
    )
    answer_seconds_max: int = setting(
        "FAIRPIXEL_INGEST_ANSWER_SECONDS_MAX",
        30,
        "a client that takes nothing of its answer for so many s is cut off",
    )
    metrics: str = setting(
        "FAIRPIXEL_INGEST_METRICS",
        "local",
        "who sees /metrics and what /readyz says beside its status: local: this machine; public: everybody",
    )
    metrics_listen: str = setting(
        "FAIRPIXEL_INGEST_METRICS_LISTEN",
        "",
        "a further address and port, such as 0.0.0.0:9100, where whoever gets there sees them; none: no other",
    )
    pack_age_ms_max: int = setting(
        "FAIRPIXEL_INGEST_PACK_AGE_MS_MAX",
        25,
        "longest wait of a pack for more events, ms",
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

    def __post_init__(self) -> None:
        """Raises SettingError for a value that is none of those it may be."""
        for variable, value, known in (
            ("FAIRPIXEL_PROXY_HEADER", self.proxy_header.lower(), ("x-forwarded-for", "forwarded")),
            ("FAIRPIXEL_INGEST_CORE", self.core, ("own", "any")),
            ("FAIRPIXEL_TLS_MIN", self.tls_min, ("1.2", "1.3")),
            ("FAIRPIXEL_INGEST_METRICS", self.metrics, ("local", "public")),
        ):
            if value not in known:
                raise SettingError(f'{variable}: expected {" or ".join(known)}, got "{value}"')
        parse_listen(self.metrics_listen)
        if not 1 <= self.header_seconds_max <= 60:
            raise SettingError(
                f"FAIRPIXEL_INGEST_HEADER_SECONDS_MAX: expected 1 to 60 seconds, got {self.header_seconds_max}"
            )
