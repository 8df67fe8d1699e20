"""An edge with two domains of one site, and pages with its tag."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from schemas.event import Event
from tests.browser.chromium import Pages, Watched, browser, context
from tests.ingest.edges import Edge, ends

__all__ = ["browser", "context", "pages", "shop"]

SITE = """
[sites.shop]
origins = ["{shop}", "{blog}"]
linked_domains = ["shop.localhost", "blog.localhost"]
"""


@pytest.fixture(scope="package")
def pages() -> Iterator[Pages]:
    with Pages() as one:
        yield one


@pytest.fixture(scope="package")
def edge(kafka: str, pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    one = Edge(tmp_path_factory.mktemp("edge"), kafka)
    site = SITE.format(shop=pages.origin(), blog=pages.origin("blog.localhost"))
    (one.data / "fairpixel.toml").write_text(site)
    with one:
        yield one


@dataclass
class Shop:
    """A shop with the tag, a visitor's browser, and what the edge kept of the visit."""

    edge: Edge
    pages: Pages
    context: BrowserContext
    bootstrap: str
    start: list[Any]
    watched: Watched = field(init=False)

    def __post_init__(self) -> None:
        self.watched = Watched.of(self.context, self.edge.port)

    @property
    def page(self) -> Page:
        return self.watched.page

    def tag(self, host: str = "shop.localhost", **attributes: str) -> str:
        """The one line a site owner pastes."""
        said = "".join(f' data-{name}="{value}"' for name, value in attributes.items())
        return f'<script async src="http://edge.{host}:{self.edge.port}/t.js" data-key="shop"{said}></script>'

    def visit(self, path: str, host: str = "shop.localhost") -> Page:
        self.page.goto(self.pages.origin(host) + path)
        return self.page

    def sent(self) -> list[Event]:
        """What the edge kept since the test began, in order of receipt."""
        return sorted(self.edge.events(self.start), key=lambda event: (event.received_at, event.occurred_at))

    def await_sent(self, *names: str) -> list[Event]:
        """The first copies, as soon as they have these names in any order; fails with what there was.

        A beacon that was under way when the page went may have a copy: same id, a duplicate further on.
        """

        def first_copies() -> list[Event]:
            firsts: dict[str, Event] = {}
            for event in self.sent():
                firsts.setdefault(event.event_id, event)
            return list(firsts.values())

        return self._await(first_copies, lambda found: sorted(e.name for e in found) == sorted(names))

    def await_copies(self, count: int) -> list[Event]:
        """Everything, as soon as it is so many."""
        return self._await(self.sent, lambda found: len(found) == count)

    def _await(self, look: Callable[[], list[Event]], enough: Callable[[list[Event]], bool]) -> list[Event]:
        deadline = time.monotonic() + 8
        while not enough(found := look()):
            assert time.monotonic() < deadline, (
                f"found {[(event.name, event.event_id[:4]) for event in found]}"
            )
            self.page.wait_for_timeout(20)  # the browser goes on only while it is waited for
        return found

    def cookies(self) -> list[Any]:
        return list(self.context.cookies())


@pytest.fixture
def shop(edge: Edge, pages: Pages, context: BrowserContext, kafka: str) -> Shop:
    edge.await_topic()  # what the test before sent belongs to it
    return Shop(edge, pages, context, kafka, ends(kafka))
