"""Wire the loader to Kafka and ClickHouse, tell the truth about its health, and end it when it stands still."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from schemas.logs import get_logger
from schemas.metrics import SINKS_BLOCKS, SINKS_LAG, SINKS_LINK_OPEN, SINKS_PACKS, SINKS_ROWS
from schemas.secrets import parse_secrets
from schemas.settings import PlatformSettings
from schemas.topics import CLEAN
from sinks.inbox import InboxAway, InboxBroken, KafkaInbox, find_topic_id, lag_of
from sinks.letters import KafkaLetters
from sinks.loader import LINK_OPEN_S_MAX, Loader
from sinks.migrate import migrate, read_migrations
from sinks.pages import Answer, serve_pages
from sinks.settings import SinksSettings
from sinks.warehouse import HttpWarehouse, WarehouseError

STALL_S_MAX = 20.0  # lag and no progress for so long, while ClickHouse answers: the supervisor starts us anew
TICK_S = 2.0
TOPIC_CHECK_TICKS = 15

log = get_logger()


def run(platform: PlatformSettings, settings: SinksSettings, stop: threading.Event) -> int:
    """Load until `stop`; returns the exit code. Errors that a new start may mend end the process with 1."""
    warehouse = connect_warehouse(platform)
    health = Health(warehouse)
    server = serve_pages(
        platform.sinks_port, lambda: (200, health.report()), health.readyz, health.render_metrics
    )
    inbox: KafkaInbox | None = None
    try:
        inbox = _prepare(platform, settings, warehouse, stop, health)
        if inbox is None:
            return 0
        loader = Loader(
            inbox,
            warehouse,
            KafkaLetters(platform.bootstrap),
            group=settings.group,
            clock=time.monotonic,
            sleep=time.sleep,
        )
        health.watch(loader, inbox)
        inbox.subscribe(loader)
        threading.Thread(
            target=Watchdog(health, loader, inbox, platform.bootstrap).run, args=(stop,), daemon=True
        ).start()
        log.info("loader_started", group=settings.group)
        while not stop.is_set():
            loader.step()
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


def connect_warehouse(platform: PlatformSettings) -> HttpWarehouse:
    """ClickHouse as the user that writes; the password from the environment or secrets.toml."""
    password = platform.clickhouse_password
    if not password and platform.secrets_path.exists():
        password = parse_secrets(platform.secrets_path.read_text("utf-8"), os.environ).clickhouse_password
    return HttpWarehouse(platform.warehouse_url, platform.clickhouse_user, password)


def _prepare(
    platform: PlatformSettings,
    settings: SinksSettings,
    warehouse: HttpWarehouse,
    stop: threading.Event,
    health: Health,
) -> KafkaInbox | None:
    """Wait for ClickHouse and Kafka; the schema is up to date when this returns. None when told to stop meanwhile."""
    migrated, trouble = False, ""
    while not stop.is_set():
        try:
            if not migrated:
                for name in migrate(warehouse, read_migrations()):
                    log.info("migration_applied", migration=name)
                migrated = True
            return KafkaInbox(platform.bootstrap, settings.group, CLEAN)
        except (WarehouseError, InboxAway) as away:
            if str(away) != trouble:
                log.warning("waiting", trouble=str(away))
            trouble = health.trouble = str(away)
            stop.wait(0.5)
    return None


class Health:
    """What /healthz, /readyz and /metrics say."""

    def __init__(self, warehouse: HttpWarehouse) -> None:
        self.trouble = ""
        self._warehouse = warehouse
        self._loader: Loader | None = None
        self._inbox: KafkaInbox | None = None

    def watch(self, loader: Loader, inbox: KafkaInbox) -> None:
        """From now on speak of this loader."""
        self._loader, self._inbox, self.trouble = loader, inbox, ""

    def lag(self, *, ask: bool = False) -> int:
        """Clean packs not loaded yet, as far as this process has heard; `ask` asks the broker. Raises InboxAway."""
        if self._loader is None or self._inbox is None:
            return 0
        return lag_of(self._loader.next_offsets, self._inbox, ask=ask)

    def report(self) -> dict[str, object]:
        """The state as people and the supervisor read it; `status` is ok, or waiting with the reason."""
        loader = self._loader
        trouble = self.trouble or (loader.tally.trouble if loader else "")
        link_open_s = loader.link_open_s if loader else 0.0
        try:
            lag = self.lag()
        except InboxAway:
            lag = 0
        report: dict[str, object] = {
            "status": "waiting" if trouble or loader is None else "ok",
            "lag": lag,
            "partitions": len(loader.next_offsets) if loader else 0,
        }
        if trouble:
            report["detail"] = trouble
        if link_open_s > LINK_OPEN_S_MAX:
            report["detail"] = f"a pack has waited {link_open_s:.0f} s for the one it links to"
        return report

    def readyz(self) -> Answer:
        """200 while the loader has its partitions and waits for nothing."""
        loader = self._loader
        ready = loader is not None and bool(loader.next_offsets) and not loader.tally.trouble
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
        yield GaugeMetricFamily(SINKS_LAG.name, SINKS_LAG.meaning, value=float(str(report["lag"])))
        yield GaugeMetricFamily(
            SINKS_LINK_OPEN.name, SINKS_LINK_OPEN.meaning, value=loader.link_open_s if loader else 0.0
        )


class _Metrics(Collector):
    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        yield from self._health.families()


class Watchdog:
    """Ends the process when nothing moves although it could, and when the clean topic was made anew."""

    def __init__(self, health: Health, loader: Loader, inbox: KafkaInbox, bootstrap: str) -> None:
        self._health = health
        self._loader = loader
        self._inbox = inbox
        self._bootstrap = bootstrap
        self._seen: dict[int, int] = {}
        self._still_ticks = (
            0  # counted, not read from the clock: a process that was frozen has not stood still
        )

    def run(self, stop: threading.Event) -> None:
        """Look every TICK_S until `stop`."""
        ticks = 0
        while not stop.wait(TICK_S):
            ticks += 1
            try:
                reason = self._find_reason(ticks)
            except InboxAway:
                if (
                    self._loader.tally.trouble or not self._kafka_answers()
                ):  # a client may be stuck where Kafka is not
                    self._still_ticks = 0
                    continue
                reason = self._count_still()
            if reason and not stop.is_set():
                log.error("loader_ends_itself", reason=reason)
                os._exit(1)

    def _find_reason(self, ticks: int) -> str:
        if ticks % TOPIC_CHECK_TICKS == 0 and find_topic_id(self._bootstrap, CLEAN) != self._inbox.topic_id:
            return "the clean topic was made anew"
        offsets = self._loader.next_offsets
        waits = bool(self._loader.tally.trouble)
        moved = offsets != self._seen
        self._seen = offsets
        if moved or waits or not offsets or self._health.lag(ask=True) == 0:
            self._still_ticks = 0
            return ""
        return self._count_still()

    def _kafka_answers(self) -> bool:
        """Ask with a fresh client."""
        try:
            find_topic_id(self._bootstrap, CLEAN)
        except InboxAway:
            return False
        return True

    def _count_still(self) -> str:
        self._still_ticks += 1
        return "packs wait and none is loaded" if self._still_ticks * TICK_S >= STALL_S_MAX else ""
