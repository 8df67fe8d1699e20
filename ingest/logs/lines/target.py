"""What a request asked for: method and target of its line (RFC 9112, section 3), and whose host an address names."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from ingest.logs.lines.escapes import is_plain, plain_target

METHOD_LENGTH_MAX = 20
# Scheme, login, host with port.
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)(?:[^/?#]*@)?([^/?#@]*)", re.DOTALL)
_LABEL = r"[\w-]{1,63}"
_HOST = re.compile(rf"(?:{_LABEL}\.)*({_LABEL})\.?(?::\d{{1,5}})?")
_HOST_LENGTH_MAX = 260  # RFC 1035's 253 and a port
HOSTS_MAX = (
    4_096  # texts that are remembered: a log names few hosts, and what nobody serves is as long as a line
)
_NUMBER = re.compile(r"[\d_-]+|0[xX][0-9A-Fa-f]*")


def split_request(request: str, unescape: Callable[[str], str] = plain_target) -> tuple[str, str]:
    """Method and target of a request line; ("", "") for what is none, such as a TLS greeting on a plain port. unescape:
    how its log writes a target.

    The target is a path with its query, or a whole address where the client sent one (absolute-form). It is "" where it
    names no path: `*`, the host of CONNECT, or what is none of the four forms of RFC 9112, section 3.2.
    """
    method, _, rest = request.partition(" ")
    target = rest.rpartition(" HTTP/")[0] or rest
    if not is_method(method) or not target:
        return "", ""
    if target[0] == "/" and is_plain(target):
        return method, target
    return method, read_target(unescape(target), method)


def is_method(text: str) -> bool:
    """Whether it may be a request's method."""
    return text.isalpha() and text.isascii() and len(text) <= METHOD_LENGTH_MAX


def read_target(target: str, method: str = "") -> str:
    """A target as `split_request` gives it, of its characters alone. Of an address whose host is a number, the path."""
    target = target.strip(" ")
    if target[:1] == "/":
        return target
    start = target.find("://")
    if start < 0 or method == "CONNECT":
        return ""
    end = target.find("/", start + 3)
    if end < 0 or "?" in target[:end] or "#" in target[:end]:
        end = min((at for mark in "?#" if (at := target.find(mark)) >= 0), default=len(target))
    origin = _read_origin(target[:end]) if end < 2 * _HOST_LENGTH_MAX else ""
    if origin is None:
        return ""
    return origin + target[end:] if target[end : end + 1] == "/" else f"{origin}/{target[end:]}"


def url_of(origin: str, target: str, *, serves: bool = False) -> str:
    """The address of a request. origin: scheme and host, or ""; target: as `split_request` gives it. serves: the server
    said that this host of its own answered, so that the host of an absolute-form is only what somebody asked for.

    A path that begins with two slashes names no host (RFC 9112, section 3.2.1): `//` with an empty one goes before it.
    """
    if target[:1] == "/":
        return origin + target if origin or target[1:2] != "/" else "//" + target
    if serves and origin and target:
        return origin + "/" + target.partition("://")[2].partition("/")[2]
    return target or origin


@lru_cache(HOSTS_MAX)
def _read_origin(text: str) -> str | None:
    """Scheme and host of an address, without a login; "" where the host is a number, None for what is no address."""
    found = _ABSOLUTE.fullmatch(text)
    if found is None:
        return None
    return found[1] + host if (host := host_of(found[2])) else ""


def host_of(text: str) -> str:
    """A host's name with its port, if any; "" for an address, a dash, and what names no host, such as nginx's `_`."""
    return _host_of(text) if len(text) <= _HOST_LENGTH_MAX else ""


@lru_cache(HOSTS_MAX)
def _host_of(text: str) -> str:
    found = _HOST.fullmatch(text)
    if found is None or _NUMBER.fullmatch(found[1]):
        return ""
    return text


def origin_of(host: str, scheme: str = "https") -> str:
    """What `url_of` puts before a path. host: as `host_of` gives it, or ""."""
    return f"{scheme}://{host}" if host else ""
