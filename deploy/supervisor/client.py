"""Talk to supervisord over its control socket, with a time limit on every call."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults

from deploy.supervisor.run_folder import check_private
from runtime.errors import UserError

CALL_S_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Process:
    """What supervisord knows of one program."""

    name: str
    pid: int  # 0: none
    state: str  # STARTING, RUNNING, BACKOFF, STOPPING, EXITED, STOPPED, FATAL, UNKNOWN
    exit_status: int
    started_at: int  # seconds since 1970
    now: int  # supervisord's clock

    @property
    def age_s(self) -> int:
        """How long it has been running; 0 when it is not."""
        return max(0, self.now - self.started_at) if self.pid else 0


class NotListening(UserError):
    """There is no supervisor on the socket: it is just starting or just gone."""


class Stopping(UserError):
    """The supervisor is on its way down and takes no more requests."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        check_private(self._path.parent)  # who listens there is told what to run
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(str(self._path))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__()
        self._path = path
        self._timeout_s = timeout_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        del host
        return _Connection(self._path, self._timeout_s)


class Supervisor:
    """One supervisord, named by its control socket. Every method raises UserError when it does not answer."""

    def __init__(self, control: Path, timeout_s: float = CALL_S_MAX) -> None:
        self._control = control
        self._timeout_s = timeout_s

    def processes(self) -> list[Process]:
        """All programs, listeners included."""
        return [
            Process(one["name"], one["pid"], one["statename"], one["exitstatus"], one["start"], one["now"])
            for one in self._call("supervisor.getAllProcessInfo")
        ]

    def lost_log_lines(self) -> dict[str, int]:
        """Lines of logs the disk did not take since the supervisor began, by program."""
        return dict(self._call("fairpixel.lost_log_lines"))

    def shutdown(self) -> None:
        """Begin to stop everything in order; returns at once."""
        self._call("supervisor.shutdown")

    def stop(self, name: str) -> None:
        """Stop one program, and keep it stopped."""
        self._call("supervisor.stopProcess", name, False)

    def start(self, name: str) -> None:
        """Start one program that was stopped."""
        self._call("supervisor.startProcess", name, False)

    def signal(self, name: str, signal_name: str) -> None:
        """Send a signal such as "TERM" to one program."""
        self._call("supervisor.signalProcess", name, signal_name)

    def _call(self, method: str, *arguments: Any) -> Any:
        proxy = xmlrpc.client.ServerProxy(
            "http://localhost", transport=_Transport(self._control, self._timeout_s)
        )
        try:
            call: Any = proxy
            for part in method.split("."):
                call = getattr(call, part)
            return call(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == Faults.SHUTDOWN_STATE:
                raise Stopping("The platform is stopping.", "Wait until it has stopped.") from None
            raise UserError(
                f"The supervisor refuses {method}: {fault.faultString}.", "See fairpixel status."
            ) from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotListening(
                f"The supervisor does not listen on {self._control}.", "Start the platform: make up"
            ) from None
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise UserError(
                f"The supervisor does not answer on {self._control}: {error}.",
                "Wait a moment and try again; if it stays so, fairpixel down ends it.",
            ) from None
