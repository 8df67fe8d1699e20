"""Applies the rule of links where Kafka can be asked: what is known of the raw log is remembered, the rest asked for.

A verdict must be the same whenever and by whomever it is given: streams and the loader read the same log at different
moments, and a chain that one of them accepts and the other does not ends there. So the question is not whether the raw
message a pack names is there now, but whether it was when the pack was written:

- by the broker's clock (LogAppendTime) the raw message is not younger than the pack: it was there;
- it is: the pack_id decides. 128 random bits that stand outside the raw message's seal and in the clean pack's head
  cannot be known before. So a true pack is accepted also where clocks differ or go backwards;
- it is not there yet SETTLE_S after the pack was read: it was not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from schemas.avro_codec import PackError
from schemas.clean_pack import CleanHead
from schemas.links import Link, Position, RawLog, Verdict, is_accepted, judge
from schemas.seal import read_envelope

SETTLE_S = 1.0  # longer than the clocks of two brokers differ


class RawMessage(NamedTuple):
    """What is to be known of one message of the raw topic."""

    offset: int
    time_ms: int  # LogAppendTime
    pack_id: str  # as a clean pack's head names it; "" for a message nobody can read

    @classmethod
    def of(cls, offset: int, time_ms: int, value: bytes) -> RawMessage:
        """A message as Kafka has it."""
        try:
            return cls(offset, time_ms, read_envelope(value).pack_id.hex())
        except PackError:
            return cls(offset, time_ms, "")


class RawEnds(NamedTuple):
    """The end of the raw partition: as it was at some time, and as it is now, where that was asked."""

    then: int
    now: int | None


class RawReader(Protocol):
    """What is asked about the raw topic; each raises what its program raises when Kafka does not answer."""

    def topic_id(self) -> str:
        """The id of the topic that has this name now."""

    def ends(self, partition: int, time_ms: int, offset: int | None = None) -> RawEnds:
        """then: the offset of the first message of `time_ms` or later, by the broker's clock.

        offset: where `then` lies behind it, nobody needs `now`, and a reader that saves a question leaves it out.
        """

    def first_at(self, partition: int, offset: int) -> RawMessage | None:
        """The first message at or behind `offset`; None when there is none yet."""


class TooEarly(Exception):
    """Nobody can tell yet: ask again in a moment."""


class Bounds:
    """The rule for one partition. 1 µs a pack, and one request where streams kept up: it is
    answered for all packs whose raw messages are older than the first of them. A backlog of streams costs nothing."""

    def __init__(
        self, raw: RawReader, partition: int, clock: Callable[[], float], *, reads_along: bool = False
    ) -> None:
        """clock: seconds that only rise.

        reads_along: `raw` reads many messages at once, so a pack's own message is cheaper than a question about times.
        For whoever reads much of the log again: its packs are as old as their raw messages, one question each.
        """
        self._raw = raw
        self._partition = partition
        self._reads_along = reads_along
        self._clock = clock
        self._topic_id = ""
        self._topic_at = float("-inf")  # when it was asked for
        self._end, self._end_ms = 0, 0  # before this offset lies what is older than this time, and maybe more
        self._now, self._now_at = 0, float("-inf")  # the end, and when it was asked for
        self._first, self._first_at = (-1, 0), float("-inf")  # behind an offset, the first message

    def judge(self, last: Position | None, head: CleanHead, time_ms: int, seen_at: float) -> Verdict:
        """What the rule says of a pack that was written at `time_ms` and read at `seen_at`, by the clock.

        Raises TooEarly, and what the reader raises when Kafka does not answer: then nothing is known, and none guessed.
        """
        link = head.as_link
        this = link.this
        if not is_accepted(last, link) and this.offset >= 0:
            return Verdict.IGNORED
        if this.topic_id != self._topic_id and self._topic_at <= seen_at:
            self._ask_topic()
        if this.topic_id != self._topic_id:
            return judge(last, link, self._known(0, 0))
        follows = last.offset + 1 if last is not None and last.topic_id == this.topic_id else 0
        if link.begins == follows and self._was_there(this.offset, time_ms):
            return judge(last, link, self._known(this.offset + 1, follows))
        verdict = self._judge_slowly(last, link, head.answers[-1].pack_id, time_ms, seen_at, follows)
        if verdict.is_refused and self._topic_at <= seen_at:  # is it still the topic that was asked about?
            self._ask_topic()
            return self.judge(last, head, time_ms, seen_at)
        return verdict

    def raw_log(self) -> RawLog:
        """What is there now, for finding where a log whose beginning is gone goes on."""
        self._ask_topic()
        return self._known(self._raw.ends(self._partition, 0).now or 0, 0)

    def _judge_slowly(
        self, last: Position | None, link: Link, pack_id: str, time_ms: int, seen_at: float, follows: int
    ) -> Verdict:
        offset = link.this.offset
        end, first = offset + 1, link.begins
        if offset < 0:
            return judge(last, link, self._known(end, first))
        if not self._is_older(offset, pack_id, time_ms, seen_at) and not self._was_known(
            offset, pack_id, seen_at
        ):
            end = offset
        elif link.begins > follows:
            first = self._first_behind(follows, link.begins, seen_at)
        return judge(last, link, self._known(end, first))

    def _is_older(self, offset: int, pack_id: str, time_ms: int, seen_at: float) -> bool:
        """Whether the raw message was there when the pack was written, asked for where it is not known."""
        if self._was_there(offset, time_ms):
            return True
        if self._reads_along:
            message = self._raw.first_at(self._partition, offset)
            if message is not None and (message.time_ms <= time_ms or _is_read(message, offset, pack_id)):
                return True
        if not self._is_not_there(offset, seen_at):
            self._ask_ends(time_ms, offset)
        return self._was_there(offset, time_ms)

    def _was_there(self, offset: int, time_ms: int) -> bool:
        """Whether it is known that the raw message was there when the pack was written."""
        return offset < self._end and time_ms >= self._end_ms

    def _is_not_there(self, offset: int, seen_at: float) -> bool:
        """Whether it is known that the raw message came much later than the pack was read, if it came."""
        return offset >= self._now and self._now_at >= seen_at + SETTLE_S

    def _was_known(self, offset: int, pack_id: str, seen_at: float) -> bool:
        """Whether the pack's writer had read the raw message. One that expired cannot be asked, and speaks for it."""
        if offset < self._now:
            message = self._raw.first_at(self._partition, offset)
            return message is None or _is_read(message, offset, pack_id)
        if self._is_not_there(offset, seen_at):
            return False
        raise TooEarly

    def _first_behind(self, follows: int, offset: int, seen_at: float) -> int:
        """Where the first message at or behind `follows` lies; asked once for all packs that were read together."""
        if self._first[0] != follows or self._first_at <= seen_at:
            self._first_at = self._clock()
            message = self._raw.first_at(self._partition, follows)
            self._first = (follows, offset if message is None else message.offset)
        return self._first[1]

    def _ask_topic(self) -> None:
        asked_at = self._clock()
        topic_id = self._raw.topic_id()
        if topic_id != self._topic_id:
            self._forget()
        self._topic_id, self._topic_at = topic_id, asked_at

    def _ask_ends(self, time_ms: int, offset: int) -> None:
        asked_at = self._clock()
        ends = self._raw.ends(self._partition, time_ms + 1, offset)
        self._end, self._end_ms = ends.then, time_ms
        if ends.now is not None:
            self._now, self._now_at = ends.now, asked_at

    def _forget(self) -> None:
        self._end, self._end_ms = 0, 0
        self._now, self._now_at = 0, float("-inf")
        self._first, self._first_at = (-1, 0), float("-inf")

    def _known(self, end: int, first: int) -> RawLog:
        return RawLog(self._topic_id, self._partition, end, first)


def _is_read(message: RawMessage, offset: int, pack_id: str) -> bool:
    """Whether the writer of a pack with this id has read the message at `offset`, where this one lies now."""
    return message.offset > offset or message.pack_id == pack_id
