"""Messages that are missing in the middle of a clean partition: read again once, then passed."""

from __future__ import annotations

from runtime.kafka import KafkaUnavailable
from runtime.logs import get_logger
from sinks.loader.block import Block, Fetch
from sinks.loader.kafka.inbox import Inbox
from sinks.loader.waiting import Waiting

log = get_logger()


class Gaps:
    """The gaps of one partition."""

    def __init__(self, inbox: Inbox, waiting: Waiting) -> None:
        self._inbox = inbox
        self._waiting = waiting
        # The offset last read again, and the fetch that brought the message behind it.
        self._rewound_to, self._rewound_in = -1, -1

    def comes_again(self, fetch: Fetch) -> bool:
        """Whether what was fetched together comes again, because a gap was found in it."""
        return self._rewound_in == fetch.number

    def is_passed(self, block: Block, found: int, fetch: Fetch) -> bool:
        """Messages are missing before `found`: True when Kafka has them no more, else they are read again."""
        if self._rewound_to == block.end:  # read again already: these offsets hold nothing
            if block.end_fixed is not None:
                block.end = min(found, block.end_fixed)
            return True
        try:
            low, _ = self._inbox.bounds(block.partition)
        except KafkaUnavailable:
            low = -1
        if low > block.end:
            log.error(
                "clean_packs_expired_unread", partition=block.partition, offset=block.end, first_offset=low
            )
        self._rewound_to, self._rewound_in = block.end, fetch.number
        self._waiting.drop_arrived(block.partition)
        self._inbox.rewind(block.partition, max(block.end, low))
        return False
