"""What could name a person or open a door is masked in every text that is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.steps.scrub import is_only_name, names_person, scrub_properties, scrub_text
from tests.streams.make import cleaned, page_view


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("/user/ann.b+x@example.org/edit", "/user/[email]/edit"),
        ("/u/ann%40example.org", "/u/[email]"),
        ("call +49 170 1234567 now", "call [phone] now"),
        ("(555) 123-4567", "[phone]"),
        ("555-123-4567", "[phone]"),
        ("0170/1234567", "[phone]"),
        ("4111 1111 1111 1111", "[card]"),
        ("4111111111111111", "[card]"),
        ("378282246310005", "[card]"),
        ("/reset/3f2504e04f8941d39a0c0305e82c3301", "/reset/[token]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "[token]"),
        ("key sk_live_4eC39HqLyjWDarjtT1zdp7dc", "key [token]"),
        ("/s/aB3dE5gH7jK9mN1pQ3sT5vX7z", "/s/[token]"),
    ],
)
def test_masks(text: str, scrubbed: str) -> None:
    assert scrub_text(text) == scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "/how-to-build-a-42-story-building-in-minecraft", "order 1000234567", "2026-11-22", "1763800000000", "/p/4711",
        "4111111111111112", "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "1.234.567,89", "/2026/11/22/12345/page", "de-AT",
    ],
)  # fmt: skip
def test_what_names_nobody_stays(text: str) -> None:
    assert scrub_text(text) == text


def test_properties_are_scrubbed_in_names_values_and_numbers() -> None:
    text = '{"a@b.example":["x c@d.example"],"card":4111111111111111,"n":{"t":"\\u0065@f.example"},"ok":true,"no":null}'
    assert scrub_properties(text) == (
        '{"[email]":["x [email]"],"card":"[card]","n":{"t":"[email]"},"ok":true,"no":null}'
    )


@pytest.mark.parametrize("text", ["{", "[1]", '"text"', "null", '{"a":NaN}'])
def test_properties_that_are_no_object_are_left_out(text: str) -> None:
    assert scrub_properties(text) == ""


def test_harmless_properties_keep_their_bytes() -> None:
    text = '{"b": 1.50, "a": "ü"}'
    assert scrub_properties(text) == text


def test_every_text_of_an_event_is_scrubbed() -> None:
    mail = "ann@example.org"
    event = page_view(
        name=f"hello {mail}", url=f"https://shop.example/{mail}?page={mail}&utm_campaign={mail}",
        properties=f'{{"x":"{mail}"}}', language=mail, currency=mail,
        referrer=f"https://{mail}/", event_id=mail, title=mail, session_id=mail,
    )  # fmt: skip
    assert mail not in repr(cleaned(event))


def test_an_id_that_names_a_person_becomes_one_hash_for_all_copies() -> None:
    batch = cleaned(page_view(event_id="ann@example.org"), page_view(event_id="ann@example.org"))
    assert len(batch) == 1
    assert len(batch.event_id[0]) == 32
    assert cleaned(page_view(event_id="4111111111111111")).event_id[0] != "4111111111111111"


@pytest.mark.parametrize(
    "event_id", ["3f2504e04f8941d39a0c0305e82c3301", "order-1000234567", "1000234567", "ü-1", ""]
)
def test_ids_that_name_nobody_stay(event_id: str) -> None:
    assert cleaned(page_view(event_id=event_id)).event_id == [event_id]


@given(st.text(alphabet=st.sampled_from("0123456789abcXYZ-_.@ +()/"), max_size=24))
def test_the_quick_look_at_an_id_overlooks_no_mail_address_and_no_bare_number(text: str) -> None:
    if is_only_name(text):
        assert "@" not in text
        assert not text.replace("-", "").replace(".", "").replace("_", "").isdigit()
        assert not names_person(text)
