"""A program that only answers /healthz: `python -m tests.deploy.dummy PORT JOURNAL NAME [OPTION]...`

Options: --linger, --unwell-after SECONDS, --crash, --chat.

It writes `NAME start PID` and `NAME stop` into JOURNAL; with --linger it has a child that outlives it.
"""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    port, journal, name, *options = sys.argv[1:]
    started = time.monotonic()
    unwell_after = float(options[options.index("--unwell-after") + 1]) if "--unwell-after" in options else 1e9
    note(Path(journal), f"{name} start {os.getpid()}")
    if "--crash" in options:
        sys.exit("I cannot live")
    if "--chat" in options:
        threading.Thread(target=chat, args=(name,), daemon=True).start()
    if "--linger" in options:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        note(Path(journal), f"{name} child {child.pid}")

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            well = time.monotonic() - started < unwell_after
            body = b'{"consumer_lag": 7}'
            self.send_response(200 if well else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Health)

    def stop(number: int, frame: object) -> None:
        time.sleep(0.3)  # an orderly end takes a moment, so that a wrong order shows
        note(Path(journal), f"{name} stop")
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever()


def chat(name: str) -> None:
    """A line every 20 ms: a log that is written to all the time."""
    while True:
        print(f"{name} says something that is not important, and again", flush=True)
        time.sleep(0.02)


def note(journal: Path, line: str) -> None:
    with journal.open("a") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    main()
