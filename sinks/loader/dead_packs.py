"""Packs that cannot be loaded: each goes to the dead-letter queue, and one that says so takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from runtime.kafka import KafkaUnavailable
from runtime.logs import get_logger
from schemas.avro_codec import PackError, find_schema
from schemas.clean_pack import CLEAN_PACK_VERSIONS, read_clean_head
from schemas.dead_letter import DeadLetter
from schemas.drops import DeadReason
from schemas.links import Origin
from schemas.topics import CLEAN
from sinks.loader.attempts import ATTEMPTS_MAX, Attempts
from sinks.loader.block import Block, Message
from sinks.loader.examine import Examiner, say_dead
from sinks.loader.kafka.dead_letters import DeadLetters
from sinks.loader.tally import Tally
from sinks.warehouse.client import Warehouse

# Lets some time pass, by the problem and the number of tries. Raises LostPartition.
Wait = Callable[[str, int], None]

log = get_logger()


class DeadPacks:
    """What all partitions of a loader do with such a pack. Each method raises LostPartition."""

    def __init__(
        self, dead_letters: DeadLetters, warehouse: Warehouse, tally: Tally, turn: Callable[[], None]
    ) -> None:
        """turn: called from try to try, so that the watchdog sees that something moves."""
        self._dead_letters = dead_letters
        self._examiner = Examiner(warehouse, turn)
        self._tally = tally
        self._turn = turn

    def send(self, topic_id: str, bad: Iterable[tuple[Message, DeadReason]], wait: Wait) -> None:
        """Have each message in the dead-letter queue once; tried until it is."""
        for message, reason in bad:
            origin = Origin(topic_id, message.partition, message.offset)
            tries = 0
            while True:
                self._turn()
                try:
                    if not self._dead_letters.has(origin, message.timestamp_ms):
                        self._dead_letters.send(DeadLetter(reason, CLEAN, origin, message.value).shortened())
                    break
                except KafkaUnavailable as away:
                    wait(f"Kafka: {away}", tries)
                    tries += 1
            log.warning(
                "clean_pack_unreadable",
                partition=message.partition,
                offset=message.offset,
                reason=str(reason),
            )

    def replace_poison(self, topic_id: str, message: Message, attempts: Attempts, wait: Wait) -> Message:
        """In the place of a message that ended ATTEMPTS_MAX loaders or more: one that only says it is dead."""
        ended = attempts.ended(message.offset)
        log.error("pack_ends_loaders", partition=message.partition, offset=message.offset, times=ended)
        self.send(topic_id, [(message, DeadReason.POISONOUS)], wait)
        # Its head names what the packs behind it link to. To read that may be what ended them: then it is not read.
        value = b""
        if ended == ATTEMPTS_MAX:
            with suppress(PackError), attempts.at(message.offset):
                schema = find_schema(message.value, CLEAN_PACK_VERSIONS)
                value = say_dead(read_clean_head(message.value), DeadReason.POISONOUS, schema)
        self._tally.packs["dead"] += bool(value)
        return message._replace(value=value)

    def replace_bad(self, block: Block, attempts: Attempts, wait: Wait, *, unreadable: bool) -> bool:
        """Look for packs of the block that cannot be loaded, and replace them. Was there any?

        unreadable: ClickHouse said so of the block.
        """
        found = self._examiner.find_bad(
            block, attempts, lambda problem: wait(problem, 3), unreadable=unreadable
        )
        self.send(block.topic_id, [(block.accepted[at].message, reason) for at, reason in found], wait)
        for at, reason in found:
            assert block.schema is not None, "a block with accepted packs has their schema"
            block.put_dead(at, say_dead(block.accepted[at].head, reason, block.schema))
        self._tally.packs["dead"] += len(found)
        return bool(found)
