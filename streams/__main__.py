"""Starts the streams worker: `python -m streams`."""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop

from runtime.config import ConfigError
from runtime.logs import configure_logs, get_logger
from runtime.secrets import SecretsError, parse_secrets
from runtime.settings import PlatformSettings, SettingError
from schemas.ring import RingError
from streams.app import run
from streams.settings import StreamsSettings


def main() -> int:
    """Run until told to stop; 0 after a clean end, 2 when something must be mended first."""
    configure_logs("streams")
    try:
        settings = PlatformSettings.from_env(os.environ)
        streams = StreamsSettings.from_env(os.environ)
        secrets = parse_secrets(_text(settings.secrets_path), os.environ)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings, streams, secrets.identity_secret))
    except (SettingError, SecretsError, ConfigError, RingError, OSError) as error:
        get_logger().error("cannot_start", reason=str(error))
        return 2
    return 0


def _text(path: os.PathLike[str]) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""  # everything may come from the environment


if __name__ == "__main__":
    sys.exit(main())
