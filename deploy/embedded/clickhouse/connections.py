"""The open connections: how many there may be, who has to leave for a new one, and how long each may be silent."""

from __future__ import annotations

import io
import math
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

SEND_S_MAX = 30.0  # a client that takes no 64 KiB within this time has gone
SEND_BYTES = 64 << 10


@dataclass(slots=True)
class Entry:
    """What is known of one connection."""

    socket: socket.socket
    since: float  # when it was opened or its last request ended
    is_writer: bool = False  # its last request had the writer's password
    is_working: bool = False  # a request of it is with the engine


class Connections:
    """At most `count_max` at once. A new one takes the place of the one that was silent longest; writers go last."""

    def __init__(self, count_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._count_max = count_max
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[int, Entry] = {}
        self.closed_count = 0

    def __len__(self) -> int:
        return len(self._entries)

    def admit(self, connection: socket.socket) -> bool:
        """Take a new connection in; False when every other one is at work."""
        with self._lock:
            if len(self._entries) >= self._count_max and not self._close_one():
                return False
            self._entries[id(connection)] = Entry(connection, self._clock())
            return True

    def _close_one(self) -> bool:
        candidates = [
            (one.is_writer, one.since, key) for key, one in self._entries.items() if not one.is_working
        ]
        if not candidates:
            return False
        entry = self._entries.pop(min(candidates)[2])
        with suppress(OSError):
            entry.socket.shutdown(socket.SHUT_RDWR)  # its thread reads the end and closes it
        self.closed_count += 1
        return True

    def release(self, connection: socket.socket) -> None:
        """Forget a connection, before its socket is closed."""
        with self._lock:
            self._entries.pop(id(connection), None)

    def mark(self, connection: socket.socket, *, is_working: bool, is_writer: bool | None = None) -> None:
        """Note that a request goes to the engine or has come back from it."""
        with self._lock:
            entry = self._entries.get(id(connection))
            if entry is not None:
                entry.is_working = is_working
                entry.since = self._clock()
                if is_writer is not None:
                    entry.is_writer = is_writer


class TimedReader(io.RawIOBase):
    """Reads a socket until a deadline; with `bytes_per_s`, what arrives moves the deadline on."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = 0.0
        self._bytes_per_s = 0

    def allow(self, seconds: float, bytes_per_s: int = 0) -> None:
        self._deadline = time.monotonic() + seconds
        self._bytes_per_s = bytes_per_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        count = self._connection.recv_into(buffer)
        if self._bytes_per_s:
            self._deadline += count / self._bytes_per_s
        return count


class TimedWriter(io.RawIOBase):
    """Writes to a socket in pieces, each of which the client must take in time; all of them by `deadline`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline = math.inf

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        for start in range(0, len(view), SEND_BYTES):
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(min(left, SEND_S_MAX))
            self._connection.sendall(view[start : start + SEND_BYTES])
        return len(view)


def end_gently(connection: socket.socket, bytes_max: int = 64 << 20, seconds: float = 2.0) -> None:
    """Say that no more comes, and take what the client still sends: otherwise it may lose the answer."""
    deadline = time.monotonic() + seconds
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while bytes_max > 0 and (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            taken = len(connection.recv(min(bytes_max, 1 << 20)))
            if not taken:
                return
            bytes_max -= taken
