"""Start the embedded ClickHouse: engine, guard, users and server, until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import signal
import sys
import threading

import structlog

from deploy.embedded.clickhouse.engine import DataFolderBusy, Engine
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.guard import Guard
from deploy.embedded.clickhouse.health import Health
from deploy.embedded.clickhouse.running import Runner
from deploy.embedded.clickhouse.server import Server
from deploy.embedded.clickhouse.settings import ClickHouseSettings, SettingsError
from deploy.embedded.clickhouse.users import Users

log = structlog.get_logger()

_STOP_S_MAX = 20.0


def main() -> int:
    """Run until told to stop; 2 for settings that cannot work, 1 for a folder or port that is taken."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        settings = ClickHouseSettings.from_env(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        engine = Engine(settings)
    except (DataFolderBusy, OSError, ClickHouseError) as error:
        print(error, file=sys.stderr)
        return 1
    health = Health(engine.answer_one)
    runner = Runner(engine, Guard(engine.parse, engine.outline, engine.setting_types), settings.limits)
    users = Users(settings.user, settings.password)
    try:
        server = Server(settings.port, engine, runner, users, health, settings.limits)
    except OSError as error:
        print(
            f"FAIRPIXEL_CLICKHOUSE_PORT: port {settings.port} cannot be used: {error.strerror}",
            file=sys.stderr,
        )
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="accept")
    serving.start()
    log.info("clickhouse_ready", port=settings.port, version=engine.version)
    while not stop.wait(0.2):  # a signal that one of the engine's threads receives does not wake this one
        pass
    if server.stop(_STOP_S_MAX):
        engine.close()
        log.info("clickhouse_stopped")
    else:
        log.warning("clickhouse_stopped_with_queries_running")
    sys.stderr.flush()
    os._exit(0)  # idle keep-alive connections and the engine's threads need no farewell


if __name__ == "__main__":
    sys.exit(main())
