"""The endpoint for producers with access to Kafka: messages of `events.direct.v1` become rows of raw packs.

Each worker of the edge reads its share. If the process dies here, what is lost and what comes twice?
- before Kafka or the spool has the pack: nothing was committed, so the messages come again;
- after it, before the commit: they come again, and their events are duplicates by id: the producer's own, or topic,
  partition and offset, which a repeat shares. A dead letter may be written twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from ingest.direct.inbox import DirectInbox, DirectMessage
from ingest.endpoints.intake import Intake
from ingest.reading.client import Client
from ingest.reading.fields import Rejection
from ingest.reading.parse import parse_event
from ingest.reading.row import SOURCE, Row, with_text
from ingest.reading.sites import SECRET, Credential, Sites
from runtime.logs import get_logger
from schemas.avro_codec import PackError
from schemas.direct import decode_direct_event, direct_id, read_origin, seal_dead_letter
from schemas.drops import DeadReason
from schemas.ring import RingError
from schemas.seal import NONCE_BYTES, PACK_ID_BYTES

BATCH_MAX = 500  # messages: as many as a pack holds; 500 x 12 µs = 6 ms during which no hit is answered
WAIT_S = 0.25  # for a message; a stop waits as long
PAUSE_S = 0.2  # between two tries while there is no room
STOP_S_MAX = 3.0  # for the batch in hand
RESTART_S = 1.0  # after something unforeseen
ENDPOINT = "direct"

T = TypeVar("T")
log = get_logger()


class Dead(NamedTuple):
    """A message that is no event: for its dead letter, and for the edge's own counts."""

    reason: DeadReason
    rejection: Rejection
    site: str  # "" where it names none of ours


def read_direct(message: DirectMessage, sites: Sites, now_ms: int) -> Row | Dead:
    """One message. Received when the broker took it: an edge that was away moves no event into another minute."""
    received_at = min(message.time_ms, now_ms) if message.time_ms > 0 else now_ms
    try:
        item = decode_direct_event(message.value)
    except PackError as error:
        return Dead(error.reason, Rejection(error.reason, "The message cannot be read.", str(error)), "")
    site = _site_of(item.pop("site", None), item.get("k"), sites)
    if not site:
        why = Rejection(
            "unknown_key", "No site is named.", "site: expected a site of fairpixel.toml, or k: its key"
        )
        return Dead(DeadReason.NOT_AN_EVENT, why, "")
    generated_id = direct_id(read_origin(message.headers, message.origin))
    parsed = parse_event(item, Credential(site, SECRET), Client(), received_at, 0, generated_id)
    if isinstance(parsed, Rejection):
        return Dead(DeadReason.NOT_AN_EVENT, parsed, site)
    return with_text(parsed.row, SOURCE, "direct")


class Direct:
    """Reads, keeps, commits; one batch in hand at a time. `run` is one task of the edge's loop."""

    def __init__(
        self,
        intake: Intake,
        open_inbox: Callable[[], DirectInbox],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """open_inbox: called on the thread that will use the inbox alone."""
        self._intake = intake
        self._open_inbox = open_inbox
        self._random_bytes = random_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="direct")
        self._inbox: DirectInbox | None = None
        self._stopping = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def consumer_lag(self) -> int:
        """Messages that wait in the topic, as far as known."""
        return self._inbox.consumer_lag() if self._inbox is not None else 0

    @property
    def is_running(self) -> bool:
        """Whether the task lives."""
        return not self._task.done()

    async def stop(self) -> None:
        """Finish the batch in hand, leave the group. What is not committed by then comes again."""
        self._stopping = True
        await asyncio.wait([self._task], timeout=STOP_S_MAX)
        self._task.cancel()
        if self._inbox is not None:
            closing = self._on_thread(self._inbox.close)
            await asyncio.wait([closing], timeout=STOP_S_MAX)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        batch: Sequence[DirectMessage] = ()
        while not self._stopping:
            try:
                if self._inbox is None:
                    self._inbox = await self._on_thread(self._open_inbox)
                batch = batch or await self._on_thread(self._inbox.fetch, BATCH_MAX, WAIT_S)
                if batch:
                    await self._take(self._inbox, batch)
                batch = ()  # not before: whatever is raised, the batch is tried again and nothing skipped
            except Exception as error:  # a defect here must not take the other endpoints with it
                log.error("direct_failed", reason=type(error).__name__)
                await asyncio.sleep(RESTART_S)

    async def _take(self, inbox: DirectInbox, messages: Sequence[DirectMessage]) -> None:
        sites, now_ms = self._intake.sites, int(time.time() * 1000)
        read = [(message, _read(message, sites, now_ms)) for message in messages]
        rows = [found for _, found in read if not isinstance(found, Dead)]
        dead = [(message, found) for message, found in read if isinstance(found, Dead)]
        if not await self._keep(inbox, rows) or not await self._send_dead_letters(inbox, dead):
            return
        await self._on_thread(inbox.commit, messages)
        self._intake.counts.events[ENDPOINT] += len(rows)

    async def _keep(self, inbox: DirectInbox, rows: Sequence[Row]) -> bool:
        """True once Kafka or the spool has all rows; False when the edge stops before there is room."""
        while rows:
            if not self._intake.is_full:
                packs = {self._intake.packer.add(row) for row in rows}
                await asyncio.wait(packs)  # which cancels none of them, whoever else awaits them
                if all(done.result() for done in packs):
                    return True
            if self._stopping:
                return False
            await self._on_thread(inbox.pause, PAUSE_S)
        return True

    async def _send_dead_letters(
        self, inbox: DirectInbox, dead: Sequence[tuple[DirectMessage, Dead]]
    ) -> bool:
        """True once every dead letter is written."""
        while dead:
            now_ms = int(time.time() * 1000)
            try:
                key = self._intake.reloadable.newest_key(now_ms)
                dead_letters = [
                    seal_dead_letter(
                        found.reason,
                        message.origin,
                        message.value,
                        key,
                        self._random_bytes(PACK_ID_BYTES),
                        self._random_bytes(NONCE_BYTES),
                    )
                    for message, found in dead
                ]
                sent = await self._on_thread(inbox.send_dead_letters, dead_letters)
            except RingError:  # before the first key was ever made
                sent = False
            if sent:
                self._count(dead, now_ms)
                return True
            if self._stopping:
                return False
            await self._on_thread(inbox.pause, PAUSE_S)
        return True

    def _count(self, dead: Iterable[tuple[DirectMessage, Dead]], now_ms: int) -> None:
        for message, found in dead:
            self._intake.refuse(found.rejection, found.site, now_ms)
            log.warning(
                "dead_letter",
                topic="direct",
                partition=message.origin.partition,
                offset=message.origin.offset,
                reason=str(found.reason),
            )

    def _on_thread(self, call: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, call, *args)


def _read(message: DirectMessage, sites: Sites, now_ms: int) -> Row | Dead:
    try:
        return read_direct(message, sites, now_ms)
    except Exception as error:  # a defect: the message waits among the dead letters for a better program
        log.error("direct_not_understood", reason=type(error).__name__)
        return Dead(DeadReason.NOT_AN_EVENT, Rejection("defect", "The message cannot be read.", ""), "")


def _site_of(name: object, key: object, sites: Sites) -> str:
    """The site that is named, "" for none of ours or for two that differ."""
    if key is not None:
        credential = sites.find(key) if isinstance(key, str) else None
        return credential.site if credential is not None and name in (None, credential.site) else ""
    known = isinstance(name, str) and any(credential.site == name for credential in sites.public.values())
    return str(name) if known else ""
