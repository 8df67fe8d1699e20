"""nginx ingestion's log: one line is one pixel that nginx answered (deploy/nginx/fairpixel.conf.template)."""

from __future__ import annotations

from collections.abc import Callable

from ingest.logs.access_log import SKIPPED, ReadLine
from ingest.logs.formats.json_line import load_object, text_of
from ingest.logs.lines.escapes import bytes_of
from ingest.reading.client import Client, says_one
from ingest.reading.fields import Rejection
from ingest.reading.pixel import parse_pixel, parse_query
from ingest.reading.sites import PUBLIC, Credential
from schemas.event import Flag

GPC, DNT = int(Flag.GPC), int(Flag.DNT)
AHEAD_MS_MAX = 86_400_000  # a clock may be a day ahead


class PixelQueueFormat:
    """Each line becomes the row that the edge's own pixel endpoint would have made of an anonymous hit.

    The time of receipt is nginx's. The id of a hit that named none is the line's own, so a repeat is the same event.
    """

    def __init__(self, find_credential: Callable[[str], Credential | None], now_ms: int) -> None:
        """find_sender: whose key is it, as the sites stand at the time; a line with another key is unreadable."""
        self.now_ms = now_ms
        self._find_credential = find_credential

    def __call__(self, line: bytes, event_id: str) -> ReadLine:
        """See LineReader."""
        record = load_object(line)
        if record is None:
            return None
        get = record.get
        if get("s") != 200 or get("m") != "GET":
            return SKIPPED if type(get("s")) is int and type(get("m")) is str else None
        time, query = get("t"), get("q")
        if (type(time) is not float and type(time) is not int) or type(query) is not str:
            return None
        received_at = round(time * 1000)
        if not 0 < received_at <= self.now_ms + AHEAD_MS_MAX:
            return None
        params = parse_query(bytes_of(query))
        credential = self._find_credential(params.get("k", ""))
        if credential is None or credential.trust != PUBLIC:  # a secret key never lies in a log
            return None
        # Of several lines nginx writes one list.
        flags = (GPC if says_one(text_of(get("g"))) else 0) | (DNT if says_one(text_of(get("d"))) else 0)
        client = Client(_address(text_of(get("n"))), text_of(get("a")), "", text_of(get("p")), flags)
        row = parse_pixel(params, credential, client, received_at, event_id)
        return None if isinstance(row, Rejection) else row


def _address(network: str) -> str:
    """The first address of a network that is written without its zeros: 203.0.113 or 2001:db8:1."""
    if not network:
        return ""
    return f"{network}::" if ":" in network or "." not in network else f"{network}.0"
