"""Ask a broker who is there, with one request over a plain socket: costs no client library and 1 ms (3 with a login).

A frozen broker still accepts connections (the kernel does), so only an answer counts.
"""

from __future__ import annotations

import struct
from enum import Enum

from deploy.embedded.kafka_wire import LoginRefused, Wire

METADATA = (3, 1)  # the oldest form of the request that can ask for no topic at all


class Broker(Enum):
    """What a broker is able to do now."""

    AWAY = "away"  # no answer
    STARTING = "starting"  # answers, but does not serve partitions or does not know the login yet
    READY = "ready"


def probe(host: str, port: int, timeout_s: float = 2.0, login: tuple[str, str] | None = None) -> Broker:
    """Ask the broker at `host:port`; never raises for a broker that is away, slow or speaks nonsense."""
    try:
        with Wire(host, port, timeout_s) as wire:
            if login is not None:
                wire.login(*login)
            (broker_count,) = struct.unpack_from(">i", wire.call(METADATA, struct.pack(">i", 0)))
    except LoginRefused:
        return Broker.STARTING
    except (OSError, struct.error):
        return Broker.AWAY
    return Broker.READY if broker_count > 0 else Broker.STARTING
