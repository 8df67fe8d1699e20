"""The request that uvicorn's parser is inside of: how far it has come, and the bounds of what is not whole. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from ingest.reading.fields import Rejection
from ingest.serving.answers import HeaderList
from ingest.serving.http1 import HEAD_BYTES_MAX, HEAD_TOO_LARGE, HEADERS_MAX, TWO_HOSTS, UNKNOWN_CODING


class Part(Enum):
    """How far a request has come."""

    BETWEEN = auto()  # the one before is whole, and none has begun
    IN_HEAD = auto()
    UPGRADE = auto()  # its head is whole, and the parser takes its body for another protocol
    HEAD_AGAIN = auto()  # of such a one, what frames the body is read once more; it says nothing new
    IN_BODY = auto()


# A look at a member through its class costs 0.1 µs.
BETWEEN, IN_HEAD, UPGRADE, HEAD_AGAIN, IN_BODY = Part


@dataclass(slots=True)
class ParsedRequest:
    """The request at hand; the next one takes its place."""

    part: Part = BETWEEN
    framing: bytes = b""  # in UPGRADE: the headers that tell where its body ends
    unfinished: int = 0  # bytes since the last whole head or piece of a body
    head_bytes: int = 0  # of line, headers and trailers
    header_count: int = 0  # trailers too

    def begin(self) -> None:
        """The first byte of a request."""
        self.part = IN_HEAD
        self.head_bytes = self.header_count = 0

    def add(self, size: int, headers: int = 0) -> Rejection | None:
        """A piece of line, headers or trailers; why it is too much."""
        self.head_bytes += size
        self.header_count += headers
        if self.head_bytes > HEAD_BYTES_MAX or self.header_count > HEADERS_MAX:
            return HEAD_TOO_LARGE
        return None

    def end_head(self, headers: HeaderList, is_upgrade: bool) -> None:
        """The head is whole; is_upgrade: for the parser."""
        self.part = IN_BODY
        if is_upgrade:
            framing = [one for one in headers if one[0] in (b"content-length", b"transfer-encoding")]
            self.framing = b"".join([b"%s: %s\r\n" % one for one in framing])
            if framing:
                self.part = UPGRADE

    def head_again(self) -> bytes:
        """From UPGRADE on: a head behind which the parser finds the body that it took for another protocol."""
        self.part = HEAD_AGAIN
        framing, self.framing = self.framing, b""
        return b"POST / HTTP/1.1\r\n%s\r\n" % framing

    @property
    def is_in_body(self) -> bool:
        """Whether its head is whole and its body is not."""
        return self.part is not BETWEEN and self.part is not IN_HEAD


def find_contradiction(headers: HeaderList) -> Rejection | None:
    """What is wrong with the last of these headers. Of what says whom a request is for and where it ends, one word: a
    proxy may have gone by the other."""
    name, value = headers[-1]
    if name == b"host" and sum(one == b"host" for one, _ in headers) > 1:
        return TWO_HOSTS
    if name == b"transfer-encoding" and value.lower() != b"chunked":
        return UNKNOWN_CODING
    return None
