"""Finds where to go on with a partition: asks `positions`, the group's checkpoint and, where these fail, the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol, TypeVar

from runtime.logs import get_logger
from schemas.avro_codec import PackError
from schemas.bounds import SETTLE_S, Bounds
from schemas.clean_pack import CleanHead, read_clean_head
from schemas.links import Link, Position, Verdict, find_anchor
from sinks.loader.attempts import ATTEMPTS_MAX, Attempts
from sinks.loader.block import Checkpoint, Message
from sinks.loader.kafka.inbox import Inbox
from sinks.loader.positions import read_position
from sinks.loader.resume import BLOCK_OFFSETS_MAX, Committed, ResumePoint, back_to, follow
from sinks.warehouse.client import Warehouse

_T = TypeVar("_T")

log = get_logger()


class Ask(Protocol):
    """Asks a question until somebody answers it."""

    def __call__(self, question: Callable[[], _T]) -> _T: ...


class Recovery:
    """What a loader does first with a partition it was given."""

    def __init__(
        self,
        inbox: Inbox,
        warehouse: Warehouse,
        group: str,
        clock: Callable[[], float],
        ask: Ask,
        turn: Callable[[], None],
    ) -> None:
        """turn: called from message to message, so that the watchdog sees that something moves."""
        self._inbox = inbox
        self._warehouse = warehouse
        self._group = group
        self._clock = clock
        self._ask = ask
        self._turn = turn

    def find(
        self,
        partition: int,
        offset: int | None,
        checkpoint: Checkpoint | None,
        bounds: Bounds,
        attempts: Attempts,
    ) -> ResumePoint:
        topic_id = self._inbox.topic_id
        place = self._ask(lambda: read_position(self._warehouse, self._group, topic_id, partition))
        low, high = self._ask(lambda: self._inbox.bounds(partition))
        committed = Committed(offset, checkpoint, topic_id, high)
        if place is None:
            doubt = committed.doubt()
            if offset is not None and checkpoint is not None and not doubt:
                if checkpoint.last is None or self._ask(
                    lambda: self._is_in_log(partition, checkpoint.last, attempts)
                ):
                    return ResumePoint(offset, checkpoint)
                doubt = "checkpoint_contradicts"
            return ResumePoint(
                low,
                Checkpoint(topic_id, self._ask(lambda: self._find_anchor(partition, bounds, attempts))),
                doubt,
            )
        point = follow(committed, place)
        if point.start > place.end and self._ask(
            lambda: self._is_passed_over(partition, place.end, point, bounds, attempts)
        ):
            point = back_to(place, topic_id, "offset_moved")
        if offset is None:
            log.warning("position_from_clickhouse", partition=partition, offset=point.start)
        if point.start > high:
            log.error("clean_log_shortened", partition=partition, offset=point.start, end=high)
            return ResumePoint(low, Checkpoint(topic_id, point.checkpoint.last), point.doubt)
        return point

    def _is_in_log(self, partition: int, wanted: Position | None, attempts: Attempts) -> bool:
        return any(head.this == wanted for _, head in self._heads(partition, attempts))

    def _is_passed_over(
        self, partition: int, start: int, point: ResumePoint, bounds: Bounds, attempts: Attempts
    ) -> bool:
        """Whether a pack that must be loaded lies between the newest block known and the offset of the group."""
        if point.start - start > BLOCK_OFFSETS_MAX:
            return True
        for message, head in self._heads(partition, attempts, start, point.start):
            seen_at = self._clock() - SETTLE_S  # what was not there in time is not waited for
            if bounds.judge(point.checkpoint.last, head, message.timestamp_ms, seen_at) is Verdict.ACCEPTED:
                return True
        return False

    def _find_anchor(self, partition: int, bounds: Bounds, attempts: Attempts) -> Position | None:
        """What lay before the first pack that is still there; the whole log is read when it names something."""
        links: list[Link] = []
        for _, head in self._heads(partition, attempts):
            links.append(head.as_link)
            if len(links) == 1 and links[0].before is None:
                return None
        return find_anchor(links, bounds.raw_log()) if links else None

    def _heads(
        self, partition: int, attempts: Attempts, start: int = 0, end: int | None = None
    ) -> Iterator[tuple[Message, CleanHead]]:
        """The heads of the packs that are there; what ended too many loaders is not looked at."""
        for message in self._inbox.read_log(partition, start, end):
            self._turn()
            if attempts.ended(message.offset) < ATTEMPTS_MAX:
                with suppress(PackError):
                    with attempts.at(message.offset):
                        head = read_clean_head(message.value)
                    yield message, head
