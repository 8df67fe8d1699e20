"""What only the loader reads from the environment."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.settings import FromEnv, setting
from schemas.topics import SINKS_GROUP


@dataclass(frozen=True, slots=True)
class SinksSettings(FromEnv):
    """The loader's own settings; where things lie and listen stands in `runtime.settings`."""

    group: str = setting(
        "FAIRPIXEL_SINKS_GROUP",
        SINKS_GROUP,
        "the loader's consumer group; its offsets hold the loader's checkpoints",
    )
