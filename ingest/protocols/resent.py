"""Ids for events that come without one: what a browser sends again by itself is the same event.

Chromium repeats a request, a POST too, when its kept connection breaks before an answer (measured by tests/sdks: the
repeat follows within milliseconds, byte for byte). A client without ids would be counted twice.
"""

from __future__ import annotations

from collections import OrderedDict

from ingest.protocol import Ask
from ingest.protocols.payload import derive_id

MOMENT_MS = 2_000  # twice the longest wait for an answer; later than this it is something that happened again
REMEMBERED_MAX = 20_000  # events of a moment; the oldest is forgotten first. About 200 bytes each: 4 MB
FETCH = b"sec-fetch-mode"  # every browser sends it and no page can


class Resent:
    """The events of the last moment at this worker."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._remembered_max = remembered_max
        self._ids: OrderedDict[str, tuple[int, str]] = OrderedDict()  # content -> first seen in ms, id

    def id_of(self, ask: Ask, site: str, protocol: str) -> str | None:
        """The id of this browser's event; the same for the same bytes within a moment. None: no browser sent it.

        Made of the content and the moment of receipt, so that other workers nearly always find the same one.
        """
        if FETCH not in ask.headers:
            return None
        secret, client = ask.sites.id_secret(site), ask.client
        content = [site, ask.body.hex(), client.ip, client.user_agent]
        key = derive_id(secret, protocol, content)
        seen_ms, known = self._ids.get(key, (0, ""))
        if known and 0 <= ask.now_ms - seen_ms <= MOMENT_MS:
            return known
        made = derive_id(secret, protocol, [*content, ask.now_ms // MOMENT_MS])
        self._ids[key] = (ask.now_ms, made)
        self._ids.move_to_end(key)
        if len(self._ids) > self._remembered_max:
            self._ids.popitem(last=False)
        return made
