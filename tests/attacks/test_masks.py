"""Against the masks: a person's address or number written as no plain pattern expects it."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from streams.steps.scrub import scrub_text
from tests.streams.make import cleaned, page_view

PERSONAL = {
    "a host in another script": ("ann@müller.example", "[email]"),
    "a name in another script": ("jürgen@example.org", "[email]"),
    "a full-width sign": ("ann＠example.org", "[email]"),
    "a full-width dot": ("ann@example。org", "[email]"),
    "an encoded dot": ("ann%40example%2Eorg", "[email]"),
    "encoded twice": ("ann%2540example.org", "[email]"),
    "spaces that do not break": ("+49\u00a0170\u202f1234567", "[phone]"),
    "hyphens that do not break": ("555\u2011123\u20114567", "[phone]"),
    "encoded spaces": ("+49%20170%201234567", "[phone]"),
    "an encoded plus": ("%2b49+170+1234567", "[phone]"),
    "two separators": ("+49 (0) 170 1234567", "[phone]"),
    "encoded spaces in a card": ("4111%201111%201111%201111", "[card]"),
    "narrow spaces in a card": ("4111\u20091111\u20091111\u20091111", "[card]"),
}


@pytest.mark.parametrize("ip", ["2002:cb00:714d::1", "::ffff:203.0.113.77", "2002:CB00:714D:1::2%eth0"])
def test_an_ipv4_address_within_one_of_ipv6_is_cut_as_ipv4(ip: str) -> None:
    assert cleaned(page_view(ip=ip)).ip_network == ["203.0.113.0"]


@pytest.mark.parametrize("how", PERSONAL)
def test_a_person_in_another_spelling_is_masked(how: str) -> None:
    text, mask = PERSONAL[how]
    assert scrub_text(text) == mask
    assert scrub_text(f"see {text}, please") == f"see {mask}, please"
    event = page_view(url=f"https://shop.example/a%20{quote(text, '%+')}/b", properties=f'{{"x":"{text}"}}')
    batch = cleaned(event)
    # An escape may be part of a mail address; what was read without escapes is written with them again.
    assert batch.path[0].removeprefix("/a%20").removeprefix("/") == f"{mask}/b"
    assert batch.properties == [f'{{"x":"{mask}"}}']
