"""The door of every compatible protocol: body in, its own reading, events kept, its own answer."""

from __future__ import annotations

import time

from ingest import answers
from ingest.answers import HeaderList, Receive, Scope, Send
from ingest.arrival import read_body
from ingest.body import inflate
from ingest.client import Headers
from ingest.fields import Unacceptable
from ingest.intake import Intake, all_kept
from ingest.protocol import Answer, Ask, Reading, Route, error_answer

BODILESS = frozenset({"GET", "HEAD"})


class ProtocolDoor:
    """All routes of one path, by method; a plain ASGI callable."""

    def __init__(self, intake: Intake, routes: list[Route]) -> None:
        """routes: of one path; the first that takes the method answers."""
        self._intake = intake
        self._by_method = {method: route for route in reversed(routes) for method in route.methods}
        self._allow = ", ".join(sorted({*self._by_method, "HEAD", "OPTIONS"})).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a success only once Kafka or the spool has its events."""
        headers: Headers = dict(scope["headers"])
        method = scope["method"]
        if method == "OPTIONS":
            await answers.send_empty(send, 204, self._intake.preflight(headers))
            return
        route = self._by_method.get(method)
        if route is None:
            if method == "HEAD" and "GET" in self._by_method:  # scanners look without opening: no event
                await answers.send_empty(send, 200, [answers.NEVER_CACHED])
            else:
                await answers.send_error(send, 405, answers.WRONG_METHOD, [(b"allow", self._allow)])
            return
        answer = await self._answer(route, scope, headers, receive)
        self._intake.counts.hits[route.protocol, answer.status] += 1
        await send_answer(send, answer, self._cors(headers))

    async def _answer(self, route: Route, scope: Scope, headers: Headers, receive: Receive) -> Answer:
        intake, now_ms = self._intake, int(time.time() * 1000)
        try:
            body = b"" if scope["method"] in BODILESS else await read_body(receive)
            body = inflate(body, headers.get(b"content-encoding", b"").decode("latin-1"))
        except Unacceptable as problem:
            intake.refuse(problem.rejection, "", now_ms)
            too_large = problem.rejection.code == "body_too_large"
            return error_answer(problem.rejection, 413 if too_large else 400)
        ask = self._ask(route, scope, headers, body, now_ms)
        if intake.is_full:
            return error_answer(answers.SPOOL_FULL, 503, answers.RETRY)
        return await self._keep(route, route.read(ask), headers.get(b"origin"), now_ms)

    def _ask(self, route: Route, scope: Scope, headers: Headers, body: bytes, now_ms: int) -> Ask:
        intake, query = self._intake, scope["query_string"]
        path = scope["path"].rstrip("/")
        return Ask(
            scope["method"],
            path.removeprefix(f"/{route.protocol}") if path != f"/{route.protocol}" else "/",
            query.encode() if isinstance(query, str) else query,
            headers,
            body,
            intake.client(scope, headers),
            now_ms,
            intake.sites,
            intake.make_id,
            scope.get("path_params", {}),
        )

    async def _keep(self, route: Route, reading: Reading, origin: bytes | None, now_ms: int) -> Answer:
        intake = self._intake
        for site, why in reading.refusals:
            intake.refuse(why, site, now_ms)
        packs, accepted = [], 0
        for sender, row in reading.rows:
            if intake.is_foreign(sender, origin):
                packs.append(intake.refuse_origin(sender, now_ms))
            else:
                packs.append(intake.packer.add(row))
                accepted += 1
        if not await all_kept(packs):
            return error_answer(answers.SPOOL_FULL, 503, answers.RETRY)
        intake.counts.events[route.protocol] += accepted
        return reading.answer

    def _cors(self, headers: Headers) -> HeaderList:
        """As for a preflight, where any site's declaration will do: bodies and paths carry keys in many places."""
        origin = headers.get(b"origin")
        if not origin:
            return []
        return answers.cors_headers(origin, self._intake.sites.is_origin_declared(origin.decode("latin-1")))


async def send_answer(send: Send, answer: Answer, more: HeaderList) -> None:
    """An answer with its length."""
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body)), *more]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
