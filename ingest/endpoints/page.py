"""What the endpoints of our own scripts share: JSON with the site's key inside, under any Content-Type; its answer."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import orjson

from ingest.endpoints.intake import Intake
from ingest.protocols.payload import LOOSE_LENGTH_MAX
from ingest.reading.body import BOM, UNREADABLE, load
from ingest.reading.client import Client, Headers, join_headers
from ingest.reading.fields import Unacceptable
from ingest.reading.heavy import Turn
from ingest.reading.key import read_key
from ingest.reading.sites import Credential
from ingest.serving import answers
from ingest.serving.answers import BODY, PATIENT, HeaderList, Receive, Scope, Send
from ingest.serving.arrival import read_body
from ingest.serving.methods import json_methods
from ingest.visitors.rules import VisitorRules, cookies_of


@dataclass(slots=True)
class PageRequest:
    """One request of a page (or, for choices, of a backend)."""

    credential: Credential
    rules: VisitorRules
    client: Client
    origin: bytes | None
    cookies: bytes
    payload: dict[str, Any]  # the body
    now_ms: int
    turn: Turn
    patient: bool  # nobody is known to wait for the answer
    event_count: int = 1  # to be counted where none of them can be kept


Taken = tuple[Any, HeaderList]  # the answer's JSON, further headers


class PageEndpoint(ABC):
    """A plain ASGI callable; what a request means is `take`."""

    name = ""  # in metrics
    methods: tuple[str, ...] = ("POST",)

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._others = json_methods(self.methods, intake.preflight)

    @abstractmethod
    async def take(self, request: PageRequest) -> Taken:
        """The answer, once everything is kept. Raises Unacceptable."""

    def read(self, request: PageRequest) -> Taken:
        """The answer to a GET; endpoints that name GET among their methods have one of their own."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        intake, method = self._intake, scope["method"]
        if method not in self.methods:
            await self._others.answer(scope, send)
            return
        headers: Headers = join_headers(scope["headers"])
        origin = headers.get(b"origin")
        now_ms = int(time.time() * 1000)
        request = turn = None
        try:
            client = intake.client(scope, headers)
            body = b""
            if method != "GET":
                body = await read_body(receive, intake.arrivals, client.network, scope.get(BODY))
            if wait_s := intake.wait_of(client, None):  # before anything is inflated or parsed
                raise answers.Limited(wait_s)
            turn = await intake.open_body(headers, body, client, flat=True)
            payload = await turn.run(read_json, turn.content) if body else {}
            request = self._open(scope, headers, client, payload, turn, now_ms)
            answer, more = self.read(request) if method == "GET" else await self.take(request)
            status, cors = 200, intake.cors(request.credential, origin)
        except Unacceptable as problem:
            why, more = problem.rejection, answers.retry_headers(problem)
            answer, status = why._asdict(), answers.status_of(why)
            site, count = (request.credential.site, request.event_count) if request else ("", 1)
            intake.refuse(why, site, now_ms, count)
            cors = intake.cors(None, origin)  # the key may be unreadable
        finally:
            if turn is not None:
                turn.end()
        intake.counts.hits[self.name, status] += 1
        await answers.send_json(send, status, answer, cors + more)

    def _open(
        self, scope: Scope, headers: Headers, client: Client, payload: dict[str, Any], turn: Turn, now_ms: int
    ) -> PageRequest:
        intake, query = self._intake, scope["query_string"]
        key = payload.get("k") or read_key(headers, query.encode() if isinstance(query, str) else query)
        credential = intake.sites.find(key) if isinstance(key, str) else None
        if credential is None:
            raise Unacceptable(*answers.UNKNOWN_KEY)
        if wait_s := intake.wait_of_credential(credential):
            raise answers.Limited(wait_s)
        cookies = cookies_of(scope["headers"]) if b"cookie" in headers else b""
        rules = intake.reloadable.visitors[credential.site]
        return PageRequest(
            credential,
            rules,
            client,
            headers.get(b"origin"),
            cookies,
            payload,
            now_ms,
            turn,
            scope.get(PATIENT, False),
        )


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises Unacceptable for anything else.

    A page's title may hold half a surrogate pair, which JSON.stringify writes as an escape: it becomes a question
    mark, as one broken character must not cost a beacon.
    """
    try:
        payload = load(body)
    except orjson.JSONDecodeError:
        try:
            if len(body) > LOOSE_LENGTH_MAX:
                raise ValueError
            text = json.dumps(json.loads(body.removeprefix(BOM)), ensure_ascii=False, allow_nan=False)
            payload = orjson.loads(text.encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise Unacceptable(*UNREADABLE) from None
    if not isinstance(payload, dict):
        raise Unacceptable(*UNREADABLE)
    return payload
