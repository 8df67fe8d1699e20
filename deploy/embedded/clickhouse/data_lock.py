"""One server a data folder: an advisory lock, which the kernel drops with the process, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class DataFolderBusy(Exception):
    """Another server holds the data folder; the text names the process."""


def hold(folder: Path) -> int:
    """Make the folder where it is missing and hold it; the lock as a descriptor. Raises DataFolderBusy or OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "server.lock"
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(held, 32).decode(errors="replace").strip() or "unknown"
        os.close(held)
        raise DataFolderBusy(
            f"{folder}: another server (process {owner}) is using this folder; stop it or set FAIRPIXEL_DATA"
        ) from None
    os.ftruncate(held, 0)
    os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
    return held
