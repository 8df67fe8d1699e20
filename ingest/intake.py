"""What all doors share: the sites, the open packs and the counts; the one way in for an event, and for a refusal."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Iterable
from typing import Any

from ingest.answers import HeaderList, cors_headers, preflight_headers
from ingest.client import Client, Headers, client_ip, read_client
from ingest.counts import Counts
from ingest.fields import Rejection
from ingest.live import Live
from ingest.packer import Packer
from ingest.settings import EdgeSettings
from ingest.sites import PUBLIC, Sender, Sites

MakeId = Callable[[], str]


class Intake:
    """One edge process's way in, handed to each door."""

    def __init__(
        self, live: Live, packer: Packer, counts: Counts, settings: EdgeSettings, make_id: MakeId
    ) -> None:
        """make_id: an id nobody else makes, for events whose sender gave none."""
        self.live = live
        self.packer = packer
        self.counts = counts
        self.make_id = make_id
        self.trusted_proxies = settings.trusted_proxies
        self._events_max = settings.waiting_events_max

    @property
    def sites(self) -> Sites:
        """The sites as they stand now."""
        return self.live.sites

    @property
    def is_full(self) -> bool:
        """Whether so many events wait for Kafka or the spool that no more are taken: 503."""
        return self.packer.waiting_events >= self._events_max

    def client(self, scope: dict[str, Any], headers: Headers) -> Client:
        """What a request says of its sender, address by the trusted proxies included."""
        peer = scope["client"][0]
        proxies = self.trusted_proxies
        return read_client(headers, client_ip(peer, scope["headers"], proxies) if proxies else peer)

    def is_foreign(self, sender: Sender, origin: bytes | None) -> bool:
        """Whether a page of an origin that the site did not declare is sending."""
        return bool(origin) and sender.trust == PUBLIC and not sender.may_come_from(_text(origin))

    def refuse_origin(self, sender: Sender, now_ms: int) -> asyncio.Future[bool]:
        """Count an event of a foreign page. A decision, not an error (wire.md, A0): its sender is answered as any other
        once the count is kept."""
        self.counts.refused["origin_refused"] += 1
        return self.packer.refuse_aloud(now_ms // 60_000 * 60, sender.site, "origin_refused")

    def cors(self, sender: Sender | None, origin: bytes | None) -> HeaderList:
        """Headers that let a page of a declared origin read the answer."""
        if not origin:
            return []
        return cors_headers(origin, sender is not None and sender.may_come_from(_text(origin)))

    def preflight(self, headers: Headers) -> HeaderList:
        """The headers that answer OPTIONS; it carries no key, so any site's declaration will do."""
        origin = headers.get(b"origin")
        declared = origin is not None and self.sites.is_origin_declared(_text(origin))
        return preflight_headers(origin, declared, headers.get(b"access-control-request-headers"))

    def refuse(self, why: Rejection, site: str, now_ms: int) -> None:
        """Count what is not taken; the count travels in the next pack."""
        reason = refusal_reason(why)
        self.counts.refused[reason] += 1
        self.packer.refuse(now_ms // 60_000 * 60, site, reason)


def _text(origin: bytes | None) -> str:
    return (origin or b"").decode("latin-1")


async def all_kept(packs: Iterable[asyncio.Future[bool]]) -> bool:
    """Whether every pack of a request is kept; packs are few and shared, so each is awaited once."""
    for done in set(packs):
        if not await done:
            return False
    return True


def refusal_reason(why: Rejection) -> str:
    """The disposition a rejection is counted under: the codes are many, the reasons few."""
    if why.code in ("oversize", "body_too_large"):
        return "oversize"
    return "unknown_key" if why.code == "unknown_key" else "invalid"


def id_maker() -> MakeId:
    """Makes ids nobody else makes: 96 random bits of this process and a number; uuid4 costs ten times as much."""
    numbers, start = itertools.count(), os.urandom(12).hex()
    return lambda: f"{start}{next(numbers):x}"
