"""The network an address belongs to, as limits and logs count by networks and never by addresses."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

NETWORK_LENGTH_MAX = 60  # characters of an address that is none


def network_of(ip: str) -> str:
    """The network an address counts for: /24 or /48, a mapped or 6to4 address as IPv4. 0.1 µs an IPv4 address."""
    if ":" in ip:
        return _network_of_v6(ip)
    head, dot, _ = ip.rpartition(".")
    return head if dot else ip[:NETWORK_LENGTH_MAX]


@lru_cache(maxsize=8_192)  # 8,192 x 250 bytes = 2 MB
def _network_of_v6(ip: str) -> str:
    try:
        address = ip_address(ip)
    except ValueError:
        return ip[:NETWORK_LENGTH_MAX]
    if not isinstance(address, IPv6Address):
        return network_of(str(address))
    within = address.ipv4_mapped or address.sixtofour  # the /48 of 6to4 is an IPv4 address (RFC 3056, 2)
    if within is not None:
        return network_of(str(within))
    return address.packed[:6].hex()
