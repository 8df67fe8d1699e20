"""Keeps the network of an address and forgets the host."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from streams.columns.batch import CleanBatch, replace
from streams.columns.memo import Memo


def truncate_ip(ip: str) -> str:
    """Keep the network, forget the host: /24 or /48; "" when it is no address. See `network_of`."""
    try:
        return network_of(ip_address(ip))
    except ValueError:
        return ""


def network_of(address: IPv4Address | IPv6Address) -> str:
    """The first address of the /24 or /48.

    An IPv6 address in which an IPv4 address stands whole is cut as that one. Teredo's (RFC 4380) are left out: the
    client's address stands in the bits that are cut, inverted, and what is before them names a server of nobody's.
    """
    number = int(address)
    within = number if isinstance(address, IPv4Address) else _ipv4_within(number)
    if within is not None:
        return str(IPv4Address(within >> 8 << 8))
    return "" if number >> 96 == _TEREDO else str(IPv6Address(number >> 80 << 80))


_TEREDO = 0x2001_0000  # the first 32 bits
_SIX_TO_FOUR = 0x2002  # the first 16; the IPv4 address is the next 32 (RFC 3056, 2)
# The first 96 bits of those whose last 32 are an IPv4 address: compatible and mapped (RFC 4291, 2.5.5), translated
# (RFC 2765, 2.1), and that of NAT64 (RFC 6052, 2.1). In a network's own prefix of NAT64, as in 64:ff9b:1::/48
# (RFC 8215), it lies behind the cut.
_IPV4_IS_LAST = frozenset((0, 0xFFFF, 0xFFFF_0000, 0x64_FF9B << 64))
_IPV4_MIN = 1 << 24  # 1.0.0.0: below it stand ::, ::1 and networks without a host


def _ipv4_within(number: int) -> int | None:
    if number >> 112 == _SIX_TO_FOUR:
        return number >> 80 & 0xFFFF_FFFF
    last = number & 0xFFFF_FFFF
    return last if last >= _IPV4_MIN and number >> 32 in _IPV4_IS_LAST else None


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
