"""Keeps the network of an address and forgets the host."""

from __future__ import annotations

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


def truncate_ip_fast(ip: str) -> str:
    """The same: 0.5 µs for the four plain numbers nearly every address is, 4 µs for the rest."""
    parts = ip.split(".")
    if len(parts) == 4 and _OCTETS.issuperset(parts):
        return f"{parts[0]}.{parts[1]}.{parts[2]}.0"
    return truncate_ip(ip)


_networks = Memo(truncate_ip_fast, size_max=65_536)  # 65,536 x about 200 bytes = 13 MB at the most


def truncate_ips(batch: CleanBatch) -> CleanBatch:
    """Fill `ip_network` and empty `ip`."""
    return replace(batch, ip_network=_networks.of_all(batch.ip) if any(batch.ip) else [], ip=[])
