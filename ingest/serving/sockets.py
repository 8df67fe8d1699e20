"""What the kernel is asked to do about the edge's connections: raise the limit of files, cut off slow readers."""

from __future__ import annotations

import resource
import socket
import sys

BACKLOG = 4_096  # connections that wait until a worker takes them


def raise_file_limit(wanted: int) -> None:
    """A connection is a file, and many systems allow a process 1,024 until it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def listen(host: str, port: int, answer_seconds_max: int) -> socket.socket:
    """A listening socket whose connections end when their peer takes none of our answer for so long. Raises OSError.

    On Linux a connection inherits TCP_USER_TIMEOUT from the socket it was accepted on, and the option also ends a
    connection whose peer keeps its window shut (tcp(7)). Elsewhere nothing is done. It listens already, so that who
    comes while a worker starts waits instead of being refused.
    """
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, answer_seconds_max * 1_000)
        one.bind((host, port))
        one.listen(BACKLOG)
    except OSError:
        one.close()
        raise
    one.set_inheritable(True)
    return one
