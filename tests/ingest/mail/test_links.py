"""Links of mails: nobody else can make one, nothing in them leads to a person, and none leads where it should not."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.mail.links import (
    CLICK,
    OPEN,
    LinkError,
    MailLink,
    decode_link,
    encode_link,
    link_key,
    safe_target,
)
from tests.ingest.mail.mail_links import CLICKED, KEY, OPENED


@pytest.mark.parametrize("link", [OPENED, CLICKED, replace(CLICKED, target="", consent="")])
def test_a_link_says_what_was_put_into_it(link: MailLink) -> None:
    assert decode_link(encode_link(link, KEY), KEY, link.kind) == link


def test_a_link_fits_into_any_address() -> None:
    token = encode_link(OPENED, KEY)
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert len(token) < 120


def test_an_open_is_no_click_and_a_click_no_open() -> None:
    assert decode_link(encode_link(OPENED, KEY), KEY, CLICK) is None
    assert decode_link(encode_link(CLICKED, KEY), KEY, OPEN) is None


def test_another_platform_s_link_is_refused() -> None:
    assert decode_link(encode_link(OPENED, KEY), link_key(b"\x02" * 32), OPEN) is None


@given(st.data())
def test_a_link_changed_anywhere_is_refused(data: st.DataObject) -> None:
    whole = bytearray(base64.urlsafe_b64decode(encode_link(CLICKED, KEY) + "=="))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    assert decode_link(base64.urlsafe_b64encode(whole).decode().rstrip("="), KEY, CLICK) is None


@given(st.text(max_size=200))
def test_any_other_text_is_refused(text: str) -> None:
    assert decode_link(text, KEY, OPEN) is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"recipient": "jane@shop.example"}, "recipient"),
        ({"recipient": "jane%40shop.example"}, "recipient"),
        ({"message": "<1@shop.example>"}, "message"),
        ({"recipient": ""}, "recipient"),
        ({"message": "m" * 101}, "message"),
        ({"sent_at": 0}, "sent_at"),
        ({"target": "javascript:alert(1)"}, "target"),
        ({"recipient": "\ud800"}, "surrogates"),
    ],
)
def test_a_link_that_would_be_refused_or_name_a_person_is_not_made(
    change: dict[str, str], named: str
) -> None:
    with pytest.raises(LinkError, match=named) as refused:
        encode_link(replace(CLICKED, **change), KEY)  # type: ignore[arg-type]
    assert "jane" not in str(refused.value)


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "JaVaScRiPt://shop.example/%0aalert(1)",
        "//evil.example",
        "/\\evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "https:\\\\evil.example",
        "https://evil.example\\@shop.example",
        "https://shop.example@evil.example",
        "https://shop.example%2f@evil.example",
        "https://evil.example@shop.example",
        "https://evil.example#@shop.example",
        "https://evil.example?shop.example",
        "https://shop.example.evil.example",
        "https://notshop.example",
        "http://shop.example:port/",
        "https://shop.example\r\nSet-Cookie: a=b",
        "https://sh\top.example",
        " https://shop.example",
        "data:text/html,x",
        "ftp://shop.example",
        "https://ѕhop.example",  # a Cyrillic letter
        "https://shop。example",  # an ideographic full stop, which browsers read as a dot
        "https://shop.example/" + "a" * 2_000,
        "",
    ],
)
def test_nobody_is_sent_to_a_place_that_was_not_declared(target: str) -> None:
    assert safe_target(target, ("shop.example",)) == ""


@pytest.mark.parametrize(
    ("target", "hosts"),
    [
        ("https://shop.example/sale?a=1&b=2#top", ("shop.example",)),
        ("http://SHOP.example", ("shop.example",)),
        ("https://shop.example:8443/", ("shop.example",)),
        ("https://www.shop.example./", (".shop.example",)),
        ("https://[2001:db8::1]/", None),
        ("https://anywhere.example/", None),
    ],
)
def test_a_declared_place_is_reached_unchanged(target: str, hosts: tuple[str, ...] | None) -> None:
    assert safe_target(target, hosts) == target


def test_letters_outside_ascii_are_escaped_for_the_header() -> None:
    assert safe_target("https://shop.example/größe?q=ü") == "https://shop.example/gr%C3%B6%C3%9Fe?q=%C3%BC"
