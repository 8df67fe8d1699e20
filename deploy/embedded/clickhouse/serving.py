"""The confined part of the process: engine, guard, users and server, until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

import structlog

from deploy.embedded.clickhouse.confine import Confinement
from deploy.embedded.clickhouse.engine import Engine
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.guard import Guard
from deploy.embedded.clickhouse.health import Health
from deploy.embedded.clickhouse.running import Runner
from deploy.embedded.clickhouse.server import Server
from deploy.embedded.clickhouse.settings import ClickHouseSettings
from deploy.embedded.clickhouse.users import Users

log = structlog.get_logger()

_STOP_S_MAX = 20.0


def serve(
    settings: ClickHouseSettings,
    lock: int,
    listener: socket.socket,
    confinement: Confinement,
    build_guard: Callable[[Engine], Guard] | None = None,
) -> int:
    """Serve on the bound `listener` until told to stop; 1 for a data folder that cannot be opened."""
    try:
        engine = Engine(settings, lock)
    except (OSError, ClickHouseError) as error:
        print(error, file=sys.stderr)
        return 1
    health = Health(engine.answer_one, confinement)
    runner = Runner(engine, (build_guard or _build_guard)(engine), settings.limits)
    users = Users(settings.user, settings.password)
    server = Server(listener, engine, runner, users, health, settings.limits)
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


def _build_guard(engine: Engine) -> Guard:
    return Guard(engine.parse, engine.outline, engine.setting_types)
