"""Whether a disk has what a broker needs to start: asked before, as a broker that starts without can lose everything.

Tried with Kafka 4.4: killed and started again where no file can be made, it finds "an invalid offset during recovery",
empties its metadata log, and knows no topic any more. Without bytes, or with few, it ends and loses nothing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deploy.embedded.kafka_config import FREE_BYTES_MIN
from runtime.errors import UserError

FILES_FREE_MIN = 2_000  # a start makes some ten for each partition, and others make files meanwhile
# As many as a start makes here; tried, as a quota is not seen otherwise. 200 x 50 µs = 10 ms.
PROBE_FILES = 200
PROBE_BYTES = 4096


def require_room(folder: Path) -> None:
    """Raises UserError, or OSError where the disk does not take the probe; leaves nothing behind."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < FREE_BYTES_MIN:
        raise UserError(
            f"Kafka cannot start: {folder} has {free // 2**20} MB left and needs {FREE_BYTES_MIN // 2**20} MB.",
            "Make room on that disk; the broker starts by itself when there is some.",
        )
    if found.f_files and found.f_favail < FILES_FREE_MIN:
        raise UserError(
            f"Kafka cannot start: {folder} takes {found.f_favail} more files and needs {FILES_FREE_MIN}.",
            "Remove files on that disk; the broker starts by itself when others fit.",
        )
    probe = folder / "probe"
    shutil.rmtree(probe, ignore_errors=True)
    try:
        probe.mkdir(mode=0o700)
        for number in range(PROBE_FILES):
            (probe / str(number)).write_bytes(bytes(PROBE_BYTES))
    finally:
        shutil.rmtree(probe, ignore_errors=True)
