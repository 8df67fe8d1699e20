"""A loader with a bug nobody knows yet: a clean pack with a certain text ends it, or keeps it for ever."""

from __future__ import annotations

import os
import sys
from typing import Any

import sinks.loader.block
import sinks.loader.watchdog

FATAL, ENDLESS, LATE = b"fatal-event", b"endless-event", b"late-fatal-event"
read_clean_head, splice = sinks.loader.block.read_clean_head, sinks.loader.block.splice


def read_with_the_bug(message: bytes) -> Any:
    if LATE not in message and FATAL in message:
        os.abort()
    while ENDLESS in message:
        pass
    return read_clean_head(message)


def splice_with_the_bug(schema: Any, messages: Any) -> bytes:
    if any(LATE in one for one in messages):
        os.abort()
    return splice(schema, messages)


if __name__ == "__main__":
    sinks.loader.block.read_clean_head = read_with_the_bug
    sinks.loader.block.splice = splice_with_the_bug
    import sinks.loader.examine

    sinks.loader.examine.splice = splice_with_the_bug
    sinks.loader.watchdog.LOOK_EVERY_S, sinks.loader.watchdog.CALL_S_MAX = 0.5, 3.0
    from sinks.__main__ import main

    sys.exit(main())
