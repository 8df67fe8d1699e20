"""What all endpoints share: the sites, the open packs and the counts; the one way in for an event or a refusal."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from ingest.counts import Counts
from ingest.endpoints.rate_limits import RateLimiter
from ingest.packing.packer import Packer
from ingest.reading.body import INFLATED_BYTES_MAX, TOO_LARGE, UNREADABLE, is_compressed
from ingest.reading.client import Client, Headers, RequestContext, client_ip, join_headers, read_client
from ingest.reading.fields import Rejection, Unacceptable
from ingest.reading.heavy import PAUSE_EVENTS, TINY_BYTES_MAX, Heavy, Turn
from ingest.reading.row import Row
from ingest.reading.signature import HEADER as SIGNATURE
from ingest.reading.signature import REJECTIONS as SIGNATURE_REJECTIONS
from ingest.reading.signature import check_signature
from ingest.reading.sites import PUBLIC, Credential, Sites
from ingest.reloadable import ReloadableConfiguration
from ingest.serving.answers import METHODS, SPOOL_FULL, HeaderList, Limited, cors_headers, preflight_headers
from ingest.serving.arrival import Arrivals
from ingest.settings import EdgeSettings
from ingest.visitors.rules import cookies_of
from schemas.drops import RefusalReason

MakeId = Callable[[], str]
# Of a site, what is to be kept; or why it is not taken.
Offered = tuple[Credential, Row | Rejection]

ENCODING = b"content-encoding"
# Of a body, inflated, for which its network gives a request: about as dear to read as one.
CHARGED_BYTES = 4_000


class NotKept(Unacceptable):
    """Neither Kafka nor the spool has room for some events of a request: 503."""

    def __init__(self, event_count: int) -> None:
        super().__init__(*SPOOL_FULL)
        self.event_count = event_count


class Intake:
    """One edge process's way in, handed to each endpoint."""

    def __init__(
        self,
        reloadable: ReloadableConfiguration,
        packer: Packer,
        counts: Counts,
        settings: EdgeSettings,
        make_id: MakeId,
    ) -> None:
        """make_id: an id nobody else makes, for events whose sender gave none."""
        self.reloadable = reloadable
        self.packer = packer
        self.counts = counts
        self.make_id = make_id
        self.rate_limiter = RateLimiter(settings.network_rate_max, settings.rate_burst_seconds)
        self.arrivals = Arrivals(settings.body_seconds_max)
        self.heavy = Heavy()
        self.trusted_proxies = settings.trusted_proxies
        self._proxy_header = settings.proxy_header.lower().encode()
        self._events_max = settings.waiting_events_max

    @property
    def sites(self) -> Sites:
        """The sites as they stand now."""
        return self.reloadable.sites

    @property
    def is_full(self) -> bool:
        """Whether so many events wait for Kafka or the spool that no more are taken: 503."""
        return self.packer.waiting_events >= self._events_max

    def require_room(self, event_count: int = 1) -> None:
        """Raises NotKept for all events of a request while no more are taken."""
        if self.is_full:
            raise NotKept(event_count)

    async def keep(
        self,
        endpoint: str,
        offered: Iterable[Offered],
        origin: bytes | None,
        now_ms: int,
        *,
        patient: bool = False,
        turn: Turn | None = None,
        with_refusals: bool = False,
    ) -> None:
        """Keep the events of one request, or count them as refused, in order: what is a rejection, and what a page of
        an origin sends that the site did not declare. Returns once Kafka or the spool has every pack that an event or
        the count of a foreign one is in; the events are counted under `endpoint` then. Raises NotKept.

        origin: the page's, if a page asks; patient: nobody is known to wait for the answer; turn: ends before the
        wait; with_refusals: the answer is a success that promises that all counts of refusals so far are kept too.
        A pixel, one event that nothing awaits, goes this way by callbacks: see PixelEndpoint.take.
        """
        packs: list[asyncio.Future[bool]] = []
        add, append = self.packer.add, packs.append  # each looked up once: a batch may hold thousands
        refused, known, foreign = 0, None, False
        for index, (credential, row) in enumerate(offered):
            if index % PAUSE_EVENTS == PAUSE_EVENTS - 1:
                await asyncio.sleep(0)
            if isinstance(row, Rejection):
                self.refuse(row, credential.site, now_ms)
                continue
            if credential is not known:  # nearly all events of a request are of one site
                known, foreign = credential, self.is_foreign(credential, origin)
            if foreign:
                append(self.refuse_origin(credential, now_ms))
                refused += 1
            else:
                append(add(row, patient=patient))
        accepted = len(packs) - refused
        if with_refusals:
            packs.append(self.packer.refusals_kept())
        if turn is not None:
            turn.end()
        if not await all_kept(packs):
            raise NotKept(sum(not pack.result() for pack in packs))
        self.counts.events[endpoint] += accepted

    def client(self, scope: dict[str, Any], headers: Headers) -> Client:
        """What a request says of its sender, address by the trusted proxies included."""
        return self._client(scope["client"][0], scope["headers"], headers)

    def request_context(self, peer: str, header_list: HeaderList) -> RequestContext:
        """The same with what else a pixel's head says."""
        headers = join_headers(header_list)
        cookies = b""
        # A link of any page leads a person here with their cookie; a picture is no page, so it says nothing then.
        if b"cookie" in headers and headers.get(b"sec-fetch-dest") != b"document":
            cookies = cookies_of(header_list)
        return RequestContext(self._client(peer, header_list, headers), headers.get(b"origin"), cookies)

    def _client(self, peer: str, header_list: HeaderList, headers: Headers) -> Client:
        if self.trusted_proxies:
            peer = client_ip(peer, header_list, self.trusted_proxies, self._proxy_header)
        return read_client(headers, peer)

    def wait_of(self, client: Client, credential: Credential | None) -> float:
        """Take one request of the client's network, and one event of the sender where it is known already: 0.0 where
        they may, else the seconds to wait. To be asked before a body is parsed."""
        now = time.monotonic()
        wait = self.rate_limiter.wait_of_network(client.network, now)
        if not wait and credential is not None and credential.events_per_second_max:
            wait = self.rate_limiter.wait_of_keys(credential.bucket, credential.events_per_second_max, now)
        return wait

    async def open_body(
        self, headers: Headers, body: bytes, client: Client, query: bytes = b"", *, flat: bool = False
    ) -> Turn:
        """A body inflated and charged to its network, before anything of it is parsed. Raises Unacceptable.

        query: of an address that may hold events; flat: see `Turn.open`. End the turn in any case.
        """
        turn, size = Turn(self.heavy, client.network), len(body)
        if size <= TINY_BYTES_MAX and not query and not is_compressed(body, "") and ENCODING not in headers:
            turn.content = body  # too small for a charge or a wait
            return turn
        try:
            await turn.open(body, headers.get(ENCODING, b"").decode("latin-1"), len(query), flat=flat)
            size = len(turn.content)
        except BaseException as problem:
            turn.end()
            if isinstance(problem, Unacceptable) and problem.rejection in (TOO_LARGE, UNREADABLE):
                size = INFLATED_BYTES_MAX  # whatever became of it, so much was inflated
            raise
        finally:
            self.charge_bytes(client, size)
        return turn

    def charge_bytes(self, client: Client, size: int) -> None:
        """Take as many requests of a client's network as a body of so many bytes is worth; it is let in whole."""
        if size >= CHARGED_BYTES:
            self.rate_limiter.charge_network(client.network, size // CHARGED_BYTES, time.monotonic())

    def wait_of_credential(self, credential: Credential) -> float:
        """The same for a sender that only the body named."""
        return self.rate_limiter.wait_of_keys(
            credential.bucket, credential.events_per_second_max, time.monotonic()
        )

    def charge(self, credential: Credential, count: int) -> None:
        """Take further events of a request that was let in; the next one of its keys waits for them."""
        if credential.events_per_second_max:
            self.rate_limiter.charge_keys(
                credential.bucket, credential.events_per_second_max, count, time.monotonic()
            )

    def trust_signed(
        self, credential: Credential, headers: Headers, body: bytes, now_ms: int
    ) -> tuple[Credential, str]:
        """(who a signed body speaks for, the digest its events' ids are made from); unsigned: (sender, "").

        Takes one event of the signer. Raises Unacceptable where the signature is wrong, old or unreadable, and Limited.
        """
        value = headers.get(SIGNATURE)
        if value is None:
            return credential, ""
        secret_key, signer = self.sites.secret_of(credential.site)
        digest = check_signature(value, secret_key, body, now_ms)
        if wait_s := self.wait_of_credential(signer):
            raise Limited(wait_s)
        return signer, digest

    def is_foreign(self, credential: Credential, origin: bytes | None) -> bool:
        """Whether a page of an origin that the site did not declare is sending."""
        return bool(origin) and credential.trust == PUBLIC and not credential.may_come_from(_text(origin))

    def refuse_origin(self, credential: Credential, now_ms: int) -> asyncio.Future[bool]:
        """Count an event of a foreign page. A decision, not an error (docs/protocols/README.md): its sender is answered
        as any other once the count is kept."""
        reason = RefusalReason.ORIGIN_REFUSED
        self.counts.refused[reason] += 1
        return self.packer.refuse_aloud(now_ms // 60_000 * 60, credential.site, reason)

    def cors(self, credential: Credential | None, origin: bytes | None) -> HeaderList:
        """Headers that let a page of a declared origin read the answer; where nobody knows the sender, and for a
        preflight, any site's declaration will do: a page must be able to read what is wrong with its key."""
        if not origin:
            return []
        asked = credential.may_come_from if credential is not None else self.sites.is_origin_declared
        return cors_headers(origin, asked(_text(origin)))

    def preflight(self, headers: Headers, allow: bytes = METHODS) -> HeaderList:
        """The headers that answer OPTIONS; it carries no key, so any site's declaration will do.

        allow: the methods the address takes.
        """
        origin = headers.get(b"origin")
        declared = origin is not None and self.sites.is_origin_declared(_text(origin))
        return preflight_headers(origin, declared, headers.get(b"access-control-request-headers"), allow)

    def refuse(self, why: Rejection, site: str, now_ms: int, count: int = 1) -> None:
        """Count what is not taken; the count travels in the next pack."""
        reason = refusal_reason(why)
        self.counts.refused[reason] += count
        self.packer.refuse(now_ms // 60_000 * 60, site, reason, count)


def _text(origin: bytes | None) -> str:
    return (origin or b"").decode("latin-1")


async def all_kept(packs: Iterable[asyncio.Future[bool]]) -> bool:
    """Whether every pack of a request is kept; packs are few and shared, so each is awaited once."""
    kept = True
    for done in set(packs):
        kept &= await done
    return kept


def refusal_reason(why: Rejection) -> str:
    """The disposition a rejection is counted under: the codes are many, the reasons few."""
    return _REASONS.get(why.code, RefusalReason.INVALID)


_REASONS: dict[str, RefusalReason] = {
    "oversize": RefusalReason.OVERSIZE,
    "body_too_large": RefusalReason.OVERSIZE,
    "unknown_key": RefusalReason.UNKNOWN_KEY,
    "rate_limited": RefusalReason.RATE_LIMITED,
    "unavailable": RefusalReason.UNAVAILABLE,
    **dict.fromkeys(
        (*SIGNATURE_REJECTIONS, "damaged_link", "signature_refused"), RefusalReason.BAD_SIGNATURE
    ),
}


def id_maker() -> MakeId:
    """Makes ids nobody else makes: 96 random bits of this process and a number; uuid4 costs ten times as much."""
    numbers, start = itertools.count(), os.urandom(12).hex()
    return lambda: f"{start}{next(numbers):x}"
