"""`/v1/consent`: a choice given, changed or withdrawn, kept as proof; and `/v1/link`, for who goes to another domain.

A choice is an event of its own, of kind `system`, which no other endpoint makes. It is kept whatever it says, with the
keyed hash of the visitor and the purposes, as a controller must be able to show it (GDPR, article 7).
"""

from __future__ import annotations

import os
from typing import Any

from ingest.endpoints.intake import Intake
from ingest.endpoints.linked import arrival
from ingest.endpoints.page import PageEndpoint, PageRequest, Taken
from ingest.reading.fields import (
    SHORT_LENGTH_MAX,
    Rejection,
    Unacceptable,
    invalid,
    parse_id,
    parse_signals,
    parse_text,
)
from ingest.reading.parse import parse_event
from ingest.reading.row import KIND, Row, with_text
from ingest.reading.sites import PUBLIC
from ingest.serving.answers import HeaderList
from ingest.visitors.crossdomain import NONCE_BYTES, Uses, encode_token, link_key
from ingest.visitors.rules import Settled, decide_choice, host_of, name_visitor, settle
from schemas.consent import SIGNALS, Basis, Purpose
from schemas.event import CONSENT_CHOICE, SYSTEM, Flag

FORWARDED = ("url", "ts", "sent_at", "visitor_id", "user_id", *SIGNALS)  # into the event as they are
OPTED_OUT = int(Flag.GPC | Flag.DNT)


class ChoiceEndpoint(PageEndpoint):
    """`POST /v1/consent` keeps a choice and sets or ends the cookie; `GET` says what this browser chose."""

    name = "consent"
    methods = ("GET", "POST")

    def __init__(self, intake: Intake, uses: Uses) -> None:
        """uses: of links from other domains, as a choice may be the first that is heard of who came over one."""
        super().__init__(intake)
        self._uses = uses

    async def take(self, request: PageRequest) -> Taken:
        """`{"proof": id, "consent": {purpose: bool}, "at": ms}`, once the choice is kept."""
        intake, payload = self._intake, request.payload
        signals = parse_signals(payload)
        if not signals:
            raise Unacceptable(
                "missing_field",
                "The request names no choice.",
                'consent: expected "all", "none", purposes by comma, or an object such as {"measurement": true}',
            )
        proof = parse_id(payload.get("id"), "id") or intake.make_id()
        page = payload.get("page")
        arrived = arrival(self._uses, request, page if isinstance(page, str) and page else proof)
        settled = Settled()
        if not intake.is_foreign(request.credential, request.origin):
            settled = settle(request.rules, signals, request.cookies, request.now_ms, proof, arrived)
        purposes = purposes_of(request, signals)
        row = self._row(request, proof, signals, settled, purposes)
        intake.require_room()
        await intake.keep(self.name, [(request.credential, row)], request.origin, request.now_ms)
        more: HeaderList = [(b"set-cookie", settled.set_cookie)] if settled.set_cookie else []
        return {"proof": proof, "consent": _answered(purposes), "at": request.now_ms}, more

    def read(self, request: PageRequest) -> Taken:
        """`{"consent": {purpose: bool} or null, "at": ms or null, "opted_out": bool}` from the cookie and the headers.

        null: this browser did not agree to anything that is kept here; a refusal leaves no cookie.
        """
        visit = request.rules.read_visit(request.cookies, request.now_ms // 1000)
        opted_out = bool(request.client.flags & OPTED_OUT)
        if visit is None or self._intake.is_foreign(request.credential, request.origin):
            return {"consent": None, "at": None, "opted_out": opted_out}, []
        chosen = {"consent": _answered(visit.purposes), "at": visit.chosen_at * 1000, "opted_out": opted_out}
        return chosen, []

    def _row(
        self, request: PageRequest, proof: str, signals: str, settled: Settled, purposes: tuple[Purpose, ...]
    ) -> Row:
        payload = request.payload
        properties = {
            "purposes": ",".join(purposes),
            "decided": decide_choice(request.rules, signals).row,
            "signals": ",".join(name for name in SIGNALS if payload.get(name)),
            "text_version": parse_text(payload.get("text_version"), "text_version", SHORT_LENGTH_MAX),
            "by": parse_text(payload.get("by"), "by", SHORT_LENGTH_MAX),
        }
        event: dict[str, Any] = {name: payload[name] for name in FORWARDED if name in payload}
        event |= {
            "event": CONSENT_CHOICE,
            "id": proof,
            "properties": {k: v for k, v in properties.items() if v},
        }
        parsed = parse_event(event, request.credential, request.client, request.now_ms, 0, proof)
        if isinstance(parsed, Rejection):
            raise Unacceptable(*parsed)
        row = with_text(parsed.row, KIND, SYSTEM)
        visit = request.rules.read_visit(request.cookies, request.now_ms // 1000)
        return name_visitor(row, settled.visitor or (visit.visitor if visit else ""))


def purposes_of(request: PageRequest, signals: str) -> tuple[Purpose, ...]:
    """What a choice allows; a choice nobody understands allows the necessary."""
    decision = decide_choice(request.rules, signals)
    return decision.purposes if decision.basis is Basis.CONSENTED else (Purpose.NECESSARY,)


def _answered(purposes: tuple[Purpose, ...]) -> dict[str, bool]:
    return {purpose.value: purpose in purposes or purpose is Purpose.NECESSARY for purpose in Purpose}


class LinkEndpoint(PageEndpoint):
    """`POST /v1/link`: a token for a visitor on the way to another domain of the site, `{"k": key, "to": host}`."""

    name = "link"

    async def take(self, request: PageRequest) -> Taken:
        """`{"token": text}`; null where there is no consent, no cookie that we signed, or one of the two domains is not
        declared. Whoever could make a token for a visitor of their choice could make a person be that visitor."""
        to = request.payload.get("to")
        if not isinstance(to, str) or not to:
            raise invalid("to", "the host of the other domain, such as blog.example")
        visit = request.rules.read_visit(request.cookies, request.now_ms // 1000)
        agreed = visit is not None and visit.is_signed and Purpose.MEASUREMENT in visit.purposes
        if visit is None or not agreed or not self._may_go(request, to.lower()):
            return {"token": None}, []
        key = link_key(request.rules.secret)
        return {"token": encode_token(visit, to, key, os.urandom(NONCE_BYTES), request.now_ms)}, []

    def _may_go(self, request: PageRequest, to: str) -> bool:
        """Whether a page of one of the site's domains asks for the way to another of them."""
        linked, here = request.rules.linked_domains, host_of(request.origin)
        is_page = request.credential.trust == PUBLIC and not self._intake.is_foreign(
            request.credential, request.origin
        )
        return is_page and here in linked and to in linked and to != here
