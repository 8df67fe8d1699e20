"""Cookies and tokens: what a browser sends names a visitor whole or not at all."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from ingest.mail.links import decode_link, safe_target
from ingest.reading.client import client_ip, read_client
from ingest.reading.fields import Unacceptable
from ingest.reading.key import read_key
from ingest.reading.network import network_of
from ingest.reading.signature import check_signature
from ingest.serving.answers import HeaderList
from ingest.visitors.cookies import Visit, delete_cookie, read_visit, set_cookie
from ingest.visitors.crossdomain import decode_token
from ingest.visitors.rules import cookies_of, host_of
from schemas.consent import Purpose

LENGTH_MAX = 2_000
_NOW_S, _KEY = 0x69000000, b"k" * 32
_OURS = Visit("ab" * 16, _NOW_S, _NOW_S, (Purpose.NECESSARY, Purpose.MEASUREMENT))
SEEDS = (
    set_cookie("demo", _OURS, _KEY, _NOW_S),
    b"fp_demo=" + b"ab" * 16 + b".69000000.69000000.mn; other=1",
    b"fp_demo=" + b"ab" * 16 + b".fffffffff.0.nnnn",
    b"https://shop.example:8080", b"https://[::1", b"https://shop.example/a?b=%20#c",
    b"https://shop.example:x@evil.example/", b"t=1762656256,v1=00", b"//[v1.x]/", b"null", b"https://xn--\xff.example",
    b"Basic //8=", b"Basic OmRlbW8=", b"Bearer demo",
    b"203.0.113.7, [2001:db8::1]:4711", b'for="[2001:db8::1]:4711";proto=https, for=_hidden',
    b"A" * 90,
)  # fmt: skip
WORDS = (
    b"fp_demo=",
    b"__Host-",
    b"; ",
    b"https://",
    b"[",
    b"]:",
    b"Basic ",
    b"Bearer ",
    b"for=",
    b"\x80",
    b"::ffff:",
    b"%zone",
)


def fuzz(data: bytes) -> None:
    """The value of a header."""
    value = data.replace(b"\r", b" ").replace(b"\n", b" ")
    headers: HeaderList = [(b"cookie", value), (b"cookie", value[:9])]
    visit = read_visit(cookies_of(headers), "demo", _KEY, _NOW_S)
    assert visit is None or (len(visit.visitor) == 32 and visit.purposes)
    if visit is not None and visit.is_signed:
        assert visit == _OURS, "nobody without the key signs a cookie"
    delete_cookie(value, "demo")
    host_of(value)
    for name in (b"x-forwarded-for", b"forwarded"):
        peer = client_ip("203.0.113.9", [(name, value)], 1, name)
        assert isinstance(network_of(peer), str)
    named = dict.fromkeys(
        (b"user-agent", b"accept-language", b"referer", b"sec-purpose", b"authorization"), value
    )
    read_client(named, "203.0.113.9")
    read_key(named, value)
    with suppress(Unacceptable):
        check_signature(value, "sk_demo", data, _NOW_S * 1_000)
        raise AssertionError("nobody without the key signs a body")
    for text in (value.decode("latin-1"), value.decode("utf-8", "replace")):
        target = safe_target(text, ("shop.example",))
        assert not target or (
            urlsplit(target).hostname == "shop.example" and target.isascii() and target.isprintable()
        )
    assert decode_link(value.decode("latin-1"), _KEY, "click") is None, "nobody without the key makes a link"
    token = decode_token(value.decode("latin-1"), "shop.example", b"k" * 32)
    assert token is None, "nobody without the key makes a token"
