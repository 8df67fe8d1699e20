"""`fairpixel config check`: is fairpixel.toml usable? With line and reason where it is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from runtime.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Look at the configuration.")


@app.callback()
def _group() -> None:
    """So that `check` has to be named even while it stands alone."""


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="the file; by default the one the platform uses")
    ] = None,
) -> None:
    """Read the file as the programs would; exit 0 when it is usable, 1 with line and reason when it is not."""
    from runtime.config import ConfigError, read_config
    from runtime.settings import PlatformSettings, SettingError

    try:
        path = file or PlatformSettings.from_env(os.environ).config_path
    except SettingError as error:
        raise UserError(f"A setting cannot be used: {error}.", "Correct or unset that variable.") from None
    try:
        config = read_config(path)
    except FileNotFoundError:
        raise UserError(f"There is no {path}.", "`fairpixel up` makes one on its first run.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}.", "Check its permissions.") from None
    except ConfigError as error:
        raise UserError(
            str(error), f"Correct {path}; until then the programs stay with what they read before."
        ) from None
    routes = len(config.alerts.webhook)
    print(f"{path}: usable. Sites: {', '.join(config.sites) or 'none'}. Alert webhooks: {routes or 'none'}.")
