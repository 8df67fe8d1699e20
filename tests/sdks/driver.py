"""The process that drives one SDK, or all pages of a browser: told what to do, ended in any case, heard to its end."""

from __future__ import annotations

import subprocess
import tempfile
import time

ERRORS_LENGTH_MAX = 2_000  # characters of what a driver said of errors, for a failure


class Driver:
    """Alive no longer than the `with`. Its errors go to a file, so that no pipe fills up."""

    def __init__(self, *command: object) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the driver
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def tell(self, line: str) -> None:
        """Write a line to its input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def first_line(self) -> str:
        """Await a line of its output; "" where it ended without."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def finish(self, deadline: float) -> tuple[str, str]:
        """Output and the end of its errors; it ends by then (on the monotonic clock), or is ended."""
        late = ""
        try:
            output, _ = self._process.communicate(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
            late = "\nended by the test: it was not done in time"
        self._errors.seek(0)
        return output, self._errors.read()[-ERRORS_LENGTH_MAX:] + late
