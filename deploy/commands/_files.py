"""The files every command reads: settings, configuration and secrets, and what to do where they cannot be read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runtime.errors import UserError

if TYPE_CHECKING:
    from runtime.config import Config
    from runtime.secrets import Secrets
    from runtime.settings import PlatformSettings


def read_files() -> tuple[PlatformSettings, Config, Secrets]:
    """From the environment and the files it names. Raises UserError."""
    from runtime.config import ConfigError, read_config
    from runtime.secrets import SecretsError, read_secrets
    from runtime.settings import PlatformSettings, SettingError

    try:
        settings = PlatformSettings.from_env(os.environ)
        config = read_config(settings.config_path)
        secrets = read_secrets(settings.secrets_path, os.environ)
    except OSError as error:
        raise UserError(
            f"{error.filename}: {error.strerror}.", "`fairpixel up` makes it; FAIRPIXEL_DATA says where."
        ) from None
    except (SettingError, ConfigError, SecretsError) as error:
        raise UserError(str(error), "Check with: fairpixel config check") from None
    return settings, config, secrets
