"""Start the edge: `python -m ingest`: the sockets, and workers that answer on them."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from socket import socket

from uvicorn import Config

from ingest.operation import parse_listen
from ingest.serving.connection import SURPLUS_MAX, Connection
from ingest.serving.connections import CONNECTIONS_MAX
from ingest.serving.sockets import BACKLOG, listen, raise_file_limit
from ingest.serving.tls import build_tls, check_tls
from ingest.serving.workers import Workers
from ingest.settings import EdgeSettings
from runtime.kafka_access import find_access
from runtime.logs import configure_logs
from runtime.settings import PlatformSettings, SettingError

STOP_S_MAX = 10  # for answers under way; a pack that Kafka does not take within 1 s goes to the spool
HUNG_S_MAX = 10  # a worker that says nothing for so long is replaced


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logs("ingest")
    try:
        settings, edge = PlatformSettings.from_env(os.environ), EdgeSettings.from_env(os.environ)
        find_access(settings, "ingest")  # each worker asks for itself; here it is said once
        if settings.tls_cert:
            check_tls(Path(settings.tls_cert), Path(settings.tls_key))
    except SettingError as error:
        sys.exit(str(error))
    raise_file_limit(CONNECTIONS_MAX + SURPLUS_MAX + 1_024)
    listening = [_listen(edge.host, settings.edge_port, edge, "FAIRPIXEL_EDGE_PORT or FAIRPIXEL_EDGE_HOST")]
    if own := parse_listen(edge.metrics_listen):
        listening.append(_listen(*own, edge, "FAIRPIXEL_INGEST_METRICS_LISTEN"))
    workers = Workers(_config(settings, edge), listening)
    workers.run()
    if workers.could_not_start:
        sys.exit(1)


def _listen(host: str, port: int, edge: EdgeSettings, variable: str) -> socket:
    try:
        return listen(host, port, edge.answer_seconds_max)
    except OSError as error:
        sys.exit(f"{host}:{port}: {error.strerror}. Set {variable}, or end what uses it.")


def _config(settings: PlatformSettings, edge: EdgeSettings) -> Config:
    return Config(
        "ingest.app:build_edge",
        factory=True,
        interface="asgi3",
        workers=edge.workers or 1,
        loop="ingest.serving.tls:EdgeLoop",
        http=Connection,
        ws="none",
        lifespan="on",
        # How long a kept connection may stay idle; Connection holds the same for heads that come slowly.
        timeout_keep_alive=edge.header_seconds_max,
        timeout_graceful_shutdown=STOP_S_MAX,
        timeout_worker_healthcheck=HUNG_S_MAX,
        backlog=BACKLOG,
        proxy_headers=False,  # ours are counted from the right: client.py
        server_header=False,
        access_log=False,
        log_config=None,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
        ssl_context_factory=partial(build_tls, edge.tls_min) if settings.tls_cert else None,
    )


if __name__ == "__main__":
    main()
