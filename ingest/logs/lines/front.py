"""What stands before the time in a line of the common log format and its kin: who asked, by address and by name.

Usually three words: address, identd's answer, user. Behind a proxy the list of X-Forwarded-For stands before them or in
the place of the address, and a user's name may hold spaces: only the `[` of the time ends it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network

_NOTHING = frozenset({"-", "", '"-"', '""', "(null)"})
_ABSENT = frozenset({"-", "unknown"})  # members of a list that are no address
# Addresses that a server or a proxy inside has, and no client that comes by the internet.
_INSIDE = tuple(map(ip_network, (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10",
    "fc00::/7", "fe80::/10", "::1/128",
)))  # fmt: skip
_BETWEEN = re.compile(r"[\s,;\"]")  # what stands between the members of a list
WORDS_MAX = 200
ADDRESSES_MAX = 16_384  # that are remembered: 16,384 x about 250 bytes = 4 MB
_ADDRESS_LENGTH_MAX = 100  # characters, with a zone and a port


def read_front(text: str) -> tuple[str, str] | None:
    """Address and user, each "" where there is none; None where the words do not say who asked, as behind a host.

    Of several addresses the client's is the first that can come by the internet.
    """
    words = text.split(None, WORDS_MAX)
    addresses, place = _take_addresses(words)
    if addresses:
        ip = _choose(addresses)
    elif not words:
        return None
    else:
        ip, place = ("", 1) if words[0] in _NOTHING else (words[0], 1)
        behind, more = _take_addresses(words[1:])
        if behind and ip:
            return None
        if behind:
            ip, place = _choose(behind), 1 + more
    rest = words[place:]
    if not ip and not rest[1:]:
        return None
    if not addresses and len(rest) > 2 and rest[0] not in _NOTHING:
        return None  # any of them may be anything
    return ip, user_of(" ".join(rest[1:] or rest))


def begins_with_address(line: bytes) -> bool:
    """Whether the first word of a line is an address, or the dash of an unknown one."""
    first = line[:100].decode("utf-8", "replace").split(None, 1)[:1]
    return first == ["-"] or bool(first and _take_addresses(first)[0])


def user_of(text: str) -> str:
    """A user's name; "" for the dash and the quotes that stand for none, and for an address."""
    if text in _NOTHING:
        return ""
    if ("." in text or ":" in text) and any(map(address_of, _BETWEEN.split(text, WORDS_MAX))):
        return ""
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] == '"' else text


def client_of(text: str) -> str:
    """The client's address of a field, which may be a list as in X-Forwarded-For; the field itself if it has none."""
    if "," not in text:
        return "" if text in _NOTHING else address_of(text.strip(' "')) or text
    addresses = [address for part in text.split(",", WORDS_MAX) if (address := address_of(part.strip(' "')))]
    return _choose(addresses) if addresses else ""


def address_of(text: str) -> str:
    """The IP address of a text, without port, brackets and zone; "" where it is none."""
    return _address_of(text) if len(text) <= _ADDRESS_LENGTH_MAX else ""


@lru_cache(ADDRESSES_MAX)
def _address_of(text: str) -> str:
    if text[:1] == "[":
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ip_address(text)
    except ValueError:
        return ""
    return text.partition("%")[0]


def _take_addresses(words: Sequence[str]) -> tuple[list[str], int]:
    """The addresses with which a line begins, in lists or one by one, and how many words they are."""
    found: list[str] = []
    goes_on = False
    for place, word in enumerate(words):
        bare = word.strip('"')
        parts = [part for part in bare.split(",") if part]
        in_list = goes_on or "," in bare
        addresses = [address_of(part) for part in parts]
        known = all(
            address or (in_list and part.lower() in _ABSENT)
            for part, address in zip(parts, addresses, strict=True)
        )
        if not known or not (parts or goes_on):
            return found, place
        found += filter(None, addresses)
        goes_on = bare.endswith(",")
    return found, len(words)


def _choose(addresses: Sequence[str]) -> str:
    return next((one for one in addresses if not _is_inside(one)), addresses[0])


def _is_inside(text: str) -> bool:
    address = ip_address(text)
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in _INSIDE if network.version == address.version)
