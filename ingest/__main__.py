"""Start the edge: `python -m ingest`."""

from __future__ import annotations

import os
import sys

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels

from ingest.settings import EdgeSettings
from schemas.settings import PlatformSettings, SettingError


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    try:
        settings, edge = PlatformSettings.from_env(os.environ), EdgeSettings.from_env(os.environ)
    except SettingError as error:
        sys.exit(str(error))
    Granian(
        "ingest.app:build_edge",
        factory=True,
        address=edge.host,
        port=settings.edge_port,
        interface=Interfaces.ASGI,
        workers=edge.workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        backlog=4_096,
        backpressure=16_384,
        log_access=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
    ).serve()


if __name__ == "__main__":
    main()
