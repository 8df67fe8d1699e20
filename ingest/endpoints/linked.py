"""Who came to a page over a link from another domain of its site: asked at most once, and only with consent."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from ingest.endpoints.page import PageRequest
from ingest.visitors.cookies import Visit
from ingest.visitors.crossdomain import Uses, claim, decode_token, link_key
from ingest.visitors.rules import host_of


def arrival(uses: Uses, request: PageRequest, page: str) -> Callable[[], Visit | None]:
    """Asks for the visit that the request's `link` tells of, once it is known that it may be asked for.

    page: names the page view; it may say its token again.
    """

    token = request.payload.get("link")
    if not isinstance(token, str):  # nearly always
        return _nobody

    @cache
    def arrived() -> Visit | None:
        host = host_of(request.origin)
        if host not in request.rules.linked_domains:
            return None
        secret = request.rules.secret
        found = decode_token(token, host, link_key(secret))
        if found is None or not claim(uses, secret, token, page, found[1], request.now_ms):
            return None
        return found[0]

    return arrived


def _nobody() -> Visit | None:
    return None
