"""From nothing to ready: checks, first-run files, the supervisor, waiting, the display, and the way down."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.live import Live

from deploy.checks import disk_problem, require_free_ports, require_room
from deploy.data_folder import make_data_folder, secret_keys
from deploy.display import status_line, status_table, welcome
from deploy.local import Platform, log_tail
from deploy.sizing.record import write_sizes
from deploy.supervisor.look import Look, look
from deploy.supervisor.run_folder import holder, take_lock
from deploy.supervisor.starts import quick_ends
from runtime.errors import UserError

READY_S_MAX = 100.0
HOPELESS_S, HOPELESS_ENDS = 25.0, 5  # after this long, a program that ended quickly this often ends the wait
POLL_S = 0.2
DISPLAY_S = 2.0  # between two looks of the status display
LINE_S = 600.0  # between two status lines where there is no terminal, unless something changes


class StopAsked(Exception):
    """Ctrl-C, SIGTERM or a closed terminal."""


def go_up(platform: Platform, *, detach: bool) -> None:
    """Start the platform and return (detach), or stay until it is stopped. Raises UserError."""
    console = Console(stderr=False)
    if platform.supervisor_pid() is None:
        require_room(platform.settings)
    platform.folder.create()
    starter = platform.folder.lock_file("up")
    lock = take_lock(starter)
    if lock is None or platform.supervisor_pid() is not None:
        _runs_already(platform, holder(starter) if lock is None else None, detach=detach, console=console)
        return
    with lock:
        fresh = _prepare(platform)
        with _asked_to_stop():
            try:
                began = time.monotonic()
                platform.start(stop_with_caller=not detach)
                _await_ready(platform, console)
                console.print(f"Ready after {time.monotonic() - began:.1f} s", highlight=False)
                keys = secret_keys(platform.settings)
                print(welcome(platform.settings, keys, show_secrets=fresh), flush=True)
                if not detach:
                    _stay(platform, console)
            except StopAsked:
                _stop(platform)
                if detach:
                    raise UserError(
                        "The start was interrupted.", "Everything was stopped again; run it once more."
                    ) from None


def _runs_already(platform: Platform, starter: int | None, *, detach: bool, console: Console) -> None:
    """Somebody else started it: with --detach wait until it is ready, otherwise say who and stop here."""
    pid = platform.supervisor_pid()
    if detach:
        deadline = time.monotonic() + READY_S_MAX
        while (pid := platform.supervisor_pid()) is None and time.monotonic() < deadline:
            time.sleep(POLL_S)  # the other one has not come to its supervisor yet
        _await_ready(platform, console)
        console.print(f"It runs already (pid {pid}) and is ready.", highlight=False)
        return
    who = f"`fairpixel up`, pid {starter}" if starter else f"supervisor, pid {pid}"
    raise UserError(
        f"The platform runs already on {platform.settings.data} ({who}).",
        "See how it does with: fairpixel status. Stop it with: make down.",
    )


def _prepare(platform: Platform) -> bool:
    """Everything that can go wrong before anything runs; True when the secrets were made now."""
    from runtime.config import ConfigError, read_config

    platform.end_orphans(lambda line: print(line, file=sys.stderr, flush=True))
    require_free_ports(platform.settings, platform.sizes.streams_workers)
    fresh = make_data_folder(platform.settings)
    write_sizes(platform.settings, platform.sizes)
    _make_keys(platform.settings.keys)
    try:
        read_config(platform.settings.config_path)
    except ConfigError as error:
        raise UserError(
            f"{platform.settings.config_path} cannot be used: {error}", "Correct it and start again."
        ) from None
    if not platform.settings.kafka_bootstrap:
        from deploy.embedded import kafka

        kafka.install()
    return fresh


def _make_keys(folder: Path) -> None:
    """The first keys of the ring, before an edge needs one; from then on streams makes them."""
    from runtime.keyring import keep_ring
    from schemas.ring import RingError

    try:
        keep_ring(folder, time.time_ns() // 1_000_000)
    except (OSError, RingError) as error:
        raise UserError(
            f"The key ring in {folder} cannot be used: {error}.", "Restore it, or set FAIRPIXEL_KEYS."
        ) from None


def _await_ready(platform: Platform, console: Console) -> None:
    """Return when every program is ready. Raises UserError with the end of the logs when that takes too long."""
    began = time.monotonic()
    deadline = began + READY_S_MAX
    with _live(console) as live:
        while True:
            looks = look(platform.folder, platform.programs)
            if live:
                live.update(status_table([one for one in looks if one.name != "topics"]), refresh=True)
            waiting = [one for one in looks if not one.ready]
            if not waiting:
                return
            if platform.supervisor_pid() is None:
                raise UserError(
                    "The platform was stopped while it was starting.",
                    f"If that was not you (fairpixel down), see {platform.folder.logs}/supervisord.log.",
                )
            if time.monotonic() > deadline or _hopeless(platform, waiting, time.monotonic() - began):
                _give_up(platform, waiting, time.monotonic() - began)
            time.sleep(POLL_S)


def _hopeless(platform: Platform, waiting: list[Look], waited_s: float) -> bool:
    """True when a program ends again and again, and not for want of one that is still starting."""
    if waited_s < HOPELESS_S:
        return False
    return any(quick_ends(platform.folder, one.name) >= HOPELESS_ENDS for one in waiting)


def _give_up(platform: Platform, waiting: list[Look], waited_s: float) -> NoReturn:
    names = [one.name for one in waiting]
    if problem := disk_problem(platform.settings):
        raise problem
    raise UserError(
        f"Not ready after {waited_s:.0f} s: {', '.join(names)}.\n{log_tail(platform.folder, names)}",
        f"It goes on trying: fairpixel status. More in {platform.folder.logs}. Stop it: fairpixel down.",
    )


def _stay(platform: Platform, console: Console) -> None:
    """Show how it does until somebody asks to stop. Raises StopAsked; returns when it was stopped from elsewhere."""
    print("Ctrl-C stops everything in order.", flush=True)
    told, told_at = "", 0.0
    with _live(console) as live:
        while platform.supervisor_pid() is not None:
            try:
                looks = look(platform.folder, [program for program in platform.programs if program.listed])
            except UserError:
                looks = []  # on its way down, or too busy to answer this time
            if live and looks:
                live.update(status_table(looks), refresh=True)
            elif looks and (_health_of(looks) != told or time.monotonic() - told_at > LINE_S):
                _tell(status_line(looks))
                told, told_at = _health_of(looks), time.monotonic()
            time.sleep(DISPLAY_S)
    if _ended_in_order(platform):
        console.print("Stopped from elsewhere.", highlight=False)
        return
    platform.end_orphans(print)
    raise UserError("The supervisor was killed.", "Nothing acknowledged is lost; start again with: make up")


def _tell(line: str) -> None:
    """Print a line; where it goes to a full disk it is lost: all stops when this process ends."""
    with suppress(OSError):
        print(line, flush=True)


def _health_of(looks: list[Look]) -> str:
    return ", ".join(f"{one.name} {one.health}" for one in looks)


def _ended_in_order(platform: Platform) -> bool:
    return not platform.folder.supervisor_pid.exists()  # supervisord removes it at the end of an orderly stop


def _stop(platform: Platform) -> None:
    _tell("Stopping; this takes a few seconds")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C does not make it less orderly
    platform.stop(_tell)
    _tell("stopped")


@contextmanager
def _live(console: Console) -> Iterator[Live | None]:
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield live


@contextmanager
def _asked_to_stop() -> Iterator[None]:
    def ask(number: int, frame: FrameType | None) -> None:
        raise StopAsked

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
