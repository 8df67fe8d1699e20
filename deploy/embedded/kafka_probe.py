"""Ask a broker who is there, with one request over a plain socket: costs no client library and 1 ms.

A frozen broker still accepts connections (the kernel does), so only an answer counts.
"""

from __future__ import annotations

import socket
import struct
from enum import Enum

METADATA_KEY, METADATA_VERSION = 3, 1  # the oldest form of the request that can ask for no topic at all
CORRELATION = 7
ANSWER_SIZE_MAX = 1 << 20  # bytes; the answer of one broker is about 60


class Broker(Enum):
    """What a broker is able to do now."""

    AWAY = "away"  # no answer
    STARTING = "starting"  # answers, but does not serve partitions yet
    READY = "ready"


def probe(host: str, port: int, timeout_s: float = 2.0) -> Broker:
    """Ask the broker at `host:port`; never raises for a broker that is away, slow or speaks nonsense."""
    header = struct.pack(">hhih", METADATA_KEY, METADATA_VERSION, CORRELATION, -1)
    request = header + struct.pack(">i", 0)  # an empty list of topics
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(struct.pack(">i", len(request)) + request)
            (size,) = struct.unpack(">i", _read(connection, 4))
            if not 8 <= size <= ANSWER_SIZE_MAX:
                return Broker.AWAY
            correlation, broker_count = struct.unpack_from(">ii", _read(connection, size))
    except (OSError, struct.error):
        return Broker.AWAY
    if correlation != CORRELATION:
        return Broker.AWAY
    return Broker.READY if broker_count > 0 else Broker.STARTING


def _read(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionError("closed")
        parts += part
    return parts
