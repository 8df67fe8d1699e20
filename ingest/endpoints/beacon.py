"""`POST /b`: what the tag saw on a page, many events a request; names the visitor and keeps the cookie.

    {"k": key, "page": chance, "link": token, "sent_at": ms, "common": {...}, "events": [{...}, ...]}

Each event is one of `POST /v1/events`; `common` holds the fields they share. `page` is made from chance by each page
view and repeated by a retry; `link` is a token of another domain of the site. Both may be left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from ingest.endpoints.intake import Intake
from ingest.endpoints.linked import arrival
from ingest.endpoints.page import PageEndpoint, PageRequest, Taken
from ingest.reading.body import EVENT_COUNT_MAX, INFLATED_BYTES_MAX, TOO_LARGE
from ingest.reading.fields import Rejection, Unacceptable, invalid
from ingest.reading.heavy import FLAT_BRACES_MAX, FLAT_BYTES_MAX
from ingest.reading.parse import parse_event
from ingest.reading.row import CONSENT, EVENT_ID, Row
from ingest.reading.sites import PUBLIC
from ingest.reading.times import parse_time
from ingest.serving import answers
from ingest.serving.answers import HeaderList
from ingest.visitors.crossdomain import Uses
from ingest.visitors.rules import name_visitor, settle

CHOICES_MAX = 20  # different ones in a beacon: each is judged, and may set the cookie


class BeaconEndpoint(PageEndpoint):
    """The tag's own endpoint."""

    name = "beacon"

    def __init__(self, intake: Intake, uses: Uses) -> None:
        """uses: of links from other domains."""
        super().__init__(intake)
        self._uses = uses

    async def take(self, request: PageRequest) -> Taken:
        """`{"accepted": n}`, and `rejected` with the place, field and fix of each event that cannot be read."""
        intake, credential = self._intake, request.credential
        if credential.trust != PUBLIC:  # a secret key in a page is no secret
            raise Unacceptable(*answers.UNKNOWN_KEY)
        rows, rejected = await self._parse(request)
        for why in rejected:
            intake.refuse(why["why"], credential.site, request.now_ms)
        request.event_count = len(rows)
        intake.require_room()
        more: HeaderList = []
        if not intake.is_foreign(credential, request.origin):
            rows, more = self._name_visitors(request, rows)
            intake.charge(credential, len(rows) - 1)
        await intake.keep(
            self.name,
            [(credential, row) for row in rows],
            request.origin,
            request.now_ms,
            patient=request.patient,
            turn=request.turn,
        )
        answer: dict[str, Any] = {"accepted": len(rows)}
        if rejected:
            answer["rejected"] = [{"index": one["index"], **one["why"]._asdict()} for one in rejected]
        return answer, more

    async def _parse(self, request: PageRequest) -> tuple[list[Row], list[dict[str, Any]]]:
        payload = request.payload
        common, events = payload.get("common") or {}, payload.get("events")
        if not isinstance(events, list) or not isinstance(common, dict):
            raise invalid("events", "a list of events, with what they share in common")
        size = _size(common) * len(
            events
        )  # a small body could be a hundred times itself once it is taken apart
        if len(events) > EVENT_COUNT_MAX or size > INFLATED_BYTES_MAX:
            raise Unacceptable(*TOO_LARGE)
        if size > FLAT_BYTES_MAX or len(events) > FLAT_BRACES_MAX:
            self._intake.charge_bytes(request.client, size)
            await request.turn.grow(size)
        sent_at = parse_time(payload.get("sent_at"), "sent_at")
        return await request.turn.run(_parse_all, request, common, events, sent_at, self._intake.make_id)

    def _name_visitors(self, request: PageRequest, rows: list[Row]) -> tuple[list[Row], HeaderList]:
        page = request.payload.get("page")
        seed: str = page if isinstance(page, str) else rows[0][EVENT_ID] if rows else ""
        arrived = arrival(self._uses, request, seed)
        choices = {row[CONSENT] for row in rows}  # nearly always one
        if len(choices) > CHOICES_MAX:
            raise invalid("consent", f"at most {CHOICES_MAX} different choices in one beacon")
        found = {
            signals: settle(request.rules, signals, request.cookies, request.now_ms, seed, arrived)
            for signals in choices
        }
        headers = [(b"set-cookie", one.set_cookie) for one in found.values() if one.set_cookie]
        headers.sort(key=lambda pair: b"Max-Age=0" in pair[1])  # the last one holds: a withdrawal
        return [name_visitor(row, found[row[CONSENT]].visitor) for row in rows], headers


def _parse_all(
    request: PageRequest, common: dict[str, Any], events: list[Any], sent_at: int, make_id: Callable[[], str]
) -> tuple[list[Row], list[dict[str, Any]]]:
    rows: list[Row] = []
    rejected = []
    for index, item in enumerate(events):
        whole = {**common, **item} if isinstance(item, dict) else item
        parsed = parse_event(whole, request.credential, request.client, request.now_ms, sent_at, make_id())
        if isinstance(parsed, Rejection):
            rejected.append({"index": index, "why": parsed})
        else:
            rows.append(parsed.row)
    return rows, rejected


def _size(common: dict[str, Any]) -> int:
    """Bytes of JSON that each event would repeat. Raises Unacceptable where it is nested too deep to say."""
    try:
        return len(orjson.dumps(common))
    except TypeError:
        raise invalid("common", "fields of an event, nested at most 250 deep") from None
