"""The data folder on its first run: configuration, secrets and the folders the programs write to.

`python -m deploy.data_folder` makes it alone, for containers.
"""

from __future__ import annotations

import os
import secrets
import sys
import tomllib
from pathlib import Path

from deploy.kafka_logins import make_logins, write_private
from runtime.errors import UserError
from runtime.settings import PlatformSettings, SettingError

TEMPLATE = Path(__file__).with_name("fairpixel.toml")
SUBFOLDERS = ("kafka", "clickhouse", "ingest/spool", "streams/seen", "logs", "run", "kafka-logins")
SECRET_BYTES = 32


def make_data_folder(settings: PlatformSettings) -> bool:
    """Make what is missing, change nothing that is there. True when the secrets were made now. Raises UserError."""
    try:
        parents = sorted({settings.data / Path(name).parent for name in SUBFOLDERS})
        # Parents by name: what mkdir makes on the way has not its mode.
        for folder in (
            settings.data,
            *parents,
            *(settings.data / name for name in SUBFOLDERS),
            settings.keys,
        ):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_logins(settings)
        settings.keys.chmod(0o700)
        _create(settings.config_path, TEMPLATE.read_text(encoding="utf-8"))
        return _create(settings.secrets_path, _new_secrets())
    except OSError as error:
        raise UserError(
            f"{error.filename or settings.data} cannot be written: {error.strerror}.",
            "Allow writing there and make room, or set FAIRPIXEL_DATA and FAIRPIXEL_KEYS to folders that are yours.",
        ) from None


def secret_keys(settings: PlatformSettings) -> dict[str, str]:
    """The secret key of each site that has one, from secrets.toml."""
    sites = tomllib.loads(settings.secrets_path.read_text(encoding="utf-8")).get("sites", {})
    return {name: site["secret_key"] for name, site in sites.items() if "secret_key" in site}


def _create(path: Path, text: str) -> bool:
    """Write a file that appears whole and is its owner's alone; False when there is one already."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, text)
    return True


def _new_secrets() -> str:
    return f"""\
# Made on the first start. Whoever reads this file can write to ClickHouse and send as a backend: keep it to yourself.
# identity_secret is behind every keyed hash: with another one, known visitors become new ones. Keep a safe copy.
clickhouse_password = "{secrets.token_urlsafe(SECRET_BYTES)}"
identity_secret = "{secrets.token_hex(SECRET_BYTES)}"

[sites.demo]
secret_key = "sk_demo_{secrets.token_urlsafe(24)}"
"""


if __name__ == "__main__":
    try:
        make_data_folder(PlatformSettings.from_env(os.environ))
    except (UserError, SettingError) as problem:
        sys.exit(f"setup: {problem}")
