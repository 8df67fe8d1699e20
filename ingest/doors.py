"""The hot doors, plain ASGI callables in front of Starlette: the pixel and the native events."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Callable
from typing import Any

from ingest import answers
from ingest.answers import HeaderList, Receive, Scope, Send
from ingest.body import (
    BODY_BYTES_MAX,
    TOO_LARGE,
    UNREADABLE_EVENT,
    UNREADABLE_ITEM,
    Body,
    inflate,
    split_events,
)
from ingest.client import Headers, client_ip, read_client
from ingest.counts import Counts
from ingest.fields import Rejection, Unacceptable
from ingest.live import Live
from ingest.packer import Packer
from ingest.parse import parse_event
from ingest.pixel import QUERY_LENGTH_MAX, find_key, parse_pixel, parse_query
from ingest.sites import PUBLIC, Sender

BODY_SECONDS_MAX = 30  # for a body to arrive
DISCARDED_BYTES_MAX = 100_000_000  # of a body that is too large anyway; beyond it the connection breaks
RETRY: HeaderList = [(b"retry-after", answers.RETRY_AFTER_S)]
MakeId = Callable[[], str]


class PixelDoor:
    """`GET /p.gif`: one event a request; whatever happens, the body is a GIF of 43 bytes."""

    def __init__(
        self,
        live: Live,
        packer: Packer,
        counts: Counts,
        make_id: MakeId,
        trusted_proxies: int,
        events_max: int,
    ) -> None:
        self._live = live
        self._packer = packer
        self._hits = counts.hits
        self._counts = counts
        self._make_id = make_id
        self._trusted_proxies = trusted_proxies
        self._events_max = events_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; 200 only once Kafka or the spool has the event."""
        headers: Headers = dict(scope["headers"])
        if scope["method"] != "GET":
            await self._other_method(scope["method"], headers, send)
            return
        query = scope["query_string"]
        if isinstance(query, str):
            query = query.encode()
        now_ms = int(time.time() * 1000)
        params = parse_query(query if len(query) <= QUERY_LENGTH_MAX else b"")
        sender = self._live.sites.find(find_key(params))
        if sender is None:
            why, status = (answers.UNKNOWN_KEY, 401) if len(query) <= QUERY_LENGTH_MAX else (TOO_LARGE, 413)
            await self._refuse(send, status, why, "", now_ms, [])
            return
        ip = (
            scope["client"][0]
            if not self._trusted_proxies
            else client_ip(scope["client"][0], scope["headers"], self._trusted_proxies)
        )
        origin = headers.get(b"origin")
        row = parse_pixel(params, sender, read_client(headers, ip), now_ms, self._make_id())
        cors = answers.cors_headers(origin, sender.may_come_from(origin.decode("latin-1"))) if origin else []
        if isinstance(row, Rejection):
            await self._refuse(send, 413 if row.code == "oversize" else 400, row, sender.site, now_ms, cors)
            return
        if self._packer.waiting_events >= self._events_max:
            kept = False
        elif origin and sender.trust == PUBLIC and not sender.may_come_from(origin.decode("latin-1")):
            self._counts.refused["origin_refused"] += 1  # a decision, not an error: wire.md, A0
            kept = await self._packer.refuse_aloud(now_ms // 60_000 * 60, sender.site, "origin_refused")
        else:
            kept = await self._packer.add(row)
            self._counts.events["pixel"] += kept
        if kept and not cors:
            self._hits["pixel", 200] += 1
            await send(answers.GIF_START)
            await send(answers.GIF_BODY)
            return
        status = 200 if kept else 503
        self._hits["pixel", status] += 1
        await answers.send_gif(
            send, status, None if kept else answers.SPOOL_FULL, cors if kept else cors + RETRY
        )

    async def _refuse(
        self, send: Send, status: int, why: Rejection, site: str, now_ms: int, cors: HeaderList
    ) -> None:
        self._hits["pixel", status] += 1
        reason = refusal_reason(why)
        self._counts.refused[reason] += 1
        self._packer.refuse(now_ms // 60_000 * 60, site, reason)
        await answers.send_gif(send, status, why, cors)

    async def _other_method(self, method: str, headers: Headers, send: Send) -> None:
        origin = headers.get(b"origin")
        declared = origin is not None and self._live.sites.is_origin_declared(origin.decode("latin-1"))
        if method == "HEAD":  # scanners look without opening: no event
            await answers.send_empty(send, 200, answers.GIF_HEADERS)
        elif method == "OPTIONS":
            await answers.send_empty(
                send,
                204,
                answers.preflight_headers(origin, declared, headers.get(b"access-control-request-headers")),
            )
        else:
            await answers.send_gif(send, 405, answers.WRONG_METHOD, [(b"allow", b"GET, HEAD, OPTIONS")])


class EventsDoor:
    """`POST /v1/events`: one event, a list or NDJSON; each has its own answer, whatever its neighbours are."""

    def __init__(
        self,
        live: Live,
        packer: Packer,
        counts: Counts,
        make_id: MakeId,
        trusted_proxies: int,
        events_max: int,
    ) -> None:
        self._live = live
        self._packer = packer
        self._counts = counts
        self._make_id = make_id
        self._trusted_proxies = trusted_proxies
        self._events_max = events_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; an event is `accepted` only once Kafka or the spool has it."""
        headers: Headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        sites = self._live.sites
        if scope["method"] == "OPTIONS":
            declared = origin is not None and sites.is_origin_declared(origin.decode("latin-1"))
            await answers.send_empty(
                send,
                204,
                answers.preflight_headers(origin, declared, headers.get(b"access-control-request-headers")),
            )
            return
        if scope["method"] != "POST":
            await answers.send_error(send, 405, answers.WRONG_METHOD, [(b"allow", b"POST, OPTIONS")])
            return
        query = scope["query_string"]
        key = read_key(headers, query.encode() if isinstance(query, str) else query)
        sender = sites.find(key)
        now_ms = int(time.time() * 1000)
        cors = answers.cors_headers(
            origin, sender is not None and sender.may_come_from((origin or b"").decode("latin-1"))
        )
        try:
            body = await read_body(receive)
            if key and sender is None:  # before anything is inflated or parsed
                raise Unacceptable(*answers.UNKNOWN_KEY)
            encoding = headers.get(b"content-encoding", b"").decode("latin-1")
            taken = split_events(inflate(body, encoding), headers.get(b"content-type", b"").decode("latin-1"))
            sender = sender or sites.find(taken.key)
            if sender is None:
                raise Unacceptable(*answers.UNKNOWN_KEY)
        except Unacceptable as problem:
            why = problem.rejection
            status = {"unknown_key": 401, "body_too_large": 413}.get(why.code, 400)
            self._count_refusal(why, sender.site if sender else "", now_ms)
            self._counts.hits["events", status] += 1
            await answers.send_error(send, status, why, cors)
            return
        await self._take(scope, headers, sender, taken, now_ms, cors, send)

    async def _take(
        self,
        scope: Scope,
        headers: Headers,
        sender: Sender,
        taken: Body,
        now_ms: int,
        cors: HeaderList,
        send: Send,
    ) -> None:
        if self._packer.waiting_events >= self._events_max:
            await self._answer_503(send, cors)
            return
        origin = headers.get(b"origin")
        refused = (
            bool(origin)
            and sender.trust == PUBLIC
            and not sender.may_come_from((origin or b"").decode("latin-1"))
        )
        client = read_client(headers, client_ip(scope["client"][0], scope["headers"], self._trusted_proxies))
        results: list[dict[str, Any]] = []
        packs: set[asyncio.Future[bool]] = set()
        accepted = 0
        for index, item in enumerate(taken.events):
            if item is UNREADABLE_ITEM:
                parsed: Any = UNREADABLE_EVENT
            else:
                parsed = parse_event(item, sender, client, now_ms, taken.sent_at, self._make_id())
            if isinstance(parsed, Rejection):
                self._count_refusal(parsed, sender.site, now_ms)
                results.append({"index": index, "status": "rejected", **parsed._asdict()})
                continue
            row, warning = parsed
            if refused:
                self._counts.refused["origin_refused"] += 1
                packs.add(self._packer.refuse_aloud(now_ms // 60_000 * 60, sender.site, "origin_refused"))
            else:
                accepted += 1
                packs.add(self._packer.add(row))
            result = {"id": row[0], "status": "accepted"}
            if warning:
                result["detail"] = warning
            results.append(result)
        for done in packs:
            if not await done:
                await self._answer_503(send, cors)
                return
        self._counts.events["events"] += accepted
        self._counts.hits["events", 200] += 1
        answer: dict[str, Any] = {"results": results}
        if taken.warnings:
            answer["detail"] = "; ".join(taken.warnings)
        await answers.send_json(send, 200, answer, cors)

    async def _answer_503(self, send: Send, cors: HeaderList) -> None:
        self._counts.hits["events", 503] += 1
        await answers.send_error(send, 503, answers.SPOOL_FULL, cors + RETRY)

    def _count_refusal(self, why: Rejection, site: str, now_ms: int) -> None:
        reason = refusal_reason(why)
        self._counts.refused[reason] += 1
        self._packer.refuse(now_ms // 60_000 * 60, site, reason)


def refusal_reason(why: Rejection) -> str:
    """The disposition a rejection is counted under: the codes are many, the reasons few."""
    if why.code in ("oversize", "body_too_large"):
        return "oversize"
    return "unknown_key" if why.code == "unknown_key" else "invalid"


def read_key(headers: Headers, query: bytes) -> str:
    """The site key of a POST: Bearer, Basic (as user or password), or `k=` in the address; "" for none."""
    scheme, _, rest = headers.get(b"authorization", b"").decode("latin-1").strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip()
        case "basic":
            try:
                user, _, password = (
                    base64.b64decode(rest, validate=True).decode("utf-8", "replace").partition(":")
                )
            except (binascii.Error, ValueError):
                return "?"
            return user or password
    if key := headers.get(b"x-write-key", b"").decode("latin-1"):
        return key
    return find_key(parse_query(query)) if query and len(query) <= QUERY_LENGTH_MAX else ""


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises Unacceptable where it is too large or does not arrive in time.

    One that is too large is read to its end and thrown away: a client that is still sending would see a broken
    connection instead of the answer.
    """
    message = await receive()
    if (
        not message.get("more_body") and message["type"] == "http.request"
    ):  # nearly always: it came in one piece
        whole: bytes = message.get("body", b"")
        if len(whole) > BODY_BYTES_MAX:
            raise Unacceptable(*TOO_LARGE)
        return whole
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            while True:
                if message["type"] == "http.disconnect":
                    raise Unacceptable(*_BROKEN_OFF)
                part: bytes = message.get("body", b"")
                size += len(part)
                if size <= BODY_BYTES_MAX:
                    parts.append(part)
                if not message.get("more_body") or size > DISCARDED_BYTES_MAX:
                    break
                message = await receive()
    except TimeoutError:
        raise Unacceptable(*_BROKEN_OFF) from None
    if size > BODY_BYTES_MAX:
        raise Unacceptable(*TOO_LARGE)
    return b"".join(parts)


_BROKEN_OFF = Rejection(
    "body_broken_off",
    "The body did not arrive whole.",
    f"body: expected all of it within {BODY_SECONDS_MAX} s",
)
