"""Keeps the network of an address and forgets the host."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from streams.columns.batch import CleanBatch, replace
from streams.columns.memo import Memo


def truncate_ip(ip: str) -> str:
    """Keep the network, forget the host: /24 or /48; "" when it is no address."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ""
    # Within some IPv6 addresses an IPv4 address stands whole: in mapped ones, and in the /48 of 6to4 (RFC 3056).
    address = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
    network, kept_bits = (IPv4Network, 24) if address.version == 4 else (IPv6Network, 48)
    return str(network((int(address), kept_bits), strict=False).network_address)


_OCTETS = frozenset(map(str, range(256)))


def plain_network(head: str) -> str:
    """The network of an IPv4 address whose last number was cut off; "" when these are no three plain numbers."""
    parts = head.split(".")
    return f"{head}.0" if len(parts) == 3 and _OCTETS.issuperset(parts) else ""


_plain = Memo(plain_network, size_max=65_536)  # 65,536 x about 200 bytes = 13 MB at the most
_others = Memo(truncate_ip, size_max=32_768)  # 4 µs an address; 32,768 x about 250 bytes = 8 MB at the most


def truncate_all(ips: Sequence[str]) -> list[str]:
    """`truncate_ip` of each. Networks repeat, addresses do not: 0.3 µs an address where a memory of them costs 1.0."""
    _plain.make_room()
    _others.make_room()
    networks = []
    for ip in ips:  # a loop of Python's: what costs is to cut and to look up, which are C
        head, _, host = ip.rpartition(".")
        networks.append(_plain[head] if host in _OCTETS and _plain[head] else _others[ip])
    return networks


def truncate_ips(batch: CleanBatch) -> CleanBatch:
    """Fill `ip_network` and empty `ip`."""
    return replace(batch, ip_network=truncate_all(batch.ip) if any(batch.ip) else [], ip=[])
