"""Start the loader: `python -m sinks`."""

from __future__ import annotations

import os
import signal
import sys
import threading

from runtime.logs import configure_logs
from runtime.secrets import SecretsError
from runtime.settings import PlatformSettings, SettingError
from sinks.app import run
from sinks.settings import SinksSettings
from sinks.warehouse.migrate import MigrationError


def main() -> int:
    """Run until SIGTERM or SIGINT; 2 for settings that cannot be used."""
    configure_logs("sinks")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        return run(PlatformSettings.from_env(os.environ), SinksSettings.from_env(os.environ), stop)
    except (SettingError, SecretsError, MigrationError, OSError) as error:
        print(f"sinks: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
