"""Bodies that take long to read: each in its turn, in a thread beside the loop, so that nobody else waits for them.

A body is inflated, taken apart and made into rows by functions without effects. Of a small one they are called at once:
at most 20 ms. A large one waits for its turn, in which networks alternate, and is read in a thread, from which the
interpreter takes the loop's turn every 5 ms; what is one call in C (JSON as a whole) has bounds of its own in body.py.
One thread, as each further one would take an equal share from the loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ingest.reading.body import INFLATED_BYTES_MAX, TOO_LARGE, inflate, is_compressed
from ingest.reading.fields import Unacceptable

TINY_BYTES_MAX = 2_000  # nearly every beacon: nobody has to count what is in it
SMALL_BYTES_MAX = 16_000  # 800 events of 20 bytes x 20 µs = 16 ms
SMALL_BRACES_MAX = 200  # objects: what a batch says once is repeated in each, 200 x 8 kB
# At an endpoint where events share nothing, with at most so many objects: 500 x 12 µs = 6 ms.
FLAT_BYTES_MAX = 256_000
FLAT_BRACES_MAX = 500
PAUSE_EVENTS = 500  # after so many rows others have their turn before the next are put into packs: 500 x 5 µs
# Of a network's that wait for their turn; beyond it its next is answered with 503.
HELD_BYTES_MAX = 100_000_000

CROWDED = Unacceptable(
    "unavailable",
    "Too many large bodies are being read at the moment.",
    "Send it again after the seconds named in Retry-After.",
)
_T = TypeVar("_T")


class Heavy:
    """The turns of one worker. Networks take turns too, and none keeps all others out: held_bytes_max is for one of
    them, all together have twice as much."""

    def __init__(self, held_bytes_max: int = HELD_BYTES_MAX) -> None:
        self._held_bytes_max = held_bytes_max
        self._held_bytes: Counter[str] = Counter()  # by network
        self._is_busy = False
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # by network, whose turn is next first
        self._thread = ThreadPoolExecutor(1, "body")

    async def begin(self, size: int, network: str) -> None:
        """Wait for the turn of a body of so many bytes. Raises Unacceptable where too many wait already."""
        of_all, own = self._held_bytes.total() + size, self._held_bytes[network] + size
        if own > self._held_bytes_max or of_all > 2 * self._held_bytes_max:
            raise Unacceptable(*CROWDED.rejection)
        self._held_bytes[network] += size
        if not self._is_busy:
            self._is_busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(network, deque()).append(turn)
        try:
            await turn
        except BaseException:
            if turn.cancelled():
                self._give_back(size, network)
            else:  # it was this one's turn already
                self.end(size, network)
            raise

    def end(self, size: int, network: str) -> None:
        """The next one's turn."""
        self._give_back(size, network)
        while self._waiting:
            following = next(iter(self._waiting))
            line = self._waiting.pop(following)
            turn = line.popleft()
            if line:
                self._waiting[following] = line  # behind the other networks
            if not turn.done():
                turn.set_result(None)
                return
        self._is_busy = False

    def _give_back(self, size: int, network: str) -> None:
        self._held_bytes[network] -= size
        if not self._held_bytes[network]:
            del self._held_bytes[network]

    async def run(self, read: Callable[..., _T], *args: object) -> _T:
        """Call it in the thread; for whose turn it is."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, read, *args)


class Turn:
    """One request's reading. `end` it in any case."""

    __slots__ = ("_heavy", "_network", "_size", "content")

    def __init__(self, heavy: Heavy, network: str) -> None:
        self.content = b""
        self._heavy = heavy
        self._network = network
        self._size = 0  # 0: it is small

    @property
    def is_large(self) -> bool:
        """Whether it is read beside the loop."""
        return self._size > 0

    async def open(self, body: bytes, encoding: str, query_length: int = 0, *, flat: bool = False) -> None:
        """Inflate a body. Raises Unacceptable.

        query_length: of an address that may hold events; flat: at an endpoint where the events of a body share nothing.
        """
        if len(body) > FLAT_BYTES_MAX and is_compressed(body, encoding):  # its members alone may take long
            await self.grow(INFLATED_BYTES_MAX)
            self.content = await self._heavy.run(inflate, body, encoding)
            return
        try:
            self.content = inflate(body, encoding, SMALL_BYTES_MAX) if body else b""
            if query_length <= SMALL_BYTES_MAX and is_small(self.content, flat):
                return
            await self.grow(len(self.content) + query_length)
        except Unacceptable as problem:
            if problem.rejection is not TOO_LARGE:
                raise
            await self.grow(INFLATED_BYTES_MAX)
            self.content = await self._heavy.run(inflate, body, encoding)

    async def grow(self, size: int) -> None:
        """It turned out to be a large one: wait for the turn. Raises Unacceptable."""
        if not self._size:
            await self._heavy.begin(size, self._network)
            self._size = max(1, size)

    async def run(self, read: Callable[..., _T], *args: object) -> _T:
        """Call a function without effects: at once, or in the thread where the body is large."""
        return await self._heavy.run(read, *args) if self._size else read(*args)

    def end(self) -> None:
        """All of it is read; may be said twice."""
        if self._size:
            self._heavy.end(self._size, self._network)
            self._size = 0


def is_small(content: bytes, flat: bool) -> bool:
    """Whether a body is read within 20 ms, whatever is in it."""
    size = len(content)
    if flat:
        return size <= SMALL_BYTES_MAX or (size <= FLAT_BYTES_MAX and content.count(b"{") <= FLAT_BRACES_MAX)
    return size <= SMALL_BYTES_MAX and (size <= TINY_BYTES_MAX or content.count(b"{") <= SMALL_BRACES_MAX)
