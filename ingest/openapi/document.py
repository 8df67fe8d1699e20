"""The OpenAPI 3.1 document of the edge, built from the code's own limits, names and codes; served at /openapi.json."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ingest.endpoints.routes import ROUTES
from ingest.openapi.events import JSON, event_paths, header
from ingest.openapi.pages import page_paths, page_schemas
from ingest.openapi.schemas import CODES, build_schemas, ref, text
from ingest.protocols.protocol import Route
from ingest.reading.codes import CODE_MEANING
from ingest.reading.fields import Rejection
from ingest.serving.answers import status_of

Part = dict[str, Any]

VERSION = "1.0.0"
INTRODUCTION = """\
Takes hits of browsers, events of backends and lines of logs. **A 2xx means kept**: Kafka has acknowledged the
event, or it lies on the edge's disk, synced. A decision by policy (no consent, a page of a foreign origin) is
answered with 200 as well and counted.

Every address answers with and without a trailing slash, and takes `HEAD` and `OPTIONS` beside the methods
below, which make no event; nothing is ever redirected but a mail's click. Errors are JSON with `code`,
`message` and `detail`; pixels carry them in headers, as their body stays a picture. After a 429 or a 503 send
the same again, with the same ids, after the seconds of `Retry-After`: a repeat is one event.

