"""The endpoint of every compatible protocol: body in, its own reading, events kept, its own answer."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

from ingest.endpoints.intake import Intake, NotKept
from ingest.protocols.protocol import Answer, Ask, Reading, Route, TooMuchInside, error_answer, gif_answer
from ingest.reading.body import INFLATED_BYTES_MAX
from ingest.reading.client import Client, Headers, join_headers
from ingest.reading.fields import Unacceptable
from ingest.reading.heavy import SMALL_BYTES_MAX, Turn
from ingest.reading.key import read_key
from ingest.reading.sites import Credential
from ingest.serving import answers
from ingest.serving.answers import HeaderList, Receive, Scope, Send
from ingest.serving.arrival import read_body
from ingest.serving.methods import OtherMethods, allow

BODILESS = frozenset({"GET", "HEAD"})


class ProtocolEndpoint:
    """All routes of one path, by method; a plain ASGI callable."""

    def __init__(self, intake: Intake, routes: list[Route]) -> None:
        """routes: of one path; the first that takes the method answers."""
        self._intake = intake
        self._by_method = {method: route for route in reversed(routes) for method in route.methods}
        get = self._by_method.get("GET")
        look = answers.GIF_HEADERS if get is not None and get.is_pixel else [answers.NEVER_CACHED]
        self._others = OtherMethods(
            allow(sorted({*self._by_method, "HEAD", "OPTIONS"})),
            lambda headers, allowed: self._intake.preflight(headers, allowed),
            lambda headers: look + self._cors(headers),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a success only once Kafka or the spool has its events."""
        route = self._by_method.get(scope["method"])
        if route is None:
            await self._others.answer(scope, send)
            return
        headers: Headers = join_headers(scope["headers"])
        answer = await self._answer(route, scope, headers, receive)
        self._intake.counts.hits[route.protocol, answer.status] += 1
        await send_answer(send, answer, self._cors(headers))

    async def _answer(self, route: Route, scope: Scope, headers: Headers, receive: Receive) -> Answer:
        intake, now_ms = self._intake, int(time.time() * 1000)
        client, query = intake.client(scope, headers), scope["query_string"]
        if isinstance(query, str):
            query = query.encode()
        credential: Credential | None = None
        turn = None
        try:
            body = b""
            if scope["method"] not in BODILESS:
                body = await read_body(receive, intake.arrivals, client.network)
            credential = intake.sites.find(read_key(headers, query))
            if wait_s := intake.wait_of(client, credential):  # before anything is inflated or parsed
                raise answers.Limited(wait_s)
            turn = await intake.open_body(headers, body, client, query)
            intake.require_room()
            ask = self._ask(route, scope, headers, query, turn.content, client, now_ms)
            reading = await self._read(route, ask, turn)
            self._admit(reading, credential)
            for site, why in reading.refusals:
                intake.refuse(why, site, now_ms)
            await intake.keep(
                route.protocol,
                reading.rows,
                headers.get(b"origin"),
                now_ms,
                patient=scope.get(answers.PATIENT, False),
                turn=turn,
                # A success promises that the count is kept.
                with_refusals=bool(reading.refusals) and reading.answer.status < 400,
            )
            if reading.on_kept is not None:
                reading.on_kept(int(time.time() * 1000))
            return reading.answer
        except Unacceptable as problem:
            intake.refuse(problem.rejection, credential.site if credential else "", now_ms)
            answer = refuse(route, scope["method"], headers, problem)
            if answer.status < 400 and not await intake.packer.refusals_kept():  # a success is a promise
                answer = refuse(route, scope["method"], headers, NotKept(1))
            return answer
        finally:
            if turn is not None:
                turn.end()

    async def _read(self, route: Route, ask: Ask, turn: Turn) -> Reading:
        """What the protocol makes of the request; beside the loop where that takes long."""
        if not turn.is_large:
            try:
                return route.read(replace(ask, inner_bytes_max=SMALL_BYTES_MAX))
            except TooMuchInside:
                self._intake.charge_bytes(ask.client, INFLATED_BYTES_MAX)
                await turn.grow(INFLATED_BYTES_MAX)
        return await turn.run(route.read, ask)

    def _ask(
        self,
        route: Route,
        scope: Scope,
        headers: Headers,
        query: bytes,
        body: bytes,
        client: Client,
        now_ms: int,
    ) -> Ask:
        intake, path = self._intake, scope["path"].rstrip("/")
        return Ask(
            scope["method"],
            path.removeprefix(f"/{route.protocol}") if path != f"/{route.protocol}" else "/",
            query,
            headers,
            body,
            client,
            now_ms,
            intake.sites,
            intake.make_id,
            scope.get("path_params", {}),
        )

    def _admit(self, reading: Reading, known: Credential | None) -> None:
        """Take the events of each site from its rate. Raises Limited where one has none left.

        known: the sender of header or query; one event of it is taken already.
        """
        counts = Counter(credential for credential, _ in reading.rows if credential.events_per_second_max)
        for credential, count in counts.items():
            if credential != known and (wait_s := self._intake.wait_of_credential(credential)):
                raise answers.Limited(wait_s)
            self._intake.charge(credential, count - 1)

    def _cors(self, headers: Headers) -> HeaderList:
        """As where nobody knows the sender: bodies and paths carry keys in many places."""
        return self._intake.cors(None, headers.get(b"origin"))


def refuse(route: Route, method: str, headers: Headers, problem: Unacceptable) -> Answer:
    """The answer to a request that is not taken, in the form its client stands; "later" says when.

    A GET is a picture in a page, unless a browser asks for a page: its body is the GIF, and headers say what is wrong.
    """
    why = problem.rejection
    status = answers.status_of(why)
    status = {429: route.busy_status, 413: route.oversize_status}.get(status, status)
    if route.refuse is not None:
        answer = route.refuse(why, status)
    elif method == "GET" and b"text/html" not in headers.get(b"accept", b""):
        answer = gif_answer(status)
        answer = replace(answer, headers=[*answer.headers, *answers.why_headers(why)])
    else:
        answer = error_answer(why, status)
    return replace(answer, headers=[*answer.headers, *answers.retry_headers(problem)])


async def send_answer(send: Send, answer: Answer, more: HeaderList) -> None:
    """An answer with its length."""
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body)), *more]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
