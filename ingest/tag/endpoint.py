"""The scripts a site owner's page loads: read, made small and compressed once, when the edge starts."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import minify

from ingest.counts import Counts
from ingest.reading.client import join_headers
from ingest.serving.answers import HeaderList, Receive, Scope, Send
from ingest.serving.methods import OtherMethods, allow, plain_preflight

SOURCES = Path(__file__).parent
NAMES = ("t.js", "consent.js", "links.js")
CACHE = b"public, max-age=3600, stale-while-revalidate=86400"  # a new version is everywhere within the hour


@dataclass(frozen=True, slots=True)
class Script:
    """One script as it is served."""

    plain: bytes
    zipped: bytes
    tag: bytes  # ETag


def build_script(source: str) -> Script:
    """Make a script small. Raises minify.MinifyError where it is no JavaScript."""
    plain = minify.string("text/javascript", source).encode()
    return Script(plain, gzip.compress(plain, 9, mtime=0), b'"%s"' % sha256(plain).hexdigest()[:16].encode())


def build_scripts() -> dict[str, Script]:
    """All scripts, by name."""
    return {name: build_script((SOURCES / name).read_text("utf-8")) for name in NAMES}


class ScriptEndpoint:
    """`GET /t.js` and the like; any page may load them, nothing in them depends on who asks."""

    def __init__(self, script: Script, counts: Counts) -> None:
        self._script = script
        self._hits = counts.hits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method, headers = scope["method"], join_headers(scope["headers"])
        if method not in ("GET", "HEAD"):
            await _OTHERS.answer(scope, send)
            return
        zips = b"gzip" in headers.get(b"accept-encoding", b"")
        known = self._script.tag in headers.get(b"if-none-match", b"")
        body = self._script.zipped if zips else self._script.plain
        status = 304 if known else 200
        self._hits["tag", status] += 1
        more: HeaderList = [] if known else [(b"content-length", b"%d" % len(body)), _TYPE]
        if zips and not known:
            more.append((b"content-encoding", b"gzip"))
        await send({
            "type": "http.response.start", "status": status, "headers": [(b"etag", self._script.tag), *_FIXED, *more]
        })  # fmt: skip
        await send({"type": "http.response.body", "body": b"" if known or method == "HEAD" else body})


_OTHERS = OtherMethods(allow(("GET",)), plain_preflight)
_TYPE = (b"content-type", b"text/javascript; charset=utf-8")
_FIXED: HeaderList = [
    (b"cache-control", CACHE),
    (b"vary", b"Accept-Encoding"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"access-control-allow-origin", b"*"),
]
