"""How the platform does right now, program by program."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from deploy.supervisor.ask import SILENCE, ask
from deploy.supervisor.client import NotListening, Process, Stopping, Supervisor
from deploy.supervisor.health import GRACE_S
from deploy.supervisor.programs import Program
from deploy.supervisor.run_folder import SUPERVISOR, RunFolder, holder
from deploy.supervisor.starts import LOOPING, quick_ends
from runtime.errors import UserError

ASK_S_MAX = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """One line of `fairpixel status`."""

    name: str
    pid: int | None
    health: str  # ok, starting, unhealthy, stopped
    consumer_lag: int | None  # messages behind; None where the program does not say
    ready: bool = False

    def as_json(self) -> dict[str, object]:
        """The part that `status --json` prints."""
        return {name: value for name, value in asdict(self).items() if name != "ready"}


def supervisor_pid(folder: RunFolder) -> int | None:
    """The pid of the living supervisor of this data folder; None when there is none."""
    return holder(folder.lock_file(SUPERVISOR))


def lost_log_lines(folder: RunFolder) -> int:
    """Lines of logs the disk did not take since the supervisor began; 0 where none runs or it does not answer."""
    if supervisor_pid(folder) is None:
        return 0
    try:
        return sum(Supervisor(folder.socket).lost_log_lines().values())
    except UserError:
        return 0


def look(folder: RunFolder, programs: Sequence[Program]) -> list[Look]:
    """Ask the supervisor and every program. Raises UserError when there is a supervisor that does not answer."""
    if supervisor_pid(folder) is None:
        return [Look(program.name, None, "stopped", None) for program in programs]
    try:
        processes = {process.name: process for process in Supervisor(folder.socket).processes()}
    except NotListening:  # the supervisor lives, and does not listen yet or any more
        return [Look(program.name, None, "starting", None) for program in programs]
    except Stopping:
        holders = [(program.name, holder(folder.lock_file(program.name))) for program in programs]
        return [Look(name, pid, "stopped", None) for name, pid in holders]
    with ThreadPoolExecutor(max(1, len(programs))) as pool:
        return list(
            pool.map(lambda program: _look_at(folder, program, processes.get(program.name)), programs)
        )


def _look_at(folder: RunFolder, program: Program, process: Process | None) -> Look:
    if process is None:
        return Look(program.name, None, "stopped", None)
    if program.once:
        done = process.state == "EXITED" and process.exit_status == 0
        return Look(program.name, process.pid or None, "ok" if done else "starting", None, ready=done)
    if process.state in ("STOPPED", "STOPPING", "FATAL"):
        return Look(program.name, process.pid or None, "stopped", None)
    looping = quick_ends(folder, program.name) >= LOOPING
    if not process.pid:
        return Look(program.name, None, "unhealthy" if looping else "starting", None)
    answer = ask(program.health_url, ASK_S_MAX) if program.health_url else SILENCE
    ready = (
        ask(program.ready_url, ASK_S_MAX)
        if answer.alive and program.ready_url != program.health_url
        else answer
    )
    consumer_lag = answer.consumer_lag if answer.consumer_lag is not None else ready.consumer_lag
    ok = answer.alive and ready.ready
    health = "ok" if ok else "unhealthy" if looping or process.age_s >= GRACE_S else "starting"
    if ok and answer.unwell:
        health = "unhealthy"  # the program's /healthz says why
    return Look(program.name, process.pid, health, consumer_lag, ready.ready)
