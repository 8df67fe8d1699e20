"""`fairpixel down`: stop everything in order, so that nothing acknowledged is lost."""

from __future__ import annotations

import os


def run() -> None:
    """Stop the platform; says so when nothing runs."""
    from deploy.local import Platform

    platform = Platform.from_env(os.environ)
    stopped = platform.stop(print)
    print("stopped" if stopped else f"nothing runs on {platform.settings.data}")
