"""Find and end what an earlier run left behind: only processes that carry this run folder's mark.

A pid in a file proves nothing, the number may be somebody else's by now. Every process started from a run folder
has the folder's name in its environment, and so have its children: that is the proof.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from contextlib import suppress

import psutil

from deploy.supervisor.run_folder import MARK, RunFolder


def find_leftovers(
    folder: RunFolder, names: Collection[str] | None = None
) -> list[tuple[str, psutil.Process]]:
    """(program, process) of all marked processes but this one and its ancestors; `names` None: of every program.

    Looks at every process of this user: about 10 ms for a few hundred.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    prefix = f"{folder.path}:"
    found = []
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        try:
            mark = process.environ().get(MARK, "")
            if not mark.startswith(prefix) or process.status() == psutil.STATUS_ZOMBIE:
                continue
        except (psutil.Error, OSError):
            continue  # of another user, or gone meanwhile
        name = mark.removeprefix(prefix)
        if names is None or name in names:
            found.append((name, process))
    return found


def end(processes: Sequence[psutil.Process], patience_s: float) -> None:
    """Ask each to stop, wait up to `patience_s`, kill the rest. psutil makes sure that no pid has changed owner."""
    for process in processes:
        _send(process, "terminate")
    gone_by = time.monotonic() + patience_s
    _, alive = psutil.wait_procs(list(processes), timeout=max(0.0, gone_by - time.monotonic()))
    for process in alive:
        _send(process, "kill")
    psutil.wait_procs(alive, timeout=5)


def _send(process: psutil.Process, what: str) -> None:
    with suppress(psutil.NoSuchProcess):
        getattr(process, what)()
