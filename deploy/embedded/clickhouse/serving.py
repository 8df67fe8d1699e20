"""The confined part of the process: engine, guard, users and server, until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from deploy.embedded.clickhouse.allow_list import AllowList
from deploy.embedded.clickhouse.confine import Confinement
from deploy.embedded.clickhouse.engine import Engine
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.health import Health
from deploy.embedded.clickhouse.running import Runner
from deploy.embedded.clickhouse.server import Server
from deploy.embedded.clickhouse.settings import ClickHouseSettings
from deploy.embedded.clickhouse.slots import Slots
from deploy.embedded.clickhouse.users import Users

log = structlog.get_logger()

_STOP_S_MAX = 20.0
_LAST_MOMENT_S = 3.0
_RESTART_CODE = 75  # sysexits.h: EX_TEMPFAIL
_RESTARTS = "restarts"


def serve(
    settings: ClickHouseSettings,
    lock: int,
    listener: socket.socket,
    confinement: Confinement,
    build_allow_list: Callable[[Engine], AllowList] | None = None,
) -> int:
    """Serve on the bound `listener` until told to stop; 1 for a data folder that cannot be opened."""
    try:
        engine = Engine(settings, lock)
    except (OSError, ClickHouseError) as error:
        print(error, file=sys.stderr)
        return 1
    health = Health(engine.answer_one, confinement)
    health.restarts.set(restart_count(settings.data))
    slots = Slots(settings.limits)
    runner = Runner(engine, (build_allow_list or AllowList)(engine), settings.limits, slots)
    users = Users(settings.user, settings.password)
    server = Server(listener, engine, runner, users, health, settings.limits)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="accept")
    serving.start()
    log.info("clickhouse_ready", port=settings.port, version=engine.version)
    lost = 0
    while (
        not stop.wait(0.2) and not lost
    ):  # a signal that one of the engine's threads receives does not wake this one
        lost = slots.lost_count(for_s=settings.limits.lost_s_max)
    if lost:
        _restart(server, settings, lost)
    if server.stop(_STOP_S_MAX):
        engine.close()
        log.info("clickhouse_stopped")
    else:
        log.warning("clickhouse_stopped_with_queries_running")
    sys.stderr.flush()
    os._exit(0)  # idle keep-alive connections and the engine's threads need no farewell


def _restart(server: Server, settings: ClickHouseSettings, lost: int) -> None:
    """End, for the supervisor to start a new process: the engine keeps what it was told to end.

    What others are doing has a moment to finish; what is cut short was not acknowledged and comes again.
    """
    log.error("clickhouse_restarts", reason="the engine keeps queries it was told to end", queries=lost)
    path = settings.data / _RESTARTS
    path.write_text(f"{restart_count(settings.data) + 1}\n")
    server.stop(_LAST_MOMENT_S)
    sys.stderr.flush()
    os._exit(_RESTART_CODE)


def restart_count(data: Path) -> int:
    """How often `_restart` ran on this data folder."""
    try:
        return int((data / _RESTARTS).read_text())
    except (OSError, ValueError):
        return 0
