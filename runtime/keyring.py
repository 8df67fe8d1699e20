"""The key ring's folder: keys are read, made and destroyed here alone; time and chance come in (seam: files)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from schemas.ring import KEY_BYTES, KEY_ID_BYTES, Key, Ring

RandomBytes = Callable[[int], bytes]


def read_ring(folder: Path) -> Ring:
    """All keys in the folder. Raises RingError for a damaged file, OSError where the folder cannot be read."""
    return Ring.of({path.name: path.read_bytes() for path in folder.glob("*.key")})


def keep_ring(folder: Path, now_ms: int, random_bytes: RandomBytes = os.urandom) -> Ring:
    """Make the keys of today and the next days, destroy those under which nothing can be read; returns the ring.

    A key appears under its name only when it is whole and on disk, so a reader never sees half of one.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    ring = read_ring(folder)
    for not_before in ring.missing(now_ms):
        _write_key(folder, Key(not_before, random_bytes(KEY_ID_BYTES), random_bytes(KEY_BYTES)))
    for key in ring.expired(now_ms):
        (folder / key.file_name).unlink(missing_ok=True)
    return read_ring(folder)


def _write_key(folder: Path, key: Key) -> None:
    partial = folder / f"{key.file_name}.part"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.secret)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(folder / key.file_name)
