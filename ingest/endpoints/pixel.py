"""The pixel's endpoint, `GET /p.gif`: one event a request, taken without a task of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from ingest.endpoints.intake import Intake
from ingest.reading.body import TOO_LARGE
from ingest.reading.client import RequestContext
from ingest.reading.fields import Rejection
from ingest.reading.pixel import QUERY_LENGTH_MAX, find_key, parse_pixel, parse_query
from ingest.serving import answers
from ingest.serving.answers import KEPT, GifAnswer, HeaderList, Receive, Scope, Send, why_headers
from ingest.serving.methods import OtherMethods, allow
from ingest.visitors.rules import resolve_visitor

_NOTHING: HeaderList = []  # never changed

OnAnswer = Callable[[GifAnswer], None]


class PixelEndpoint:
    """`GET /p.gif`: one event a request; whatever happens, the body is a GIF of 43 bytes."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._hits = intake.counts.hits
        self._others = OtherMethods(
            allow(("GET",)), intake.preflight, lambda _: answers.GIF_HEADERS, is_picture=True
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request by ASGI."""
        if scope["method"] != "GET":
            await self._others.answer(scope, send)
            return
        answered: asyncio.Future[GifAnswer] = asyncio.get_running_loop().create_future()

        def answer(one: GifAnswer) -> None:
            if not answered.done():  # the request's task may have been ended
                answered.set_result(one)

        request_context = self._intake.request_context(scope["client"][0], scope["headers"])
        self.take(scope["query_string"], request_context, answer, patient=scope.get(answers.PATIENT, False))
        status, more = await answered
        await answers.send_gif(send, status, None, more)

    def take(
        self, query: bytes, request_context: RequestContext, answer: OnAnswer, *, patient: bool = False
    ) -> None:
        """One hit. `answer` is called once, at once or later; with 200 only when Kafka or the spool has the event.

        patient: nobody is known to wait for it.
        """
        now_ms = int(time.time() * 1000)
        is_long = len(query) > QUERY_LENGTH_MAX
        params = parse_query(b"" if is_long else query)
        intake = self._intake
        credential = intake.sites.find(find_key(params))
        cors = intake.cors(credential, request_context.origin) if request_context.origin else _NOTHING
        if wait_s := intake.wait_of(request_context.client, credential):
            site, retry = credential.site if credential is not None else "", answers.retry_after(wait_s)
            self._refuse(answer, 429, answers.RATE_LIMITED, site, now_ms, cors + retry)
            return
        if credential is None:
            why, status = (TOO_LARGE, 413) if is_long else (answers.UNKNOWN_KEY, 401)
            self._refuse(answer, status, why, "", now_ms, cors)
            return
        row = parse_pixel(params, credential, request_context.client, now_ms, intake.make_id())
        if isinstance(row, Rejection):
            status = 413 if row.code == "oversize" else 400
            self._refuse(answer, status, row, credential.site, now_ms, cors)
            return
        # From here on as Intake.keep, for one event and by callbacks, so that a hit needs neither a task nor a future.
        if intake.is_full:
            self._refuse(answer, 503, answers.SPOOL_FULL, credential.site, now_ms, cors + answers.RETRY)
            return
        if request_context.origin and intake.is_foreign(credential, request_context.origin):
            count_kept = intake.refuse_origin(credential, now_ms)
            settled = partial(self._settled, answer, credential.site, now_ms, cors, 0)
            count_kept.add_done_callback(lambda done: settled(done.result()))
            return
        if request_context.cookies:  # else nobody is known, and there is nothing to end
            row, ended = resolve_visitor(
                intake.reloadable.visitors[credential.site], row, request_context.cookies, now_ms
            )
            cors = cors + ended
        intake.packer.put(
            row, partial(self._settled, answer, credential.site, now_ms, cors, 1), patient=patient
        )

    def _settled(
        self, answer: OnAnswer, site: str, now_ms: int, cors: HeaderList, event_count: int, kept: bool
    ) -> None:
        if not kept:
            self._refuse(answer, 503, answers.SPOOL_FULL, site, now_ms, cors + answers.RETRY)
            return
        self._intake.counts.events["pixel"] += event_count
        self._hits["pixel", 200] += 1
        answer(GifAnswer(200, cors) if cors else KEPT)

    def _refuse(
        self, answer: OnAnswer, status: int, why: Rejection, site: str, now_ms: int, more: HeaderList
    ) -> None:
        self._hits["pixel", status] += 1
        self._intake.refuse(why, site, now_ms)
        answer(GifAnswer(status, more + why_headers(why)))
