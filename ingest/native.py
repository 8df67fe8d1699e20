"""What Starlette serves: documents, pages, the way of an event; both slash forms, HEAD, OPTIONS, errors as JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import cache

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ingest.endpoints.pixel_events import read_key
from ingest.endpoints.trace import Traces
from ingest.openapi.asyncapi import build_asyncapi
from ingest.openapi.document import build_openapi
from ingest.openapi.html import CONTENT_SECURITY_POLICY, docs_page, front_page
from ingest.reading.fields import Rejection
from ingest.reading.sites import Sites
from ingest.serving.answers import WRONG_METHOD

Endpoint = Callable[[Request], Awaitable[Response]]

METHODS = ("GET", "HEAD", "OPTIONS")
CACHE = {"cache-control": "public, max-age=300"}
NOT_FOUND = Rejection(
    "not_found",
    "There is nothing at this address.",
    "path: events go to /p.gif or /v1/events; all addresses stand in /docs and /openapi.json",
)


def build_starlette(routes: Sequence[BaseRoute]) -> Starlette:
    """The application behind the hot endpoints. No redirects: a client that follows one may lose its body."""
    app = Starlette(routes=list(routes), exception_handlers={404: _not_found, 405: _wrong_method})
    app.router.redirect_slashes = False
    return app


def both_forms(path: str, endpoint: Endpoint) -> list[BaseRoute]:
    """An address that is read, with and without trailing slash; OPTIONS is answered for it."""

    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"allow": ", ".join(METHODS)})
        return await endpoint(request)

    bare = path.rstrip("/")
    return [Route(form, answer, methods=METHODS) for form in dict.fromkeys((bare or "/", f"{bare}/"))]


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
        key = read_key(dict(request.headers.raw), request.scope["query_string"])
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


async def _wrong_method(_: Request, problem: Exception) -> Response:
    allow = (problem.headers or {}).get("Allow", "") if isinstance(problem, HTTPException) else ""
    return _json(WRONG_METHOD._asdict(), 405, {"allow": ", ".join(sorted(allow.split(", ")))})


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
