"""The platform on this machine: settings as paths anyone can use, start of the supervisor, and the orderly end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import psutil

from deploy.sizing.record import sizes_of_last_start, sizes_of_next_start
from deploy.sizing.sizes import SMALLEST, Sizes
from deploy.supervisor.client import Supervisor
from deploy.supervisor.leftovers import end, find_leftovers
from deploy.supervisor.look import supervisor_pid
from deploy.supervisor.programs import Program, platform_programs, supervisor_config
from deploy.supervisor.run_folder import MARK, SUPERVISOR, RunFolder, holder
from runtime.errors import UserError
from runtime.settings import PlatformSettings, SettingError

REPO = Path(__file__).resolve().parent.parent
SUPERVISOR_START_S_MAX = 15.0
STOP_S_MAX = 180.0  # every program has 30 s before it is killed
ORPHAN_PATIENCE_S = 5.0  # the kernel has told them to stop when their supervisor died

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Platform:
    """One data folder and all that runs on it."""

    settings: PlatformSettings
    folder: RunFolder
    programs: tuple[Program, ...]
    sizes: Sizes = SMALLEST  # of the last start, or of the one that is about to be

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Platform:
        """As the last start left it. Raises UserError for a setting that cannot be used."""
        try:
            settings = PlatformSettings.from_env(environ)
        except SettingError as error:
            raise UserError(
                f"A setting cannot be used: {error}.", "Correct or unset that variable."
            ) from None
        config = str(Path(settings.config).resolve()) if settings.config else ""
        settings = replace(
            settings, data=settings.data.resolve(), keys=settings.keys.resolve(), config=config
        )
        sizes = sizes_of_last_start(settings) or SMALLEST
        return cls(settings, RunFolder.of(settings.data), platform_programs(settings, sizes), sizes)

    @classmethod
    def to_start(cls, environ: Mapping[str, str]) -> Platform:
        """As a start now would make it, or as it runs. Raises UserError for a setting that cannot be used."""
        platform = cls.from_env(environ)
        if platform.supervisor_pid() is not None:
            return platform
        try:
            sizes = sizes_of_next_start(platform.settings, environ)
        except SettingError as error:
            raise UserError(
                f"A setting cannot be used: {error}.", "Correct or unset that variable."
            ) from None
        return replace(platform, programs=platform_programs(platform.settings, sizes), sizes=sizes)

    @property
    def supervisor(self) -> Supervisor:
        """The running supervisor's control."""
        return Supervisor(self.folder.socket)

    def supervisor_pid(self) -> int | None:
        """Who runs this platform now; None: nobody."""
        return supervisor_pid(self.folder)

    def end_orphans(self, say: Say) -> None:
        """End programs whose supervisor was killed; only those that provably were started from this folder."""
        orphans = find_leftovers(self.folder)
        if not orphans:
            return
        names = ", ".join(sorted({f"{name} (pid {process.pid})" for name, process in orphans}))
        say(f"Ending what an earlier run left: {names}")
        end([process for _, process in orphans], ORPHAN_PATIENCE_S)

    def start(self, *, stop_with_caller: bool) -> None:
        """Start the supervisor, which starts everything else; returns when it answers. Raises UserError.

        stop_with_caller: all stops in order when this process dies, however it dies (Linux).
        """
        config = supervisor_config(self.folder, self.programs, REPO)
        self.folder.config.touch(mode=0o600)
        self.folder.config.write_text(config, encoding="utf-8")
        self.folder.socket.unlink(missing_ok=True)
        command = [sys.executable, "-m", "deploy.supervisor.child", str(self.folder.path), SUPERVISOR]
        if stop_with_caller:
            command.append("--with-parent")
        command += [
            "--",
            sys.executable,
            "-m",
            "deploy.supervisor.daemon",
            "-n",
            "-c",
            str(self.folder.config),
        ]
        log = self.folder.logs / "supervisord.start.log"
        with _open_or_nothing(log) as output:
            process = subprocess.Popen(
                command, cwd=REPO, env=self._environ(), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + SUPERVISOR_START_S_MAX
        while True:
            try:
                self.supervisor.processes()
                return
            except UserError:
                if process.poll() is not None or time.monotonic() > deadline:
                    last = "".join(_text_of(log).strip().splitlines()[-1:])
                    raise UserError(
                        f"The supervisor did not start: {last or 'it gave no reason'}.",
                        f"Its log: {self.folder.logs}",
                    ) from None
                time.sleep(0.05)

    def stop(self, say: Say) -> bool:
        """Stop everything in order; False when nothing ran. Idempotent. Raises UserError when it takes too long."""
        pid = self.supervisor_pid()
        if pid is None:
            left = bool(find_leftovers(self.folder))
            self.end_orphans(say)
            return left
        try:
            self.supervisor.shutdown()
        except UserError:
            self._tell_supervisor(pid)  # it is on its way down, or does not answer
        self._await_end(pid, say)
        self.end_orphans(say)
        return True

    def _await_end(self, pid: int, say: Say) -> None:
        deadline = time.monotonic() + STOP_S_MAX
        running = self._running()
        while self.supervisor_pid() == pid:
            if time.monotonic() > deadline:
                raise UserError(
                    f"The supervisor (pid {pid}) does not come to an end.",
                    f"See {self.folder.logs}/supervisord.log.",
                )
            now = self._running()
            for name in running:
                if name not in now:
                    say(f"  stopped {name}")
            running = now
            time.sleep(0.05)

    def _running(self) -> list[str]:
        listed = [program.name for program in self.programs if program.listed]
        return [name for name in listed if holder(self.folder.lock_file(name)) is not None]

    def _tell_supervisor(self, pid: int) -> None:
        for name, process in find_leftovers(self.folder, {SUPERVISOR}):
            if process.pid == pid and name == SUPERVISOR:
                try:
                    process.send_signal(signal.SIGCONT)
                    process.send_signal(signal.SIGTERM)
                except psutil.NoSuchProcess:
                    return

    def _environ(self) -> dict[str, str]:
        paths = {"FAIRPIXEL_DATA": self.settings.data, "FAIRPIXEL_KEYS": self.settings.keys}
        if self.settings.config:
            paths["FAIRPIXEL_CONFIG"] = Path(self.settings.config)
        named = {name: str(path) for name, path in paths.items()}
        return {**os.environ, **named, MARK: self.folder.mark(SUPERVISOR)}


def _open_or_nothing(log: Path) -> IO[bytes]:
    """A new log; where the disk takes no file, nowhere: that is no reason not to start."""
    try:
        return log.open("wb")
    except OSError:
        return open(os.devnull, "wb")


def _text_of(log: Path) -> str:
    try:
        return log.read_text(errors="replace")
    except OSError:
        return ""


def log_tail(folder: RunFolder, names: Sequence[str], line_count: int = 8) -> str:
    """The last lines of the logs of these programs, for an error message."""
    parts = []
    for name in names:
        try:
            lines = (folder.logs / f"{name}.log").read_text(errors="replace").splitlines()[-line_count:]
        except OSError:
            continue
        parts.append(f"{name}:\n" + "\n".join(f"    {line[:300]}" for line in lines))
    return "\n".join(parts)
