"""A message nobody could read: the bytes as they came, with where they came from and why, as Kafka headers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256

from schemas.drops import DeadReason
from schemas.links import Origin
from schemas.topics import CLEAN_SIZE_MAX

Headers = list[tuple[str, bytes]]

# Bytes. The topic takes 1,000 more, for headers (300) and what a batch adds. A producer's compression lets larger
# messages through a broker's limit, but a dead letter may not count on that: other bytes compress worse.
VALUE_SIZE_MAX = CLEAN_SIZE_MAX
_DIGEST_LENGTH = 64  # hex digits


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What remains of a message too large for the topic: enough to recognise it where it lies, or lay."""

    sha256: str  # hex digits
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter; `value` is the message as it came, still sealed where it was, so it can be replayed.

    Where `left_out` is set the message was too large: `value` is empty, and nothing can be replayed from it.
    """

    reason: DeadReason
    topic: str  # the topic the message was read from
    origin: Origin
    value: bytes
    left_out: LeftOut | None = None

    def shortened(self, size_bytes_max: int = VALUE_SIZE_MAX) -> DeadLetter:
        """This dead letter, or a stub without its bytes where these are more than the topic takes.

        Whoever sends a dead letter sends this one: a message of 60 MB must not stop its reader. 0.5 ms a MB.
        """
        if len(self.value) <= size_bytes_max:
            return self
        return replace(self, value=b"", left_out=LeftOut(sha256(self.value).hexdigest(), len(self.value)))

    def headers(self) -> Headers:
        """The Kafka headers that go with `value`; they hold no content of the message."""
        headers = [
            ("reason", self.reason.encode()),
            ("topic", self.topic.encode()),
            ("topic_id", self.origin.topic_id.encode()),
            ("partition", str(self.origin.partition).encode()),
            ("offset", str(self.origin.offset).encode()),
        ]
        if self.left_out is not None:
            headers += [
                ("left_out_sha256", self.left_out.sha256.encode()),
                ("left_out_size", str(self.left_out.size).encode()),
            ]
        return headers

    @classmethod
    def from_message(cls, value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> DeadLetter:
        """Read a dead letter back. Raises ValueError when the headers are not those of a dead letter."""
        named = {name: (text or b"").decode("utf-8", "replace") for name, text in headers}
        try:
            origin = Origin(named["topic_id"], int(named["partition"]), int(named["offset"]))
            return cls(DeadReason(named["reason"]), named["topic"], origin, value, _left_out(named))
        except KeyError as missing:
            raise ValueError(f"not a dead letter: header {missing} is missing") from None
        except ValueError as error:
            raise ValueError(f"not a dead letter: {error}") from None


def _left_out(named: dict[str, str]) -> LeftOut | None:
    digest = named.get("left_out_sha256")
    if digest is None:
        return None
    if len(digest) != _DIGEST_LENGTH:
        raise ValueError("left_out_sha256 is no SHA-256")
    return LeftOut(digest, int(named["left_out_size"]))
