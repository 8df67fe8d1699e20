"""Lines that we do not read: what they are, where that can be told, and their shape, which shows no value of theirs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

SHAPE_LENGTH_MAX = 160  # characters
_LOOKED_AT_BYTES = 4_000
_LETTERS, _DIGITS = re.compile(r"[^\W\d_]+"), re.compile(r"\d+")
_CONTAINER = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:\d\d) (?:stdout|stderr) [FP] ")
_SYSLOG = re.compile(
    rb"(?:<\d{1,3}>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,99} [\w/.-]{1,99}(?:\[\d+\])?: "
)
_PIPE = "FILE | fairpixel logs import - ..."
_KNOWN: tuple[tuple[Callable[[bytes], object], str, str], ...] = (
    (
        lambda line: line.startswith(b'{"log":') and b'"stream":"std' in line,
        "Docker's json-file wrapper around a log",
        f"Take the log out of it: jq -rj .log {_PIPE}",
    ),
    (
        _CONTAINER.match,
        "a container's log as Kubernetes keeps it, with a time before each line",
        f"Take the log out of it: cut -d' ' -f4- {_PIPE}",
    ),
    (
        lambda line: line.startswith(b"{") and b'"DownstreamStatus"' in line and b'"RequestPath"' in line,
        "Traefik's JSON",
        "Have Traefik write its common format (accessLog.format), which is read as combined.",
    ),
    (
        lambda line: (
            line.startswith(b"#Software: Microsoft") or (line.startswith(b"#Fields:") and b" s-ip " in line)
        ),
        "IIS's W3C log",
        "Say how a line is with --pattern, such as '{time} {_} {method} {uri} {query} {_} {user} {ip} ...'.",
    ),
    (
        _SYSLOG.match,
        "syslog's, with a time and a host before each line",
        "Say how a line is with --pattern, and {_} for what is not to be read.",
    ),
)


def name_foreign(lines: Sequence[bytes]) -> tuple[str, str] | None:
    """What the first lines of a file are, and what to do about it; None where that cannot be told."""
    for line in lines[:20]:
        for is_of, what, hint in _KNOWN:
            if is_of(line[:_LOOKED_AT_BYTES]):
                return what, hint
    return None


def shape_of(line: bytes) -> str:
    """A line with `a` for each run of letters and `0` for each of digits: its layout without what it says."""
    text = line[:_LOOKED_AT_BYTES].decode("utf-8", "replace")
    shape = _DIGITS.sub("0", _LETTERS.sub("a", text))
    shape = "".join(one if one.isprintable() else "?" for one in shape[: SHAPE_LENGTH_MAX + 1])
    return shape if len(shape) <= SHAPE_LENGTH_MAX else shape[:SHAPE_LENGTH_MAX] + "..."
