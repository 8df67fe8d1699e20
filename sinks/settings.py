"""What only the loader reads from the environment."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.settings import FromEnv, setting


@dataclass(frozen=True, slots=True)
class SinksSettings(FromEnv):
    """The loader's own settings; where things lie and listen stands in `runtime.settings`."""

    group: str = setting(
        "FAIRPIXEL_SINKS_GROUP",
        "fairpixel-sinks",
        "the loader's consumer group; its offsets hold the loader's checkpoints",
    )
