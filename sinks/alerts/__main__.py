"""`python -m sinks.alerts`: the alert watcher, until SIGTERM; it waits for Kafka, ClickHouse and the tables."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

from runtime.health_server import serve_health
from runtime.kafka import KafkaUnavailable
from runtime.kafka_access import find_access
from runtime.logs import configure_logs, get_logger
from runtime.secrets import SecretsError, read_secrets
from runtime.settings import PlatformSettings, SettingError
from sinks.alerts.delivery.routes import Webhooks
from sinks.alerts.health import Health
from sinks.alerts.loop import Watcher
from sinks.alerts.outside import HttpEdge, KafkaRawTopic
from sinks.alerts.store import Store
from sinks.warehouse.client import HttpWarehouse, WarehouseError

PAUSE_SECONDS = 0.3
PAUSE_SECONDS_MAX = 5.0  # after failures in a row


def main() -> int:
    """Returns the exit code."""
    configure_logs("alerts")
    log = get_logger()
    try:
        settings = PlatformSettings.from_env(os.environ)
        password = _password(settings)
        kafka = find_access(settings, "alerts")
    except (SettingError, SecretsError) as error:
        log.error("settings_refused", reason=str(error))
        return 2
    stop = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stop.set())
    health = Health(_now_ms)
    hooks = Webhooks(settings.config_path, settings.warehouse_url, log.warning)

    def tell(event: str, **fields: Any) -> None:
        if event == "alert_sent":
            health.sent(fields["route"], fields["outcome"])
        log.info(event, **fields)

    topic = KafkaRawTopic(kafka)
    store = Store(HttpWarehouse(settings.warehouse_url, settings.clickhouse_user, password))
    watcher = Watcher(store, topic, HttpEdge(settings.edge_url), hooks, tell)
    try:
        server = serve_health(settings.alerts_port, health.healthz, health.readyz, health.render_metrics)
    except OSError:
        log.error("port_taken", port=settings.alerts_port, setting="FAIRPIXEL_ALERTS_PORT")
        return 2
    failures = 0
    while not stop.is_set():
        hooks.refresh()
        try:
            watcher.step(_now_ms())
            failures = 0
            health.came_round(watcher.standing)
        # Somebody else is away; nothing is decided until they are back.
        except (WarehouseError, KafkaUnavailable, OSError) as error:
            failures += 1
            if failures in (1, 10) or failures % 100 == 0:
                log.warning("waiting", reason=str(error), failures=failures)
            health.came_round(watcher.standing, problem=str(error))
        stop.wait(min(PAUSE_SECONDS * 1.5**failures, PAUSE_SECONDS_MAX))
    hooks.stop()
    try:
        watcher.finish()
    except (WarehouseError, OSError) as error:
        log.warning("deliveries_not_recorded", reason=str(error))
    server.shutdown()
    topic.close()
    log.info("stopped")
    return 0


def _password(settings: PlatformSettings) -> str:
    if settings.clickhouse_password:
        return settings.clickhouse_password
    try:
        return read_secrets(settings.secrets_path, os.environ).clickhouse_password
    except FileNotFoundError:
        raise SecretsError("secrets.toml: not found; `fairpixel up` makes it") from None
    except OSError as error:
        raise SecretsError(f"secrets.toml: not readable: {type(error).__name__}") from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    sys.exit(main())
