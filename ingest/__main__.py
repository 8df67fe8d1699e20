"""Start the edge: `python -m ingest`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels

from ingest.settings import EdgeSettings
from ingest.sockets import raise_file_limit
from ingest.tls import check_tls
from schemas.settings import PlatformSettings, SettingError

CONNECTIONS_MAX = 16_384  # of a worker; further ones wait in the backlog
HEADER_BYTES_MAX = (
    131_072  # of a request's line and headers; beyond it 431. Bodies come in pieces of this size
)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    try:
        settings, edge = PlatformSettings.from_env(os.environ), EdgeSettings.from_env(os.environ)
        if settings.tls_cert:
            check_tls(Path(settings.tls_cert), Path(settings.tls_key))
    except SettingError as error:
        sys.exit(str(error))
    raise_file_limit(CONNECTIONS_MAX + 1_024)
    Granian(
        "ingest.app:build_edge",
        factory=True,
        address=edge.host,
        port=settings.edge_port,
        interface=Interfaces.ASGI,
        workers=edge.workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        # Also how long a kept connection may stay idle: the clock runs from the end of the answer before.
        http1_settings=HTTP1Settings(
            header_read_timeout=edge.header_seconds_max * 1_000, max_buffer_size=HEADER_BYTES_MAX
        ),
        websockets=False,
        backlog=4_096,
        backpressure=CONNECTIONS_MAX,
        ssl_cert=Path(settings.tls_cert) if settings.tls_cert else None,
        ssl_key=Path(settings.tls_key) if settings.tls_key else None,
        ssl_protocol_min=SSLProtocols.tls12 if edge.tls_min == "1.2" else SSLProtocols.tls13,
        log_access=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
    ).serve()


if __name__ == "__main__":
    main()
