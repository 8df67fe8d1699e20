"""Addresses of pages and of people: places, queries, channels and networks in bounded time, and fast equals plain."""

from __future__ import annotations

from ipaddress import ip_address

from ingest.reading.fields import parse_address
from ingest.reading.network import network_of
from streams.steps.ip import truncate_all, truncate_ip
from streams.steps.urls import channel_of, keep_query, read_place, referrer_host_of
from tests.fuzz.pieces import take_text

LENGTH_MAX = 2_000
_KEYS = frozenset({"utm_source", "utm_medium", "utm_campaign", "page", "q"})
SEEDS = (
    b"\0https://ann:pw@shop.example:443/a;b=1?utm_source=x&page=%2520&q=ann%40x.example#f", b"\0//[::1]:80/\\@x",
    b"\xc0a@", b"\xc0//", b"\xc0%25", b"\xc0&q=", b"\xc0a:", b"\0203.0.113.7", b"\0::ffff:203.0.113.7", b"\xc0:0",
    b"\xc00.", b"\0fe80::1%eth0", b"\0" + "٢٠٣.0.113.7".encode(), b"\xc0utm_source=",
)  # fmt: skip
WORDS = (
    b"://",
    b"@",
    b"?",
    b"&utm_source=",
    b"&q=",
    b"%25",
    b"%40",
    b"[",
    b"]:",
    b"::ffff:",
    b"255.",
    b"\xd9\xa3",
    b";",
    b"#",
)


def fuzz(data: bytes) -> None:
    """A text, stretched."""
    text = take_text(data)
    address, _, query = text.partition("?")
    place = read_place(address)
    assert len(place.host) <= 253
    assert place.host == place.host.lower() or not place.host.isascii()
    kept = keep_query(query, _KEYS)
    channel_of(("pixel", place.host, referrer_host_of(text), kept.utm_source, kept.utm_medium))
    short = truncate_ip(text)
    assert truncate_all([text]) == [short]
    assert not short or int(ip_address(short)) % 256 == 0
    parse_address(text)
    network_of(text)
