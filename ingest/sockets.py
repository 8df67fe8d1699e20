"""What the kernel is asked to do about the edge's connections: raise the limit of files, cut off slow readers."""

from __future__ import annotations

import os
import resource
import socket
import sys
from pathlib import Path


def raise_file_limit(wanted: int) -> None:
    """A connection is a file, and many systems allow a process 1,024 until it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def cut_off_slow_readers(port: int, seconds_max: int) -> bool:
    """End connections whose peer takes none of our answer for so long; False while nobody listens on the port yet.

    granian has no limit for this. On Linux a connection inherits TCP_USER_TIMEOUT from the socket it was accepted on,
    and the option also ends a connection whose peer keeps its window shut (tcp(7)). Elsewhere nothing is done.
    """
    if sys.platform != "linux":
        return True
    found = False
    for entry in Path("/proc/self/fd").iterdir():
        try:
            descriptor = os.dup(int(entry.name))
        except OSError:
            continue  # closed meanwhile
        try:
            with socket.socket(fileno=descriptor) as one:
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and one.getsockname()[1] == port:
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds_max * 1_000)
                    found = True
        except OSError:
            os.close(descriptor)  # no socket
    return found