A **public key** stands in a page and may say what happened. The **secret key** belongs to a backend and may
also say who: address, agent, and times that are taken as they are. Compatible clients need a new host and key,
nothing else: their addresses are listed by protocol at the end, and how their fields become ours is described
in `docs/protocols`.
"""


def build_openapi(routes: Iterable[Route] = ROUTES) -> Part:
    """The whole document. routes: of the compatible protocols."""
    return {
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {"title": "Fairpixel edge", "version": VERSION, "description": INTRODUCTION},
        "servers": [{"url": "/", "description": "this edge"}],
        "tags": [
            {"name": "events", "description": "what happened, one at a time or thousands at once"},
            {"name": "pages", "description": "the tag on a page, the consent dialog, and what they send"},
            {"name": "mail", "description": "opens, clicks, and webhooks of mail services"},
            {"name": "operation", "description": "for people and programs that run the edge"},
            {"name": "compatible", "description": "addresses of other trackers' clients, answered as those expect"},
        ],
        "paths": {**event_paths(), **page_paths(), **_operation(), **_compatible(routes)},
        "components": {
            "schemas": {**build_schemas(), **page_schemas()},
            "responses": _responses(),
            "headers": {
                "RetryAfter": {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 1}},
                "Code": {"description": "the error's code", "schema": CODES},
                "Detail": {"description": "the field and the fix", "schema": {"type": "string"}},
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "a site's public or secret key"},
                "basic": {"type": "http", "scheme": "basic", "description": "the key as user, no password"},
                "writeKey": {"type": "apiKey", "in": "header", "name": "X-Write-Key"},
                "queryKey": {"type": "apiKey", "in": "query", "name": "k",
                             "description": "public keys only: addresses end up in logs"},
            },
        },
    }  # fmt: skip


def _operation() -> Part:
    status = {
        "type": "object",
        "required": ["status"],
        "properties": {"status": text("one word"), "reasons": {"type": "array", "items": {"type": "string"}}},
    }
    answer = {JSON: {"schema": status}}
    return {
        "/healthz": _get(
            "isAlive", "Whether this process makes progress", {"200": ("it does", answer), "503": ("stuck", answer)}
        ),
        "/readyz": _get(
            "isReady",
            "Whether hits can be accepted",
            {"200": ("they can", answer), "503": ("not now; `reasons` says why", answer)},
        ),
        "/metrics": _get(
            "metrics",
            "Numbers in Prometheus form",
            {
                "200": ("docs/metrics.md explains each", {"text/plain": {"schema": {"type": "string"}}}),
                "403": ("asked from another machine", {JSON: {"schema": ref("Error")}}),
            },
        ),
        "/openapi.json": _get("openapi", "This document", {"200": ("", {JSON: {"schema": {"type": "object"}}})}),
        "/asyncapi.json": _get(
            "asyncapi", "The Kafka topics, as AsyncAPI 3.0", {"200": ("", {JSON: {"schema": {"type": "object"}}})}
        ),
        "/docs": _get(
            "docs", "This document as a page", {"200": ("", {"text/html": {"schema": {"type": "string"}}})}
        ),
        "/privacy.json": _get(
            "notice",
            "What a site keeps of its visitors, made from its live policy; `k` names the site",
            {
                "200": ("what, why, how long, which cookie, how to withdraw", {JSON: {"schema": {"type": "object"}}}),
                "404": ("no site has this key", {JSON: {"schema": ref("Error")}}),
            },
        ),
        "/privacy.html": _get(
            "noticePage",
            "The same as a page for visitors",
            {
                "200": ("", {"text/html": {"schema": {"type": "string"}}}),
                "404": ("no site has this key", {JSON: {"schema": ref("Error")}}),
            },
        ),
        "/.well-known/gpc.json": _get(
            "gpc", "That Global Privacy Control is obeyed", {"200": ("", {JSON: {"schema": {"type": "object"}}})}
        ),
        "/": _get(
            "front", "What this is", {"200": ("", {"text/html": {"schema": {"type": "string"}}})}
        ),
    }  # fmt: skip


def _get(operation_id: str, summary: str, responses: dict[str, tuple[str, Part]]) -> Part:
    return {
        "get": {
            "tags": ["operation"],
            "operationId": operation_id,
            "summary": summary,
            "responses": {
                status: {"description": description or summary, "content": content}
                for status, (description, content) in responses.items()
            },
        }
    }


_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def _compatible(routes: Iterable[Route]) -> Part:
    """Each path under its protocol's prefix; what it takes and answers is the protocol's own affair."""
    paths: Part = {}
    for number, route in enumerate(routes):
        path = _plain(f"/{route.protocol}{route.path}".rstrip("/"))
        bare = f" Also without the prefix, at `{_plain(route.path)}`." if route.bare else ""
        item = paths.setdefault(path, {})
        for method in route.methods:
            item.setdefault(
                method.lower(),
                {
                    "tags": ["compatible"],
                    "operationId": f"{route.protocol}{number}{method.capitalize()}",
                    "summary": f"{route.protocol}: as its clients send it",
                    "description": f"How it becomes our event: docs/protocols/{route.protocol}.md.{bare}",
                    "parameters": [
                        {
                            "name": name,
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string", "minLength": 1},
                        }
                        for name in _PARAMETER.findall(path)
                    ],
                    "responses": {"default": {"description": "as the protocol's clients expect it"}},
                },
            )
    return paths


def _plain(path: str) -> str:
    """`/{name:path}` as OpenAPI writes it."""
    return _PARAMETER.sub(r"{\1}", path)


STATUS_MEANING = {
    "400": "The request cannot be read as a whole.",
    "401": "No key, an unknown one, or one that may not do this; or a signature that does not fit.",
    "404": "There is nothing at this address.",
    "408": "The body did not arrive whole, or not in time.",
    "413": "Too large.",
    "429": "Too many at once: send it again after Retry-After.",
    "503": "Not at the moment: send it again after Retry-After. Nothing of the request was promised.",
}


def _responses() -> Part:
    return {
        f"Error{status}": {
            "description": f"{meaning} Codes: {', '.join(_codes(status))}" if _codes(status) else meaning,
            "content": {JSON: {"schema": ref("Error")}},
            **({"headers": {"Retry-After": header("RetryAfter")}} if status in ("429", "503") else {}),
        }
        for status, meaning in STATUS_MEANING.items()
    }


def _codes(status: str) -> list[str]:
    """The codes of requests that are refused as a whole under a status; 400 is what no other status has."""
    return [code for code in CODE_MEANING if str(status_of(Rejection(code, "", ""))) == status != "400"]
