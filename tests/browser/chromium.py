"""A real Chromium for tests of pages, and the pages: a small server of their HTML, under hosts of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

ARGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    """One browser a file: while playwright is open, no other test of this process can run an event loop."""
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium, args=list(ARGS))
        yield one
        one.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A person without a past."""
    one = browser.new_context()
    one.set_default_timeout(10_000)
    yield one
    one.close()


@dataclass
class Pages:
    """Serves each HTML under its path, on any host that ends in .localhost (RFC 6761: this machine)."""

    html: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Pages:
        html = self.html

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = html.get(self.path.partition("?")[0], "").encode()
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, path: str, head: str, body: str = "<h1>Shoes</h1>") -> str:
        """A page; returns its path."""
        self.html[path] = f"<!doctype html><html lang=en><title>Shoes</title><head>{head}</head><body>{body}"
        return path

    def origin(self, host: str = "shop.localhost") -> str:
        return f"http://{host}:{self.port}"


@dataclass
class Watched:
    """A page, and what it asked of the edge, its scripts apart."""

    page: Page
    requests: list[Request] = field(default_factory=list)

    @classmethod
    def of(cls, context: BrowserContext, edge_port: int) -> Watched:
        one = cls(context.new_page())

        def note(request: Request) -> None:
            if f":{edge_port}/" in request.url and not request.url.endswith(".js"):
                one.requests.append(request)

        context.on("request", note)
        return one
