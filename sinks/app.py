"""Wire the loader to Kafka and ClickHouse, tell the truth about its health, and end it when it stands still."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from runtime.health_server import Answer, serve_health
from runtime.kafka import KafkaUnavailable
from runtime.kafka_access import KafkaAccess, find_access
from runtime.logs import get_logger
from runtime.metrics import (
    SINKS_BLOCKS,
    SINKS_CONSUMER_LAG,
    SINKS_LINK_OPEN,
    SINKS_PACKS,
    SINKS_REFUSED,
    SINKS_ROWS,
)
from runtime.secrets import read_secrets
from runtime.settings import PlatformSettings
from runtime.watchdog import end_process
from schemas.topics import CLEAN
from sinks.loader.attempts import ATTEMPTS_MAX, Attempts
from sinks.loader.kafka.dead_letters import KafkaDeadLetters
from sinks.loader.kafka.inbox import InboxBroken, KafkaInbox
from sinks.loader.kafka.raw_log import KafkaRaw
from sinks.loader.kafka.topic_ends import KafkaTopicEnds
from sinks.loader.loader import Loader
from sinks.loader.tally import LINK_OPEN_S_MAX
from sinks.loader.watchdog import Watchdog
from sinks.settings import SinksSettings
from sinks.warehouse.client import HttpWarehouse, WarehouseError
from sinks.warehouse.migrate import migrate, read_migrations

LIVED_S: Final = 120.0  # a loader that lived so long was not ended by what it fetched first

log = get_logger()


def run(platform: PlatformSettings, settings: SinksSettings, stop: threading.Event) -> int:
    """Load until `stop`; returns the exit code. Errors that a new start may mend end the process with 1."""
    warehouse = connect_warehouse(platform)
    kafka = find_access(platform, "sinks")
    health = Health()
    server = serve_health(platform.sinks_port, health.healthz, health.readyz, health.render_metrics)
    inbox: KafkaInbox | None = None
    folder = platform.data / "sinks" / "attempts"
    starts = Attempts(folder / "starts", settings.group)
    try:
        inbox = _prepare(kafka, settings, warehouse, stop, health, careful=_is_unlucky(starts))
        if inbox is None:
            return 0
        loader = Loader(
            inbox,
            warehouse,
            KafkaDeadLetters(kafka),
            KafkaRaw(kafka),
            group=settings.group,
            clock=time.monotonic,
            sleep=time.sleep,
            folder=folder,
        )
        watchdog = Watchdog(loader, KafkaTopicEnds(kafka, CLEAN), inbox.topic_id, _end_process)
        health.watch(loader, inbox, watchdog)
        inbox.subscribe(loader)
        watchdog.start(stop)
        log.info("loader_started", group=settings.group)
        started = time.monotonic()
        starts.begin(0)
        while not stop.is_set():
            loader.step()
            if started and time.monotonic() - started > LIVED_S:
                started = 0.0
                starts.done(0)
        starts.done(0)
        loader.finish()
        return 0
    except InboxBroken as error:
        log.error("loader_broken", reason=str(error))
        return 1
    finally:
        if inbox is not None:
            inbox.close()
        server.shutdown()
        log.info("loader_stopped")


def _is_unlucky(starts: Attempts) -> bool:
    """Whether several loaders ended soon after their start, for whatever reason: this one fetches little at a time."""
    ended = starts.ended(0)
    if ended >= ATTEMPTS_MAX:
        log.warning("loader_reads_carefully", ended_soon=ended)
    return ended >= ATTEMPTS_MAX


def _end_process(reason: str) -> None:
    end_process("loader_ends_itself", reason=reason)


def connect_warehouse(platform: PlatformSettings) -> HttpWarehouse:
    """ClickHouse as the user that writes; the password from the environment or secrets.toml."""
    password = platform.clickhouse_password
    if not password and platform.secrets_path.exists():
        password = read_secrets(platform.secrets_path, os.environ).clickhouse_password
    return HttpWarehouse(platform.warehouse_url, platform.clickhouse_user, password)


def _prepare(
    kafka: KafkaAccess,
    settings: SinksSettings,
    warehouse: HttpWarehouse,
    stop: threading.Event,
    health: Health,
    *,
    careful: bool,
) -> KafkaInbox | None:
    """Wait for ClickHouse and Kafka; the schema is up to date when this returns. None when told to stop meanwhile."""
    migrated, problem = False, ""
    while not stop.is_set():
        try:
            if not migrated:
                for name in migrate(warehouse, read_migrations()):
                    log.info("migration_applied", migration=name)
                migrated = True
            return KafkaInbox(kafka, settings.group, CLEAN, careful=careful)
        except (WarehouseError, KafkaUnavailable) as away:
            if str(away) != problem:
                log.warning("waiting", problem=str(away))
            problem = health.problem = str(away)
            stop.wait(0.5)
    return None


class Health:
    """What /healthz, /readyz and /metrics say."""

    def __init__(self) -> None:
        self.problem = ""
        self._loader: Loader | None = None
        self._inbox: KafkaInbox | None = None
        self._watchdog: Watchdog | None = None

    def watch(self, loader: Loader, inbox: KafkaInbox, watchdog: Watchdog) -> None:
        """From now on speak of this loader."""
        self._loader, self._inbox, self._watchdog, self.problem = loader, inbox, watchdog, ""

    def consumer_lag(self) -> int:
        """Clean packs not loaded yet: behind the ends the loader heard of, or the watchdog asked for."""
        loader, inbox, watchdog = self._loader, self._inbox, self._watchdog
        if loader is None or inbox is None or watchdog is None:
            return 0
        return sum(
            max(0, inbox.high(partition) - offset, watchdog.highs.get(partition, 0) - offset)
            for partition, offset in loader.next_offsets.items()
        )

    def healthz(self) -> Answer:
        """200 while the loader works or waits; 503 when nobody watches it any more and a restart would help."""
        if self._watchdog is not None and self._watchdog.is_blind:
            return 503, {**self.report(), "status": "stuck", "detail": "the watchdog hangs"}
        return 200, self.report()

    def report(self) -> dict[str, object]:
        """The state as people read it; `status` is ok, waiting with the reason, or unhealthy: something was refused.

        A restart mends neither, so the answer is 200 all the same.
        """
        loader = self._loader
        problem = self.problem or (loader.tally.problem if loader else "")
        refusal = loader.tally.refusal(time.monotonic()) if loader else ""
        stuck = loader.tally.stuck if loader else ""
        link_open_s = loader.link_open_s if loader else 0.0
        report: dict[str, object] = {
            "status": "waiting" if problem or loader is None else "ok",
            "consumer_lag": self.consumer_lag(),
            "partitions": len(loader.next_offsets) if loader else 0,
        }
        if refusal:
            report |= {"status": "unhealthy", "detail": refusal}
        if problem:
            report |= {"status": "waiting", "detail": f"{problem}; {refusal}" if refusal else problem}
        if stuck:
            report |= {"status": "unhealthy", "detail": f"{stuck}; {refusal}" if refusal else stuck}
        if link_open_s > LINK_OPEN_S_MAX and not refusal:
            report["detail"] = f"a pack has waited {link_open_s:.0f} s for the one it links to"
        return report

    def readyz(self) -> Answer:
        """200 while the loader has its partitions and waits for nothing."""
        loader = self._loader
        ready = loader is not None and bool(loader.next_offsets) and not loader.tally.problem
        return (200, {"status": "ready"}) if ready else (503, {"status": "not ready"})

    def render_metrics(self) -> bytes:
        """Prometheus text."""
        registry = CollectorRegistry()
        registry.register(_Metrics(self))
        return generate_latest(registry)

    def families(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """The loader's metrics as they stand now."""
        loader = self._loader
        for metric, counts in (
            (SINKS_BLOCKS, loader.tally.blocks if loader else {}),
            (SINKS_PACKS, loader.tally.packs if loader else {}),
            (SINKS_REFUSED, loader.tally.refused if loader else {}),
        ):
            family = CounterMetricFamily(
                metric.name.removesuffix("_total"), metric.meaning, labels=metric.labels
            )
            for outcome, count in dict(counts).items():
                family.add_metric([outcome], count)
            yield family
        rows = loader.tally.row_count if loader else 0
        yield CounterMetricFamily(SINKS_ROWS.name.removesuffix("_total"), SINKS_ROWS.meaning, value=rows)
        report = self.report()
        yield GaugeMetricFamily(
            SINKS_CONSUMER_LAG.name, SINKS_CONSUMER_LAG.meaning, value=float(str(report["consumer_lag"]))
        )
        yield GaugeMetricFamily(
            SINKS_LINK_OPEN.name, SINKS_LINK_OPEN.meaning, value=loader.link_open_s if loader else 0.0
        )


class _Metrics(Collector):
    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        yield from self._health.families()
