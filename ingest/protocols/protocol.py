"""What a compatible protocol is to us: routes, each with a pure function from a request to rows and an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ingest.reading.body import INFLATED_BYTES_MAX
from ingest.reading.client import Client, Headers
from ingest.reading.fields import Rejection
from ingest.reading.pixel import GIF
from ingest.reading.row import Row
from ingest.reading.sites import Credential, Sites
from ingest.serving.answers import GIF_HEADERS, HeaderList


class TooMuchInside(Exception):
    """More came out of the body than `Ask.inner_bytes_max`: to be read again with more, where nobody waits."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a client, its body whole and inflated."""

    method: str  # GET or POST; HEAD and OPTIONS never get here
    path: str  # without the protocol's prefix and without a trailing slash
    query: bytes
    headers: Headers
    body: bytes
    client: Client  # the HTTP request's own address, agent, language, page and flags
    now_ms: int
    sites: Sites
    make_id: Callable[[], str]
    path_params: Mapping[str, str] = field(default_factory=dict)
    inner_bytes_max: int = INFLATED_BYTES_MAX  # of what is compressed inside body or query


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: HeaderList = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a protocol made of a request; `answer` is sent once every row is kept."""

    answer: Answer
    rows: list[tuple[Credential, Row]] = field(default_factory=list)
    refusals: list[tuple[str, Rejection]] = field(default_factory=list)  # site ("" for none), why
    on_kept: Callable[[int], None] | None = None  # told when every row is kept (ms since 1970)


Read = Callable[[Ask], Reading]
# Why, and the usual status (400, 401, 408, 413, 429, 503) -> what this client stands.
Refuse = Callable[[Rejection, int], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One path of a protocol. Served with and without trailing slash, bare and under `/<protocol>`."""

    protocol: str  # as in the column `protocol`; names the endpoint in metrics
    path: str  # such as /v1/batch; with {parameters} it is served by Starlette
    methods: tuple[str, ...]
    read: Read
    busy_status: int = 429  # for "too many"; 503 where the client would lose the event on a 429
    bare: bool = True  # also without the prefix
    is_pixel: bool = False  # its GET is a picture
    # For a body that is too large; another where the client would send on 413 for ever.
    oversize_status: int = 413
    # Answers a request that `read` never saw; None: the error as JSON, the GIF on a GET.
    refuse: Refuse | None = None


def json_answer(content: Any, status: int = 200, headers: HeaderList | None = None) -> Answer:
    """An answer as JSON, never cached."""
    return Answer(
        status,
        orjson.dumps(content),
        [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *(headers or [])],
    )


def text_answer(text: str, status: int = 200, headers: HeaderList | None = None) -> Answer:
    """An answer as plain text."""
    return Answer(status, text.encode(), [(b"content-type", b"text/plain; charset=utf-8"), *(headers or [])])


def gif_answer(status: int = 200) -> Answer:
    """The pixel."""
    return Answer(status, GIF, [pair for pair in GIF_HEADERS if pair[0] != b"content-length"])


def error_answer(why: Rejection, status: int, headers: HeaderList | None = None) -> Answer:
    """An error as JSON with `code`, `message` and `detail` (docs/protocols/README.md): rudder-py retries a 400 without
    `code`."""
    return json_answer(why._asdict(), status, headers)
