"""Where the site key of a POST stands: in its headers, or in its address."""

from __future__ import annotations

import base64
import binascii

from ingest.reading.client import Headers
from ingest.reading.pixel import QUERY_LENGTH_MAX, find_key, parse_query


def read_key(headers: Headers, query: bytes) -> str:
    """The site key of a POST: Bearer, Basic (as user or password), or `k=` in the address; "" for none."""
    scheme, _, rest = headers.get(b"authorization", b"").decode("latin-1").strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip()
        case "basic":
            try:
                user, _, password = (
                    base64.b64decode(rest, validate=True).decode("utf-8", "replace").partition(":")
                )
            except (binascii.Error, ValueError):
                return "?"
            return user or password
    if key := headers.get(b"x-write-key", b"").decode("latin-1"):
        return key
    return find_key(parse_query(query)) if query and len(query) <= QUERY_LENGTH_MAX else ""
