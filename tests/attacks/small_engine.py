"""The embedded ClickHouse with small limits and a brittle allow-list: `python -m tests.attacks.small_engine`.

A statement with the word `wedged` never comes back, as one that the engine cannot cancel; with `broken` the server's
own code fails.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import replace

from deploy.embedded.clickhouse import __main__ as program
from deploy.embedded.clickhouse.allow_list import AllowList, Verdict
from deploy.embedded.clickhouse.rights import Rights
from deploy.embedded.clickhouse.settings import ClickHouseSettings, Limits

LIMITS = Limits(
    running_count_max=6,
    reader_count_max=3,
    slot_wait_s_max=0.3,
    reader_seconds_max=2,
    grace_s=0.5,
    lost_s_max=2.0,
    connection_count_max=24,
    head_s_max=1.0,
    idle_s_max=30.0,
    body_s_max=1.5,
    reader_answers_bytes_max=128 << 20,
)


class BrittleAllowList(AllowList):
    """The real one, which hangs or fails on a word."""

    def _judge(self, text: str, rights: Rights, identifiers: Mapping[str, str] | None = None) -> Verdict:
        if "wedged" in text:
            threading.Event().wait()
        if "broken" in text:
            raise RuntimeError(text)
        return super()._judge(text, rights, identifiers)


class SmallSettings(ClickHouseSettings):
    """Real settings, small limits."""

    @classmethod
    def from_env(cls, environ):  # type: ignore[no-untyped-def]
        return replace(ClickHouseSettings.from_env(environ), limits=LIMITS)


if __name__ == "__main__":
    program.ClickHouseSettings = SmallSettings  # type: ignore[misc]
    sys.exit(program.main(BrittleAllowList))
