"""What this worker refused in the clean log: named, counted, and told on the health page for an hour."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from runtime.logs import get_logger
from schemas.links import REFUSAL_MEANING, Verdict
from streams import measures

TOLD_S = 3_600.0
WHO_WRITES = (
    "find out who else may write to events.clean.v1 and take that right away, then run `fairpixel ledger`"
)


class Refused(NamedTuple):
    """A clean pack that continues the log and names a raw message its writer cannot have read."""

    offset: int  # in the clean log
    origin_offset: int
    verdict: Verdict


class Refusals:
    """Written by the threads that read a log, read by the health page."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = ""
        self._at = 0.0

    def tell(self, partition: int, refused: Refused) -> None:
        """Name and count one."""
        get_logger().error(
            "clean_pack_refused",
            partition=partition,
            offset=refused.offset,
            origin_offset=refused.origin_offset,
            reason=str(refused.verdict),
            advice=f"{REFUSAL_MEANING[refused.verdict]}: {WHO_WRITES}",
        )
        measures.REFUSED.labels(str(refused.verdict)).inc()
        self._at = self._clock()
        self._last = (
            f"refused a clean pack at offset {refused.offset} of partition {partition} ({refused.verdict})"
        )

    @property
    def told(self) -> str:
        """The last of the last hour, or nothing."""
        return self._last if self._last and self._clock() - self._at < TOLD_S else ""


REFUSALS = Refusals()
