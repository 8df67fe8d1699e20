"""Start the embedded ClickHouse: take what needs the outside, be confined to the data folder, then open the engine."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

import deploy
import schemas
from deploy.embedded.clickhouse.confine import Confinement, confine, forget_secrets_in_environment
from deploy.embedded.clickhouse.data_lock import DataFolderBusy, hold
from deploy.embedded.clickhouse.settings import ClickHouseSettings, SettingsError

if TYPE_CHECKING:  # to load the engine is to start its threads: see the end of main
    from deploy.embedded.clickhouse.allow_list import AllowList
    from deploy.embedded.clickhouse.engine import Engine

log = structlog.get_logger()


def main(build_allow_list: Callable[[Engine], AllowList] | None = None) -> int:
    """Run until told to stop; 2 for settings that cannot work, 1 for a folder or port that is taken.

    `build_guard` is for tests of the walls behind the allow-list.
    """
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
        lock = hold(settings.data)
    except (DataFolderBusy, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", settings.port))
    except OSError as error:
        print(
            f"FAIRPIXEL_CLICKHOUSE_PORT: port {settings.port} cannot be used: {error.strerror}",
            file=sys.stderr,
        )
        return 1
    confinement = _give_up_the_rest(settings)
    # Only now: the engine starts threads when it is loaded, and threads that run are not confined.
    from deploy.embedded.clickhouse.serving import serve

    return serve(settings, lock, listener, confinement, build_allow_list)


def _give_up_the_rest(settings: ClickHouseSettings) -> Confinement:
    """Be confined, with one warning for each wall that this kernel lacks."""
    scratch = settings.data / "tmp"
    scratch.mkdir(mode=0o700, exist_ok=True)
    os.environ["TMPDIR"] = str(scratch)
    forget_secrets_in_environment()
    ours = [Path(place) for package in (deploy, schemas) for place in package.__path__]
    confinement = confine(settings.data, ours, settings.secrets)
    for sentence in confinement.missing:
        log.warning("clickhouse_not_confined", missing=sentence)
    return confinement


if __name__ == "__main__":
    sys.exit(main())
