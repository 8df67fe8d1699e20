"""Ids for events that come without one: what a browser sends again by itself is the same event.

Chromium repeats a request, a POST too, when its kept connection breaks before an answer (measured by tests/sdks: the
repeat follows within milliseconds, byte for byte), and again when that one breaks. A client without ids would be
counted twice. So a moment is counted from the last answer, which may have taken long, and not from the first request.
"""

from __future__ import annotations

from collections import OrderedDict

from ingest.protocols.payload import derive_id
from ingest.protocols.protocol import Ask

# After an answer; later than this it is something that happened again. The repeat came after 0.1 s on a quiet machine,
# after 0.5 s on one with four times the work of its cores.
MOMENT_MS = 5_000
UNANSWERED_MS_MAX = 30_000  # a request is under way for so long at most, and what was refused may come again
REMEMBERED_MAX = 20_000  # events of a moment; the oldest is forgotten first. About 200 bytes each: 4 MB
FETCH = b"sec-fetch-mode"  # every browser sends it and no page can


class Resent:
    """The events of the last moment at this worker."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._remembered_max = remembered_max
        # content -> (until when in ms it is the same event, id)
        self._ids: OrderedDict[str, tuple[int, str]] = OrderedDict()

    def id_of(self, ask: Ask, site: str, protocol: str) -> str | None:
        """The id of this browser's event; the same for the same bytes until a moment after they were answered. None: no
        browser sent it.

        Made of the content and the moment of receipt, so that other workers nearly always find the same one.
        """
        if FETCH not in ask.headers:
            return None
        content = _content(ask, site)
        key = derive_id(ask.sites.id_secret(site), protocol, content)
        until_ms, known = self._ids.get(key, (0, ""))
        if ask.now_ms <= until_ms <= ask.now_ms + UNANSWERED_MS_MAX:
            return known
        made = derive_id(ask.sites.id_secret(site), protocol, [*content, ask.now_ms // MOMENT_MS])
        self._ids[key] = (ask.now_ms + UNANSWERED_MS_MAX, made)
        self._ids.move_to_end(key)
        if len(self._ids) > self._remembered_max:
            self._ids.popitem(last=False)
        return made

    def answered(self, ask: Ask, site: str, protocol: str, now_ms: int) -> None:
        """The event of this request is kept and answered: from now on the moment runs."""
        key = derive_id(ask.sites.id_secret(site), protocol, _content(ask, site))
        if key in self._ids:
            self._ids[key] = (now_ms + MOMENT_MS, self._ids[key][1])


def _content(ask: Ask, site: str) -> list[str]:
    return [site, ask.body.hex(), ask.client.ip, ask.client.user_agent]
