"""What tests of the compatible endpoints do again and again: post, look at the rows, make bodies up."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import orjson
from hypothesis import strategies as st

from ingest.endpoints.routes import ROUTES
from ingest.protocols.protocol import Reading
from schemas.event import Event
from tests.ingest.protocols.recorded import read

SECRET = "shop-secret"


def basic(key: str) -> dict[str, str]:
    """The header by which Segment's and RudderStack's SDKs say their key."""
    return {"Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}"}


def post(
    path: str, body: object, headers: Mapping[str, str] | None = None, query: str = "", method: str = "POST"
) -> Reading:
    """A request to the edge, by all its routes. body: bytes as they are, anything else as JSON."""
    encoded = body if isinstance(body, bytes) else orjson.dumps(body)
    return read(ROUTES, method, path, query, headers, encoded)


def events(reading: Reading) -> list[Event]:
    """The rows as people see them."""
    return [Event(*row) for _, row in reading.rows]


def codes(reading: Reading) -> list[str]:
    """Why events were refused."""
    return [why.code for _, why in reading.refusals]


scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=20)  # lone surrogates too
    | st.sampled_from(
        ["", "0", "null", "shop", "2025-11-22T08:20:00Z", "Order Completed", "$identify", "all"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def objects(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these names, each holding anything."""
    return st.dictionaries(st.sampled_from(names), values, max_size=8)
