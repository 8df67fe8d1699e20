"""Looks through the dead letters and says which of them can be read by now; for `fairpixel replay`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.avro_codec import PackError
from schemas.clean_pack import read_clean_head
from schemas.dead_letter import DeadLetter
from schemas.drops import DeadReason
from schemas.pack import decode_raw_pack
from schemas.ring import Ring
from schemas.seal import open_seal, read_envelope
from schemas.topics import CLEAN, DEAD, RAW
from streams.decide import check
from streams.kafka.log_reader import LogReader
from streams.partition.store import PACK_WINDOW_MS


@dataclass(frozen=True, slots=True)
class Found:
    """A message of the dead letter topic; `dead_letter` is None when it is none of ours."""

    partition: int
    offset: int
    time_ms: int
    size: int  # bytes of the message, also where these are left out
    dead_letter: DeadLetter | None


def find_dead_letters(log: LogReader, partitions: int) -> Iterator[Found]:
    """All messages of the dead letter topic, by partition and offset."""
    for partition in range(partitions):
        for chunk in log.read(DEAD, partition, *log.bounds(DEAD, partition)):
            for record in chunk:
                dead_letter: DeadLetter | None
                try:
                    dead_letter = DeadLetter.from_message(record.value, record.headers)
                except ValueError:
                    dead_letter = None
                left_out = dead_letter.left_out if dead_letter else None
                size = left_out.size if left_out else len(record.value)
                yield Found(partition, record.offset, record.time_ms, size, dead_letter)


def why_unreadable(value: bytes, ring: Ring) -> DeadReason | None:
    """Why a raw pack would be dead again with this ring and this program; None when it can be read."""
    try:
        check(decode_raw_pack(open_seal(read_envelope(value), ring)))
    except PackError as error:
        return error.reason
    return None


def has_rows_already(log: LogReader, partition: int, since_ms: int, now_ms: int, value: bytes) -> bool:
    """True when this raw pack became a clean pack before, longer ago than the worker itself remembers.

    Younger ones need no look: the worker knows their pack_id. The rest costs a walk along the clean log from then on.
    """
    if now_ms - since_ms < PACK_WINDOW_MS:
        return False
    pack_id = read_envelope(value).pack_id.hex()
    start = log.offset_at(CLEAN, partition, since_ms)
    for chunk in log.read(CLEAN, partition, start, log.bounds(CLEAN, partition)[1]):
        for record in chunk:
            try:
                head = read_clean_head(record.value)
            except PackError:
                continue
            if any(one.is_stored and one.pack_id == pack_id for one in head.answers):
                return True
    return False


def can_go_back(dead_letter: DeadLetter) -> bool:
    """Raw packs can; a clean pack cannot, because its place in the chain of accepted packs is behind us."""
    return dead_letter.topic == RAW
