"""Refuse what a page in somebody's browser sends: it could read and write through the person at the machine."""

from __future__ import annotations

from urllib.parse import urlsplit

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.headers import Headers

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def check_origin(headers: Headers, port: int) -> None:
    """Raise ClickHouseError (HTTP 403) unless the request comes from no page or from a page of this very server.

    A Host that is no loopback name is refused as well: a foreign name that was made to point here would otherwise
    count as this server's own pages.
    """
    origin, host = headers.get("Origin"), headers.get("Host")
    own = host is None or _host(f"//{host}") in _LOOPBACK
    if origin is not None:
        own = own and _is_own_page(origin, port)
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        own = False
    if not own:
        raise ClickHouseError(
            497, "ACCESS_DENIED", "Refused by this server: the request comes from a foreign page"
        )


def _is_own_page(origin: str, port: int) -> bool:
    try:
        address = urlsplit(origin)
        return address.scheme == "http" and _host(origin) in _LOOPBACK and address.port == port
    except ValueError:  # no address, or a port that is no number
        return False


def _host(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""
