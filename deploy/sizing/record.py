"""The sizes of the last start, kept in the data folder: partitions are for good, and other commands look here."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from deploy.sizing.cores import find_cores
from deploy.sizing.sizes import GROW, Asked, Sizes, choose_sizes
from ingest.packing.spool_files import SEGMENT_NAME
from ingest.settings import EdgeSettings
from runtime.errors import UserError
from runtime.settings import PlatformSettings
from schemas.topics import PARTITIONS_DEFAULT


def sizes_of_last_start(settings: PlatformSettings) -> Sizes | None:
    """What the last start chose; None before the first one, and where a version without a record made the last."""
    try:
        found = Sizes(**json.loads(_path(settings).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if min(found.edge_workers, found.streams_workers, found.partitions) > 0 else None


def sizes_of_next_start(settings: PlatformSettings, environ: Mapping[str, str]) -> Sizes:
    """What a start now would choose. Raises UserError, SettingError."""
    asked = Asked(EdgeSettings.from_env(environ).workers, settings.streams_workers, settings.kafka_partitions)
    if settings.kafka_bootstrap:
        # Another Kafka's topics are its operator's: nobody here knows what writes to them.
        asked = replace(asked, partitions=asked.partitions or PARTITIONS_DEFAULT)
        return choose_sizes(settings.cores or find_cores(), asked, None)
    fixed = _fixed_partitions(settings)
    sizes = choose_sizes(settings.cores or find_cores(), asked, fixed)
    if fixed and sizes.partitions > fixed and _is_anything_spooled(settings.data / "ingest" / "spool"):
        raise UserError(
            "The partitions cannot grow while packs of the old ones wait in the spool.",
            f"Start without FAIRPIXEL_KAFKA_PARTITIONS until `fairpixel_ingest_spool_packs` is 0. {GROW}",
        )
    return sizes


def write_sizes(settings: PlatformSettings, sizes: Sizes) -> None:
    """Keep what a start has chosen, before anything of it runs."""
    path = _path(settings)
    partial = path.with_suffix(".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(sizes), file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _path(settings: PlatformSettings) -> Path:
    return settings.data / "sizes.json"


def _fixed_partitions(settings: PlatformSettings) -> int | None:
    if last := sizes_of_last_start(settings):
        return last.partitions
    kafka = settings.data / "kafka"
    # Versions without a record made so many everywhere.
    return PARTITIONS_DEFAULT if kafka.is_dir() and any(kafka.iterdir()) else None


def _is_anything_spooled(root: Path) -> bool:
    return any(
        SEGMENT_NAME.fullmatch(path.name) and path.stat().st_size > 0
        for path in (root.glob("*/*") if root.is_dir() else ())
    )
