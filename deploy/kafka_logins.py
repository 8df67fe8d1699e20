"""The logins of the platform's programs to Kafka: one file each in the data folder, its owner's alone, made once.

Rotation: stop the platform, remove the files in `kafka-logins`, start it; every login is made anew.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from deploy.kafka_acls import BROKER, PROGRAMS
from runtime.settings import PlatformSettings

PASSWORD_BYTES = 32


def make_logins(settings: PlatformSettings) -> None:
    """Make the logins that are missing. Raises OSError."""
    settings.kafka_logins.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.kafka_logins.chmod(0o700)
    for name in (BROKER, *PROGRAMS):
        path = settings.kafka_logins / name
        if not path.exists():
            write_private(path, secrets.token_urlsafe(PASSWORD_BYTES) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that appears whole and is its owner's alone. Raises OSError."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
