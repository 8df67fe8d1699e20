"""`fairpixel up`: start everything, say when it is ready and how to use it, and stop it in order in the end."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def run(
    detach: Annotated[
        bool, typer.Option("--detach", help="return when all is ready; fairpixel down stops it")
    ] = False,
) -> None:
    """Start the platform; in the foreground until Ctrl-C, which stops everything in order."""
    from deploy.local import Platform
    from deploy.start import go_up

    go_up(Platform.to_start(os.environ), detach=detach)
