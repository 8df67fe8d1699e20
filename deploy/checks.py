"""What must hold before a start, and what `fairpixel doctor` looks at: each finding says what to do."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil

from deploy.embedded import kafka_config
from deploy.supervisor.programs import streams_ports
from runtime.errors import NO_ROOM, UserError
from runtime.settings import PlatformSettings

FREE_MB_MIN = 1024  # below it a start is refused
FREE_MB_WORKING = kafka_config.FREE_BYTES_MIN // (1 << 20)  # below it the broker does not start again
FREE_MB_LOW = 5 * 1024  # below it doctor warns
MEMORY_MB_MIN = 1536
PROBE_BYTES = 4096


def port_settings(settings: PlatformSettings, streams_workers: int = 1) -> Iterator[tuple[str, int, str]]:
    """(what listens there, port, the variable that moves it) of every port the platform opens here."""
    if not settings.kafka_bootstrap:
        yield "Kafka", settings.kafka_port, "FAIRPIXEL_KAFKA_PORT"
        yield "Kafka's programs", settings.kafka_programs_port, "FAIRPIXEL_KAFKA_PROGRAMS_PORT"
        yield "Kafka's controller", settings.kafka_controller_port, "FAIRPIXEL_KAFKA_CONTROLLER_PORT"
    if not settings.clickhouse_url:
        yield "ClickHouse", settings.clickhouse_port, "FAIRPIXEL_CLICKHOUSE_PORT"
    yield "the edge", settings.edge_port, "FAIRPIXEL_EDGE_PORT"
    first, *more = streams_ports(settings, streams_workers)
    yield "streams' health", first, "FAIRPIXEL_STREAMS_PORT"
    for number, port in enumerate(more, start=2):
        yield f"the health of streams-{number}", port, "FAIRPIXEL_STREAMS_MORE_PORT"
    yield "the loader's health", settings.sinks_port, "FAIRPIXEL_SINKS_PORT"
    yield "the alert watcher's health", settings.alerts_port, "FAIRPIXEL_ALERTS_PORT"


def require_free_ports(settings: PlatformSettings, streams_workers: int = 1) -> None:
    """Raises UserError naming every port that is taken, by whom where the system tells, and what moves it."""
    wanted = list(port_settings(settings, streams_workers))
    twice = {port for _, port, _ in wanted if sum(port == other for _, other, _ in wanted) > 1}
    lines = [f"port {port} is set for more than one program" for port in sorted(twice)]
    busy = [(what, port, variable) for what, port, variable in wanted if port not in twice and is_taken(port)]
    lines += [
        f"port {port} for {what} is taken{_by_whom(port)}; {variable} moves it"
        for what, port, variable in busy
    ]
    if lines:
        example = busy[0][2] if busy else wanted[0][2]
        raise UserError(
            "The platform cannot start: " + "; ".join(lines) + ".",
            f"Stop what has the port, or choose another: {example}={free_port()} make up",
        )


def is_taken(port: int) -> bool:
    """True when nobody else could listen on this port of the loopback address."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the programs do
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def free_port() -> int:
    """A port nobody listens on now, for an example that works."""
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        port: int = attempt.getsockname()[1]
        return port


def _by_whom(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass  # the system does not tell everybody
    return ""


def free_mb(folder: Path) -> int:
    """Room on the disk of `folder`, or of the nearest folder above that exists."""
    return shutil.disk_usage(_nearest(folder)).free // (1 << 20)


def disk_problem(settings: PlatformSettings) -> UserError | None:
    """Why the platform cannot write where it must: no room, no inodes, no quota, or mounted to be read; None: it can.

    Leaves nothing behind: what it writes has no name.
    """
    for folder in (settings.data, settings.data / "logs", settings.data / "run", settings.keys):
        there = _nearest(folder)
        found, free = os.statvfs(there), free_mb(there)
        why = ""
        if found.f_flag & os.ST_RDONLY:
            why = f"The disk of {there} can only be read now"
            hint = "Mount it so that it can be written"
        elif found.f_files and not found.f_favail:
            why = f"The disk of {there} takes no more files: all its inodes are in use"
            hint = "Remove files there"
        elif folder == settings.data and free < FREE_MB_WORKING:
            why = f"No room on the disk of {there}: {free} MB left, and Kafka needs {FREE_MB_WORKING} MB"
            hint = "Make room there"
        elif refused := _refusal(there):
            why = f"The disk of {there} takes nothing: {refused} ({free} MB left)"
            hint = "Make room there"
        if why:
            return UserError(f"{why}.", f"{hint}; everything comes back by itself.")
    return None


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())


def _refusal(folder: Path) -> str:
    """What the system says to one block in a file without a name; "" when it takes it, or cannot be asked so."""
    if not hasattr(os, "O_TMPFILE"):
        return ""
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, bytes(PROBE_BYTES))
        finally:
            os.close(descriptor)
    except OSError as error:
        return (error.strerror or "") if error.errno in NO_ROOM else ""
    return ""


def require_room(settings: PlatformSettings) -> None:
    """Raises UserError when the data folder's disk is too full to work on."""
    free = free_mb(settings.data)
    if free < FREE_MB_MIN:
        raise UserError(
            f"The disk of {settings.data.resolve()} has {free} MB left; the platform needs {FREE_MB_MIN} MB to start.",
            "Make room there, or set FAIRPIXEL_DATA to a folder on another disk.",
        )
