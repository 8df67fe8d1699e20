"""What Starlette serves: documents, pages, the way of an event; both slash forms, HEAD, OPTIONS, errors as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, request_response

from ingest.endpoints.trace import Traces
from ingest.notice.notice import Notice
from ingest.openapi.asyncapi import build_asyncapi
from ingest.openapi.document import build_openapi
from ingest.openapi.html import CONTENT_SECURITY_POLICY, docs_page, front_page
from ingest.openapi.notice import notice_page
from ingest.reading.client import join_headers
from ingest.reading.fields import Rejection
from ingest.reading.key import read_key
from ingest.reading.sites import Sites
from ingest.serving.answers import Receive, Scope, Send
from ingest.serving.methods import OtherMethods, allow, plain_preflight

Endpoint = Callable[[Request], Awaitable[Response]]

TAKEN = ("GET", "HEAD")
_OTHERS = OtherMethods(allow(TAKEN), plain_preflight)
CACHE = {"cache-control": "public, max-age=300"}
ANY_ORIGIN = {"access-control-allow-origin": "*"}
GPC_SINCE = (
    "2026-11-30"  # when Global Privacy Control began to object to advertising whatever else an event says
)
WHOSE_NOTICE = Rejection(
    "unknown_key",
    "It is not clear whose notice is asked for.",
    "k: expected the public key of a site, such as /privacy.html?k=demo",
)
NOT_FOUND = Rejection(
    "not_found",
    "There is nothing at this address.",
    "path: events go to /p.gif or /v1/events; all addresses stand in /docs and /openapi.json",
)


def build_starlette(routes: Sequence[BaseRoute]) -> Starlette:
    """The application behind the hot endpoints. No redirects: a client that follows one may lose its body."""
    app = Starlette(routes=list(routes), exception_handlers={404: _not_found})
    app.router.redirect_slashes = False
    return app


class _Readable:
    """An address that is read: an ASGI application in front of Starlette's endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = request_response(endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in TAKEN:
            await self._endpoint(scope, receive, send)
        else:
            await _OTHERS.answer(scope, send)


def both_forms(path: str, endpoint: Endpoint) -> list[BaseRoute]:
    """An address that is read, with and without trailing slash."""
    readable, bare = _Readable(endpoint), path.rstrip("/")
    return [Route(form, readable) for form in dict.fromkeys((bare or "/", f"{bare}/"))]


def document_routes() -> list[BaseRoute]:
    """What says how to use the edge."""
    return [
        *both_forms("/", _front_page),
        *both_forms("/docs", _docs),
        *both_forms("/openapi.json", _openapi),
        *both_forms("/asyncapi.json", _asyncapi),
    ]


def trace_routes(traces: Traces, sites: Callable[[], Sites]) -> list[BaseRoute]:
    """`GET /v1/events/{id}`; an id may hold slashes."""

    async def trace(request: Request) -> Response:
        key = read_key(join_headers(request.headers.raw), request.scope["query_string"])
        event_id = request.path_params["id"]
        status, content = await traces.answer(
            event_id.removesuffix("/") or event_id, sites().find(key) if key else None
        )
        headers = {"cache-control": "no-store"}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        if status == 503:
            headers["retry-after"] = "5"
        return _json(content, status, headers)

    return both_forms("/v1/events/{id:path}", trace)[:1]


def notice_routes(notices: Callable[[], Mapping[str, Notice]], sites: Callable[[], Sites]) -> list[BaseRoute]:
    """What a site keeps of its visitors, for them and for programs; and that Global Privacy Control is obeyed."""

    def find(request: Request) -> Notice | None:
        key = read_key(join_headers(request.headers.raw), request.scope["query_string"])
        credential = sites().find(key) if key else None
        if credential is not None:
            return notices().get(credential.site)
        only = list(notices().values())
        return only[0] if len(only) == 1 and not key else None

    async def as_json(request: Request) -> Response:
        notice = find(request)
        if notice is None:
            return _json(WHOSE_NOTICE._asdict(), 404, ANY_ORIGIN)
        return _json(notice, 200, {**CACHE, **ANY_ORIGIN})

    async def as_page(request: Request) -> Response:
        notice = find(request)
        return _html(notice_page(notice)) if notice is not None else _json(WHOSE_NOTICE._asdict(), 404)

    return [
        *both_forms("/privacy.json", as_json),
        *both_forms("/privacy.html", as_page),
        *both_forms("/.well-known/gpc.json", _gpc),
    ]


async def _gpc(_: Request) -> Response:
    """The statement of support that Global Privacy Control asks for (its specification, section 4)."""
    return _json({"gpc": True, "lastUpdate": GPC_SINCE}, 200, CACHE)


async def _front_page(_: Request) -> Response:
    return _html(front_page())


async def _docs(_: Request) -> Response:
    return _html(docs_page(build_openapi()))


async def _openapi(_: Request) -> Response:
    return Response(_encoded(build_openapi), media_type="application/json", headers=CACHE)


async def _asyncapi(_: Request) -> Response:
    return Response(_encoded(build_asyncapi), media_type="application/json", headers=CACHE)


async def _not_found(_: Request, __: Exception) -> Response:
    return _json(NOT_FOUND._asdict(), 404)


def _json(content: object, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(content), status, headers or {"cache-control": "no-store"}, media_type="application/json"
    )


def _html(page: str) -> Response:
    safe = {
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
    return Response(page, media_type="text/html; charset=utf-8", headers={**CACHE, **safe})


@cache
def _encoded(build: Callable[[], object]) -> bytes:
    return orjson.dumps(build(), option=orjson.OPT_INDENT_2)
