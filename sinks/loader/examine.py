"""Looks at the packs of a block one by one: which of them cannot be loaded, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from schemas.avro_codec import PackError, Schema, read_record
from schemas.clean_pack import CleanHead, CleanPack, decode_clean_pack, encode_clean_pack
from schemas.drops import DeadReason
from sinks.loader.attempts import Attempts
from sinks.loader.block import Block
from sinks.warehouse.client import BlockUnreadable, Warehouse, WarehouseAway, WarehouseError
from sinks.warehouse.container import splice

TRIES_MAX: Final = 3

Bad = tuple[int, DeadReason]  # index in `accepted`
Wait = Callable[[str], None]


def say_dead(head: CleanHead, reason: DeadReason, schema: Schema) -> bytes:
    """A pack in the place of another of that schema: the same link, and its events counted as dead."""
    answers = tuple(one._replace(dead=str(reason)) for one in head.answers)
    return encode_clean_pack(CleanPack(replace(head, answers=answers, kept=b"")), schema)


class Examiner:
    """Judges by bytes alone, so each repeat of a block has the same content.

    Nothing is found out by loading: a pack goes into a table of trial, which keeps nothing. What ClickHouse
    cannot read there it could not read in the block either, so of that block nothing was stored.
    """

    def __init__(self, warehouse: Warehouse, turn: Callable[[], None]) -> None:
        """turn: called from pack to pack, so that the watchdog sees that something moves."""
        self._warehouse = warehouse
        self._turn = turn

    def find_bad(self, block: Block, attempts: Attempts, wait: Wait, *, unreadable: bool) -> list[Bad]:
        """The packs that cannot be loaded.

        unreadable: ClickHouse said so of the block. Otherwise a part of it may be stored, and what our decoder alone
        does not like is left as it is.
        """
        bad: dict[int, DeadReason] = {}
        rest = []
        for at, one in enumerate(block.accepted):
            self._turn()
            with attempts.at(one.message.offset):
                reason = _why_unreadable(block, at)
            if reason is None:
                rest.append(at)
            elif unreadable or self._try(block, [at], wait):
                bad[at] = reason
        for at in self._search(block, rest, wait):
            bad[at] = DeadReason.REFUSED_BY_CLICKHOUSE
        return sorted(bad.items())

    def _search(self, block: Block, packs: list[int], wait: Wait) -> Iterator[int]:
        """Halves and halves of what is refused, down to single packs."""
        problem = self._try(block, packs, wait) if packs else None
        if problem is None:
            return
        if len(packs) > 1:
            middle = len(packs) // 2
            yield from self._search(block, packs[:middle], wait)
            yield from self._search(block, packs[middle:], wait)
        elif isinstance(problem, BlockUnreadable) or not problem.code:
            yield from packs
        # A pack that can be read and is refused by a code, as for want of memory, waits for ClickHouse to have more.

    def _try(self, block: Block, packs: list[int], wait: Wait) -> WarehouseError | None:
        """Why ClickHouse does not read these packs; None when it does.

        No answer, or a refusal that says nothing of the data, counts when it came TRIES_MAX times, and ClickHouse
        took packs that say nothing but that they are dead each time before and after it.
        """
        assert block.schema is not None, "a block with accepted packs has their schema"
        container = splice(block.schema, [block.accepted[at].message.value for at in packs])
        harmless = splice(
            block.schema,
            [say_dead(block.accepted[at].head, DeadReason.UNREADABLE, block.schema) for at in packs],
        )
        for _ in range(TRIES_MAX):
            self._turn()
            try:
                self._warehouse.check(block.table, container)
                return None
            except BlockUnreadable as error:
                return error
            except WarehouseAway as error:
                problem = error
            self._await_answer(block.table, harmless, wait)
        return problem

    def _await_answer(self, table: str, harmless: bytes, wait: Wait) -> None:
        while True:
            try:
                self._warehouse.check(table, harmless)
                return
            except WarehouseError as away:
                wait(f"ClickHouse: {away}")


def _why_unreadable(block: Block, at: int) -> DeadReason | None:
    """What our own decoder has against a pack."""
    assert block.schema is not None, "a block with accepted packs has their schema"
    value = block.accepted[at].message.value
    try:
        decode_clean_pack(value)
        splice(block.schema, [value])
        return None if read_record(value, block.schema)[1] == len(value) else DeadReason.UNREADABLE
    except PackError as error:
        return error.reason
