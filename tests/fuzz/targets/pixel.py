"""The pixel's query string becomes a row that survives a pack."""

from __future__ import annotations

from ingest.reading.fields import Rejection
from ingest.reading.pixel import QUERY_LENGTH_MAX, find_key, parse_pixel, parse_query
from tests.fuzz.pieces import check_rows, stretch
from tests.ingest.builders import BROWSER, NOW_MS, PUBLIC, SECRET

LENGTH_MAX = 2_000
SEEDS = (
    b"\0k=demo&e=purchase&id=1&v=19.90&cur=eur&u=u&a=a&ts=1763799990000&url=https%3A%2F%2Fx%2F&ref=&consent=all&p.x=1",
    b"\0k=demo&e=%00&p.%ff=%&p.a=+&gdpr=1&gdpr_consent=CP&gpp=&us_privacy=1YNN&gcs=G111",
    b"\0writeKey=demo&v=1e400&cur=%C5%BF%C5%BF%C5%BF&ts=-0",
    b"\x89%25",
    b"\xa0p.a=%F0%9F%98%80&",
)
WORDS = (
    b"k=", b"&e=", b"&id=", b"&v=", b"&cur=", b"&ts=", b"&url=", b"&p.", b"&consent=", b"%25", b"%00", b"%ed%a0%80",
    b"1e400", b"NaN", b"%D9%A3", b"&gdpr=",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """A query string, stretched."""
    params = parse_query(stretch(data)[:QUERY_LENGTH_MAX])
    find_key(params)
    rows = [parse_pixel(params, credential, BROWSER, NOW_MS, "made") for credential in (PUBLIC, SECRET)]
    check_rows([row for row in rows if not isinstance(row, Rejection)])
