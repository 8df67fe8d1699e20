"""Who may see how the edge does: numbers and reasons are for those who run it, a bare answer for everybody.

They are asked from the machine itself, or at an address of their own (FAIRPIXEL_INGEST_METRICS_LISTEN), unless
FAIRPIXEL_INGEST_METRICS opens them. A request that a proxy passed on came from elsewhere, whoever its peer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any

from ingest.reading.fields import Rejection
from runtime.settings import SettingError

# What proxies write. Somebody on the machine who adds one sees less, and nobody sees more by leaving one out: it is the
# proxy that writes it.
_PASSED_ON = frozenset(
    (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"via")
)
NOT_FROM_HERE = Rejection(
    "not_from_here",
    "This page is for those who run the edge.",
    "Ask from the machine itself or at FAIRPIXEL_INGEST_METRICS_LISTEN; FAIRPIXEL_INGEST_METRICS=public opens it.",
)


def parse_listen(text: str) -> tuple[str, int] | None:
    """`host:port`, such as 0.0.0.0:9100 or [::]:9100; None for "". Raises SettingError."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ip_address(host)
        if 1 <= int(port) <= 65_535:
            return host, int(port)
    except ValueError:
        pass
    raise SettingError(
        f'FAIRPIXEL_INGEST_METRICS_LISTEN: expected an address and a port such as 127.0.0.1:9100, got "{text}"'
    )


class Operators:
    """Tells those who run the edge from those who send to it."""

    def __init__(self, is_public: bool, listen: tuple[str, int] | None) -> None:
        """listen: where only they get to."""
        self._is_public = is_public
        self._port = listen[1] if listen is not None else 0

    def may_see(self, scope: Mapping[str, Any]) -> bool:
        """Whether a request is one of theirs."""
        if self._is_public:
            return True
        server, client = scope.get("server"), scope.get("client")
        if server is not None and self._port and server[1] == self._port:
            return True
        if client is None or not _PASSED_ON.isdisjoint(name for name, _ in scope["headers"]):
            return False
        # A program on this machine may also ask at the machine's own address: no other can take that one.
        return _is_loopback(client[0]) or (server is not None and client[0] == server[0])


def _is_loopback(peer: str) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
