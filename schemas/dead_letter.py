"""A message nobody could read: the bytes as they came, with where they came from and why, as Kafka headers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.drops import DeadReason
from schemas.links import Origin

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter; `value` is the message as it came, still sealed where it was, so it can be replayed."""

    reason: DeadReason
    topic: str  # the topic the message was read from
    origin: Origin
    value: bytes

    def headers(self) -> Headers:
        """The Kafka headers that go with `value`; they hold no content of the message."""
        return [
            ("reason", self.reason.encode()),
            ("topic", self.topic.encode()),
            ("topic_id", self.origin.topic_id.encode()),
            ("partition", str(self.origin.partition).encode()),
            ("offset", str(self.origin.offset).encode()),
        ]

    @classmethod
    def from_message(cls, value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> DeadLetter:
        """Read a dead letter back. Raises ValueError when the headers are not those of a dead letter."""
        named = {name: (text or b"").decode("utf-8", "replace") for name, text in headers}
        try:
            origin = Origin(named["topic_id"], int(named["partition"]), int(named["offset"]))
            return cls(DeadReason(named["reason"]), named["topic"], origin, value)
        except KeyError as missing:
            raise ValueError(f"not a dead letter: header {missing} is missing") from None
        except ValueError as error:
            raise ValueError(f"not a dead letter: {error}") from None
