"""The edge's endpoints in memory, and how long the loop is held while one of them answers."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from ingest.counts import Counts
from ingest.endpoints.events import EventsEndpoint
from ingest.endpoints.intake import Intake
from ingest.endpoints.page_paths import page_endpoints
from ingest.endpoints.routes import ROUTES, build_endpoints
from ingest.mail.opens import mail_rules
from ingest.mail.webhooks import webhook_routes
from ingest.reading.sites import Sites
from ingest.settings import EdgeSettings
from ingest.visitors.rules import visitor_rules
from runtime.config import parse_config
from runtime.secrets import Secrets
from tests.ingest.builders import Sent, packer

CONFIG = parse_config("[sites.demo]\n")
SECRETS = Secrets(
    "", b"x" * 32, {"demo": "sk-demo"}, {"demo": {"mandrill_key": "m", "mailchimp_secret": "c"}}
)


@contextmanager
def measured() -> Iterator[list[float]]:
    """How long each call of the loop took, s of its own thread's CPU: other threads and other programs do not count.

    What earlier tests left is not looked through for garbage meanwhile, as an edge freezes what it begins with.
    """
    took, run = [0.0], asyncio.events.Handle._run

    def timed(handle: asyncio.events.Handle) -> None:
        before = time.thread_time()
        run(handle)
        took.append(time.thread_time() - before)

    gc.collect()
    gc.freeze()
    asyncio.events.Handle._run = timed  # type: ignore[method-assign]
    try:
        yield took
    finally:
        gc.unfreeze()
        asyncio.events.Handle._run = run  # type: ignore[method-assign]


class Endpoints:
    """All endpoints of an edge whose packs are kept at once."""

    def __init__(self, **settings: Any) -> None:
        self.sent = Sent()
        reloadable = SimpleNamespace(
            sites=Sites.of(CONFIG, SECRETS.site_secret_keys, b"x" * 32),
            visitors=visitor_rules(CONFIG, b"x" * 32),
        )
        self.packer = packer(self.sent)
        self.intake = Intake(reloadable, self.packer, Counts(), EdgeSettings(**settings), lambda: "made")  # type: ignore[arg-type]
        mail = mail_rules(CONFIG, SECRETS)
        self.endpoints: dict[str, Any] = {
            **build_endpoints(self.intake, (*ROUTES, *webhook_routes(lambda: mail)))[0],
            **page_endpoints(self.intake, SimpleNamespace(begin=lambda *_: True, find=lambda _: None)),  # type: ignore[arg-type]
            "/v1/events": EventsEndpoint(self.intake),
        }

    async def ask(
        self, path: str, body: bytes = b"", headers: dict[str, str] | None = None, client: str = "203.0.113.9"
    ) -> tuple[int, bytes, float]:
        """(status, body, the longest the loop was held meanwhile, s of its CPU)."""
        path, _, query = path.partition("?")
        given = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {
            "type": "http", "method": "POST" if body else "GET", "path": path, "query_string": query.encode(),
            "headers": given, "client": (client, 4711), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        task = asyncio.ensure_future(self.endpoints[path](scope, receive, send))
        with measured() as held:
            while not task.done():
                await asyncio.sleep(0.001)
                self.packer.flush()
                self.sent.settle_all()
        await task
        return said[0]["status"], said[1].get("body", b""), max(held)
