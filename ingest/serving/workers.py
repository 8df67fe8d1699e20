"""Watches the processes that answer: one that ends or hangs is replaced.

uvicorn's watcher, with two differences. A worker that cannot start ends the edge only while none has ever served:
afterwards the others go on, and it is tried again, as when fairpixel.toml is broken while one is replaced. And the end
of a worker is seen at once: uvicorn first waits for its answer.
"""

from __future__ import annotations

from socket import socket

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from runtime.logs import get_logger

PING_S_MAX = 0.5
TRY_AGAIN_S = 2.0  # after a worker that could not start

log = get_logger()


class Workers(Multiprocess):
    """Starts the workers, watches them until SIGTERM or SIGINT, and stops them in order."""

    def __init__(self, config: Config, listening: list[socket]) -> None:
        super().__init__(config, listening)
        self._have_served = False

    @property
    def could_not_start(self) -> bool:
        """True when the edge ended because no worker could ever serve; the worker has said why."""
        return not self._have_served and any(one.exitcode == STARTUP_FAILURE for one in self.processes)

    def keep_subprocess_alive(self) -> None:
        """One round; uvicorn calls it twice a second."""
        self._have_served = self._have_served or any(one.is_ready(PING_S_MAX) for one in self.processes)
        for at, worker in enumerate(self.processes):
            if self.should_exit.is_set() or self._answers(worker):
                continue
            worker.kill()
            worker.join()
            failed = worker.exitcode == STARTUP_FAILURE
            if failed and not self._have_served:
                self.should_exit.set()
                return
            log.warning("worker_replaced", pid=worker.pid, exit_code=worker.exitcode)
            if failed and self.should_exit.wait(TRY_AGAIN_S):
                return
            self.processes[at] = Process(self.config, self.sockets)
            self.processes[at].start()

    def _answers(self, worker: Process) -> bool:
        # Pings are counted, not seconds: on a machine that stood still nobody has been silent.
        for _ in range(round(self.config.timeout_worker_healthcheck / PING_S_MAX)):
            if worker.exitcode is not None:
                return False
            if worker.ping(PING_S_MAX):
                return True
        return False
