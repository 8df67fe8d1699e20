"""The endpoints of mails: `GET /o/<token>.gif`, the open pixel, and `GET /c/<token>`, the click redirect."""

from __future__ import annotations

import time
from typing import NamedTuple
from urllib.parse import parse_qs

from ingest.endpoints.intake import Intake, NotKept
from ingest.mail.links import CLICK, OPEN, MailLink, decode_link, safe_target
from ingest.mail.opens import Looks, judge, make_mail_row
from ingest.reading.client import Headers, join_headers, read_flags
from ingest.reading.fields import Rejection
from ingest.reading.row import SITE, Row
from ingest.reading.sites import PUBLIC, Credential
from ingest.serving import answers
from ingest.serving.answers import HeaderList, Receive, Scope, Send
from ingest.serving.methods import OtherMethods, allow
from schemas.drops import RefusalReason
from schemas.event import TEXT_LENGTH_MAX

DAMAGED = Rejection(
    "damaged_link",
    "This link is damaged, or it is not one of ours.",
    "Go back to the mail and follow the link there; the sender makes links with: fairpixel mail-link",
)
FOREIGN_TARGET = Rejection(
    "target_refused",
    "This link leads to an address its sender did not name.",
    "u: expected an http or https address on a host of click_hosts in fairpixel.toml, or a link with a signed target",
)
TAKEN = ("GET", "HEAD")
ENDPOINTS = {OPEN: "mail_open", CLICK: "mail_click"}  # in metrics


class Look(NamedTuple):
    """One look at a mail's link: the row it becomes, and where it leads."""

    row: Row
    target: str


def mail_endpoints(intake: Intake) -> dict[str, OpenEndpoint | ClickEndpoint]:
    """Path with {token} -> endpoint, with and without trailing slash; both share the memory of who fetched what."""
    looks = Looks()
    opened, clicked = OpenEndpoint(intake, looks), ClickEndpoint(intake, looks)
    return {"/o/{token}": opened, "/o/{token}/": opened, "/c/{token}": clicked, "/c/{token}/": clicked}


class _MailEndpoint:
    """What both endpoints do: from a request to the look it is, and from a look to Kafka or the spool."""

    def __init__(self, intake: Intake, looks: Looks) -> None:
        self._intake = intake
        self._looks = looks
        self._others = OtherMethods(allow(TAKEN), intake.preflight)

    def _read(self, scope: Scope, kind: str, token: str, now_ms: int) -> Look | Rejection:
        reloadable = self._intake.reloadable
        link = decode_link(token, reloadable.link_key, kind)
        rules = reloadable.mail.get(link.site) if link is not None else None
        if link is None or rules is None:
            return DAMAGED
        target = ""
        if kind == CLICK:
            target = safe_target(link.target) or safe_target(_asked_target(scope), rules.click_hosts)
            if not target:
                return FOREIGN_TARGET
        headers: Headers = join_headers(scope["headers"])
        agent = headers.get(b"user-agent", b"")[:TEXT_LENGTH_MAX].decode("latin-1")
        return Look(self._make_row(link, target, agent, headers, scope["method"] == "HEAD", now_ms), target)

    def _make_row(
        self, link: MailLink, target: str, agent: str, headers: Headers, is_head: bool, now_ms: int
    ) -> Row:
        links_seen, head_seen = self._looks.record(link, target, now_ms, is_head=is_head)
        judgement = judge(link.kind, agent, now_ms - link.sent_at, links_seen=links_seen, head_seen=head_seen)
        return make_mail_row(
            link, target, judgement, PUBLIC, read_flags(headers), self._intake.reloadable.link_key, now_ms
        )

    def _wait(self, scope: Scope) -> float:
        """Seconds until the client's network may ask again; 0.0 where it may now."""
        return self._intake.wait_of(self._intake.client(scope, join_headers(scope["headers"])), None)

    async def _keep(self, look: Look, kind: str, now_ms: int) -> bool:
        """False where there is no room. Anybody's client may fetch what is in a mail: no origin is foreign."""
        intake, site = self._intake, Credential(look.row[SITE], PUBLIC)
        try:
            intake.require_room()
            await intake.keep(ENDPOINTS[kind], [(site, look.row)], None, now_ms)
        except NotKept:
            return False
        return True

    def _count(self, kind: str, status: int, why: Rejection | None = None, now_ms: int = 0) -> None:
        self._intake.counts.hits[ENDPOINTS[kind], status] += 1
        if why is not None:
            self._intake.refuse(why, "", now_ms)


class OpenEndpoint(_MailEndpoint):
    """`GET /o/<token>.gif`: whatever happens, the body is the GIF."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; 200 only once Kafka or the spool has the event."""
        if scope["method"] not in TAKEN:
            await self._others.answer(scope, send)
            return
        now_ms = _now_ms()
        if wait_s := self._wait(scope):
            self._count(OPEN, 429, answers.RATE_LIMITED, now_ms)
            await answers.send_gif(send, 429, answers.RATE_LIMITED, answers.retry_after(wait_s))
            return
        look = self._read(scope, OPEN, scope["path_params"]["token"].removesuffix(".gif"), now_ms)
        if isinstance(look, Rejection):
            self._count(OPEN, 400, look, now_ms)
            await answers.send_gif(send, 400, look)
        elif scope["method"] == "HEAD":  # scanners look without opening: no event
            await answers.send_empty(send, 200, answers.GIF_HEADERS)
        elif await self._keep(look, OPEN, now_ms):
            self._count(OPEN, 200)
            await answers.send_gif(send)
        else:
            self._count(OPEN, 503)
            await answers.send_gif(send, 503, answers.SPOOL_FULL, answers.RETRY)


class ClickEndpoint(_MailEndpoint):
    """`GET /c/<token>`: to the signed target, or to that of `u=` where its host is declared; nowhere else."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; 302 once Kafka or the spool has the event.

        When neither has room, or the network is over its rate, the person gets to the page all the same, and the lost
        click is counted.
        """
        if scope["method"] not in TAKEN:
            await self._others.answer(scope, send)
            return
        now_ms = _now_ms()
        look = self._read(scope, CLICK, scope["path_params"]["token"], now_ms)
        if isinstance(look, Rejection):
            self._count(CLICK, 400, look, now_ms)
            await _send_page(send, look)
            return
        if scope["method"] == "GET":
            if self._wait(scope) or not await self._keep(look, CLICK, now_ms):
                self._intake.counts.refused[RefusalReason.CLICK_LOST] += 1
                self._intake.packer.refuse(now_ms // 60_000 * 60, look.row[SITE], RefusalReason.CLICK_LOST)
            self._count(CLICK, 302)
        location = (b"location", look.target.encode("ascii"))
        await answers.send_empty(send, 302, [location, answers.NEVER_CACHED, (b"content-length", b"0")])


def _asked_target(scope: Scope) -> str:
    """`u=` of the address; "" where it is missing or said twice."""
    query = scope["query_string"]
    text = query if isinstance(query, str) else query.decode("latin-1")
    try:
        found = parse_qs(text, errors="strict", max_num_fields=20).get("u", [])
    except ValueError:  # no UTF-8, or more fields than any link of ours has
        return ""
    return found[0] if len(found) == 1 else ""


async def _send_page(send: Send, why: Rejection) -> None:
    """A refusal for the person who followed the link, and its code for their tools."""
    headers: HeaderList = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-fairpixel-code", why.code.encode()),
        answers.NEVER_CACHED,
    ]
    body = f"{why.message}\n{why.detail}\n".encode()
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _now_ms() -> int:
    return int(time.time() * 1000)
