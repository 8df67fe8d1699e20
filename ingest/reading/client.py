"""What a request says about its sender: address, agent, language, page, and the flags of its headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ingest.reading.network import network_of
from schemas.event import TEXT_LENGTH_MAX, Flag

X_FORWARDED_FOR, FORWARDED = b"x-forwarded-for", b"forwarded"
LANGUAGE_LENGTH_MAX = 200  # characters
GPC, DNT, PREFETCH = int(Flag.GPC), int(Flag.DNT), int(Flag.PREFETCH)
AHEAD_HEADERS = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
AHEAD = frozenset({"prefetch", "prerender", "preview"})  # as browsers call it, Safari's top sites among them

Headers = Mapping[bytes, bytes]  # names in lower case, as ASGI gives them


class Client(NamedTuple):
    """Facts that go into the event as they are."""

    ip: str = ""
    user_agent: str = ""
    language: str = ""
    page: str = ""  # the Referer header
    flags: int = 0
    network: str = ""  # its rate is that of all in it


class RequestContext(NamedTuple):
    """All that the head of a request says beside its address, for an endpoint that needs no more."""

    client: Client = Client()
    origin: bytes | None = None
    cookies: bytes = b""


def join_headers(header_list: Sequence[tuple[bytes, bytes]]) -> Headers:
    """Each name once: the lines of one name are one list, in their order (RFC 9110, section 5.3).

    A line that is repeated word for word counts once: proxies double lines whose value is no list.
    """
    headers = dict(header_list)
    if len(headers) == len(header_list):  # nearly always
        return headers
    lines: dict[bytes, dict[bytes, None]] = {}
    for name, value in header_list:
        lines.setdefault(name, {})[value] = None
    return {name: (b"; " if name == b"cookie" else b", ").join(values) for name, values in lines.items()}


def says_one(value: str) -> bool:
    """Whether any member of a list header is exactly `1`, as Sec-GPC and DNT say yes (Global Privacy Control, section
    3.2): another value is no signal, and takes none away."""
    return value == "1" or any(member.strip(" \t") == "1" for member in value.split(","))


def says_prefetch(value: str) -> bool:
    """Whether any member of Sec-Purpose, Purpose, X-Purpose or X-Moz, parameters aside (RFC 8941, section 3.1.2), says
    that nobody may be looking."""
    return any(member.partition(";")[0].strip(" \t").lower() in AHEAD for member in value.split(","))


def read_client(headers: Headers, ip: str) -> Client:
    """The client of one request.

    ip: of the client, see `client_ip`.
    """
    get = headers.get
    return Client(
        ip,
        get(b"user-agent", b"")[:TEXT_LENGTH_MAX].decode("latin-1"),
        get(b"accept-language", b"")[:LANGUAGE_LENGTH_MAX].decode("latin-1"),
        get(b"referer", b"")[:TEXT_LENGTH_MAX].decode("utf-8", "replace"),
        read_flags(headers),
        network_of(ip),
    )


def read_flags(headers: Headers) -> int:
    """Flags (see event.Flag) from `Sec-GPC`, `DNT` and what browsers say of prefetches."""
    flags = 0
    if b"sec-gpc" in headers and says_one(headers[b"sec-gpc"].decode("latin-1")):
        flags |= GPC
    if b"dnt" in headers and says_one(headers[b"dnt"].decode("latin-1")):
        flags |= DNT
    for name in AHEAD_HEADERS:
        if name in headers and says_prefetch(headers[name].decode("latin-1")):
            flags |= PREFETCH
    return flags


def client_ip(
    peer: str, headers: Iterable[tuple[bytes, bytes]], trusted_proxies: int, header: bytes = X_FORWARDED_FOR
) -> str:
    """The client's address: the peer, or what the outermost of our own proxies wrote into X-Forwarded-For.

    header: the one header our proxies write, X-Forwarded-For or Forwarded (RFC 7239), in lower case. Only that one is
    read: whatever the proxies do not write is the client's own.

    Counted from the right: whatever stands further left is the client's own claim (docs/operations.md). A list that is
    shorter than the number of proxies did not pass through all of them: then the peer stands. So it does where the
    proxy names nobody; "" where what it names is no address, as the peer is the proxy then and not a client.
    """
    if not trusted_proxies:
        return peer
    lists = b",".join(value for name, value in headers if name == header).decode("latin-1")
    parts = _split(lists, ",") if header == FORWARDED and '"' in lists else lists.split(",")
    # An empty one counts for nothing (RFC 9110, 5.6.1).
    entries = [entry for part in parts if (entry := part.strip())]
    if len(entries) < trusted_proxies:
        return peer
    entry = entries[-trusted_proxies]
    node = entry if header == X_FORWARDED_FOR else _forwarded_for(entry)
    return peer if node is None else _address_of(node)


_QUOTED = re.compile(r'"[^"]*"')
_IPV4 = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}", re.ASCII)
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}", re.ASCII)


def _split(text: str, separator: str) -> list[str]:
    """What stands between the separators that are in no quoted string (RFC 9110, 5.6.4).

    Quotes are paired from the right: a client that leaves one open in its own part of the list must not hide in it
    what our proxies wrote behind.
    """
    hidden = _QUOTED.sub(lambda quoted: "x" * len(quoted[0]), text[::-1])[::-1]
    start, parts = 0, []
    for length in map(len, hidden.split(separator)):
        parts.append(text[start : start + length])
        start += length + 1
    return parts


def _forwarded_for(element: str) -> str | None:
    """The node in one element of Forwarded, such as `for="[2001:db8::1]:4711";proto=https`; None for none."""
    for pair in _split(element, ";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value.strip()
    return None


def _address_of(node: str) -> str:
    """The address in a node: without quotes, brackets, port (RFC 7239, 6) and zone (RFC 4007, 11); "" for `unknown`,
    for `_hidden` and for all else that is none."""
    node = node.strip("\" '\t\\")
    if node[:1] == "[":
        node = node[1:].partition("]")[0]
    elif node.count(":") == 1:
        node = node.partition(":")[0]
    node = node.partition("%")[0]
    if _IPV4.fullmatch(node) or (":" in node and _IPV6.fullmatch(node)):
        return node
    return ""
