"""The endpoint of native events, `POST /v1/events`: a plain ASGI callable in front of Starlette."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import repeat
from typing import Any, NamedTuple

from ingest.endpoints.intake import Intake, NotKept
from ingest.reading.body import (
    UNREADABLE_EVENT,
    UNREADABLE_ITEM,
    Body,
)
from ingest.reading.client import Client, Headers, join_headers
from ingest.reading.cloudevents import split_body
from ingest.reading.fields import Rejection, Unacceptable
from ingest.reading.heavy import Turn
from ingest.reading.key import read_key
from ingest.reading.parse import Parsed, parse_event
from ingest.reading.row import EVENT_ID
from ingest.reading.signature import HEADER as SIGNATURE
from ingest.reading.signature import generated_id
from ingest.reading.sites import Credential
from ingest.serving import answers
from ingest.serving.answers import HeaderList, Receive, Scope, Send
from ingest.serving.arrival import read_body
from ingest.serving.methods import json_methods


class _Post(NamedTuple):
    """One request to the events endpoint, opened."""

    credential: Credential
    client: Client
    origin: bytes | None
    taken: Body
    turn: Turn
    digest: str  # of its signature; "" for none
    patient: bool  # nobody is known to wait for the answer
    now_ms: int
    cors: HeaderList


class EventsEndpoint:
    """`POST /v1/events`: one event, a list or NDJSON; each has its own answer, whatever its neighbours are."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._counts = intake.counts
        self._others = json_methods(("POST",), intake.preflight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; an event is `accepted` only once Kafka or the spool has it."""
        if scope["method"] != "POST":
            await self._others.answer(scope, send)
            return
        headers: Headers = join_headers(scope["headers"])
        now_ms = int(time.time() * 1000)
        client = self._intake.client(scope, headers)
        query = scope["query_string"]
        key = read_key(headers, query.encode() if isinstance(query, str) else query)
        credential = self._intake.sites.find(key)
        cors = self._intake.cors(credential, headers.get(b"origin"))
        turn = None
        try:
            body = await read_body(receive, self._intake.arrivals, client.network, scope.get(answers.BODY))
            known = None if SIGNATURE in headers else credential  # a signed body counts for who signed it
            if wait_s := self._intake.wait_of(client, known):  # before anything is inflated or parsed
                raise answers.Limited(wait_s)
            if key and credential is None:
                raise Unacceptable(*answers.UNKNOWN_KEY)
            digest = ""
            if credential is not None:
                credential, digest = self._intake.trust_signed(credential, headers, body, now_ms)
            turn = await self._intake.open_body(headers, body, client, flat=True)
            taken = await turn.run(split_body, headers, turn.content)
            if credential is None:
                credential, digest = self._find_credential(headers, body, taken, now_ms)
            self._intake.charge(credential, len(taken.events) - 1)
            cors = self._intake.cors(credential, headers.get(b"origin"))  # now that it is known for certain
            patient = scope.get(answers.PATIENT, False)
            await self._take(
                _Post(credential, client, headers.get(b"origin"), taken, turn, digest, patient, now_ms, cors),
                send,
            )
        except Unacceptable as problem:
            why, count = problem.rejection, problem.event_count if isinstance(problem, NotKept) else 1
            self._intake.refuse(why, credential.site if credential else "", now_ms, count)
            status = answers.status_of(why)
            self._counts.hits["events", status] += 1
            await answers.send_error(send, status, why, cors + answers.retry_headers(problem))
        finally:
            if turn is not None:
                turn.end()

    def _find_credential(
        self, headers: Headers, body: bytes, taken: Body, now_ms: int
    ) -> tuple[Credential, str]:
        """(whom a body with the key inside speaks for, the digest of its signature or ""). Raises Unacceptable."""
        intake = self._intake
        named = intake.sites.find(taken.key)
        if named is None:
            raise Unacceptable(*answers.UNKNOWN_KEY)
        credential, digest = intake.trust_signed(named, headers, body, now_ms)
        if not digest and (wait_s := intake.wait_of_credential(credential)):
            raise answers.Limited(wait_s)
        return credential, digest

    async def _take(self, post: _Post, send: Send) -> None:
        intake = self._intake
        intake.require_room(len(post.taken.events))
        found = await post.turn.run(_parse_all, post, intake.make_id)
        offered = [one if isinstance(one, Rejection) else one.row for one in found]
        await intake.keep(
            "events",
            zip(repeat(post.credential), offered, strict=False),
            post.origin,
            post.now_ms,
            patient=post.patient,
            turn=post.turn,
        )
        self._counts.hits["events", 200] += 1
        answer: dict[str, Any] = {"results": [_result(index, one) for index, one in enumerate(found)]}
        if post.taken.warnings:
            answer["detail"] = "; ".join(post.taken.warnings)
        await answers.send_json(send, 200, answer, post.cors)


def _parse_all(post: _Post, make_id: Callable[[], str]) -> list[Parsed | Rejection]:
    found: list[Parsed | Rejection] = []
    for index, item in enumerate(post.taken.events):
        if item is UNREADABLE_ITEM:
            found.append(UNREADABLE_EVENT)
            continue
        made = generated_id(post.digest, index) if post.digest else make_id()
        found.append(parse_event(item, post.credential, post.client, post.now_ms, post.taken.sent_at, made))
    return found


def _result(index: int, parsed: Parsed | Rejection) -> dict[str, Any]:
    """The answer to one event, once it is kept."""
    if isinstance(parsed, Rejection):
        return {"index": index, "status": "rejected", **parsed._asdict()}
    result = {"id": parsed.row[EVENT_ID], "status": "accepted"}
    if parsed.warning:
        result["detail"] = parsed.warning
    return result
