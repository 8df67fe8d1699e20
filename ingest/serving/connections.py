"""What the connections of a worker share: the fast path's endpoints, the bounds of all together, and the clock that
ends the silent ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from ingest.reading.client import RequestContext
from ingest.serving.answers import KEPT, GifAnswer, HeaderList, Receive, Scope, Send
from ingest.serving.http1 import write_gif

CONNECTIONS_MAX = 16_384  # of a worker; requests on further ones get 503
# The same of one network (/24, /48), so that none keeps all others out; not behind proxies, which speak for all.
NETWORK_CONNECTIONS_MAX = CONNECTIONS_MAX // 2
HELD_BYTES_MAX = 100_000_000  # of heads that are not whole and of hits that wait for one before, together
SWEEP_S = 0.5  # between two looks for connections that are silent for too long

ReadRequestContext = Callable[[str, HeaderList], RequestContext]
Endpoint = Callable[[Scope, Receive, Send], Awaitable[None]]


class PixelFastPath(Protocol):
    """What takes a hit."""

    def take(
        self,
        query: bytes,
        request_context: RequestContext,
        answer: Callable[[GifAnswer], None],
        *,
        patient: bool = False,
    ) -> None:
        """`answer` is called once, at once or later. patient: nobody is known to wait for it."""


class OpenConnection(Protocol):
    """What the clock asks of a connection."""

    transport: asyncio.Transport
    waits_since: float  # by the loop's clock
    unsent: int  # bytes of its answer that its peer had not taken when it was last looked at

    @property
    def is_waiting(self) -> bool:
        """Whether the next thing that happens must come from its peer."""


class Connections:
    """All connections of a worker."""

    def __init__(self, head_seconds_max: float, network_max: int = 0) -> None:
        """head_seconds_max: for a request's head to come, counted from the end of the answer before; network_max: of
        one network, 0 for no limit."""
        self._head_seconds_max = head_seconds_max
        self._network_max = network_max
        self._of_networks: dict[str, int] = {}
        self.open: dict[OpenConnection, str] = {}  # each with its network
        self.held_bytes = 0
        self.endpoint: PixelFastPath | None = None  # before the edge has started: no fast path
        self.read_request_context: ReadRequestContext | None = None
        self.posts: Mapping[str, Endpoint] = {}  # hot endpoints by path; each answers with one piece of body
        self.is_stopping = False
        self._defaults: HeaderList | None = None
        self._kept = b""

    def enter(self, one: OpenConnection, network: str) -> int:
        """Count a connection; by how many there are too many now, 0 for none."""
        self.open[one] = network
        count = self._of_networks[network] = self._of_networks.get(network, 0) + 1
        surplus = len(self.open) - CONNECTIONS_MAX
        return max(0, surplus, count - self._network_max if self._network_max else 0)

    def leave(self, one: OpenConnection) -> None:
        """It is gone."""
        network = self.open.pop(one, None)
        if network is not None:
            left = self._of_networks[network] - 1
            if left:
                self._of_networks[network] = left
            else:
                del self._of_networks[network]

    def hold(self, more: int) -> bool:
        """Count bytes that a connection keeps, or with a minus keeps no longer; False where all keep too many."""
        self.held_bytes += more
        return more <= 0 or self.held_bytes <= HELD_BYTES_MAX

    def sweep(self, now: float) -> None:
        """End connections whose next request has not come in time; now: by the loop's clock. 0.1 µs a connection."""
        earliest = now - self._head_seconds_max
        for one in [one for one in self.open if one.waits_since < earliest and one.is_waiting]:
            unsent = one.transport.get_write_buffer_size()
            if unsent and unsent != one.unsent:  # its peer is still busy with the answer
                one.waits_since, one.unsent = now, unsent
            else:
                one.transport.abort()

    def kept(self, defaults: HeaderList) -> bytes:
        """The answer to a hit that is kept, whole. defaults: headers of every answer, a new list each second."""
        if defaults is not self._defaults:
            self._defaults, self._kept = defaults, write_gif(KEPT, defaults)
        return self._kept
