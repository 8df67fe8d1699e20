"""What could name a person or open an endpoint is masked in every text that is kept."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Flag
from streams.columns.joined import _kind, shadow
from streams.steps.scrub import (
    are_only_names,
    is_only_name,
    names_person,
    scrub_all,
    scrub_properties,
    scrub_text,
    those_naming_persons,
)
from tests.streams.make import cleaned, page_view
from tests.streams.steps.plain_scrub import names_person_plainly, scrub_plainly


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
        ("+49 (0) 170 1234567", "[phone]"),
        ("4111  1111  1111  1111", "[card]"),
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


ids = st.lists(
    st.one_of(st.sampled_from(["", "a\nb", "a", "a-1", "12", "1.2", "--"]), st.text(max_size=4)), max_size=12
)


@given(ids)
def test_a_look_at_many_ids_says_what_a_look_at_each_says(texts: list[str]) -> None:
    assert are_only_names(texts) == all(map(is_only_name, texts)) or not texts


WORDS = (
    "ann@example.org", "a%40b.example", "+49 170 1234567", "(555) 123-4567", "555-123-4567", "0170/1234567",
    "4111 1111 1111 1111", "4111111111111111", "4111111111111112", "378282246310005", "2026-11-22", "1763800000000",
    "3f2504e04f8941d39a0c0305e82c3301", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "aB3dE5gH7jK9mN1pQ3sT5vX7z", "order 1000234567", "1.234.567,89", "de-AT", "hello", "ünïcode", "٣٣٣", "日本",
    "checkout_payment_method_selected", "+", "00", "eyJ", "_", "-",
)  # fmt: skip
BETWEEN = (" ", ", ", "/", ": ", "?", "&", "=", "\n", '"', "; ", " (", ") ")
ordinary_texts = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from(BETWEEN)),
    max_size=6,
).map(lambda pairs: "".join(word + between for word, between in pairs))  # fmt: skip
strange_texts = st.text(alphabet=st.sampled_from("0123456789abcXYZ-_.@ +()/%eyJk٣é\n"), max_size=60)
MASKS = re.compile(r"\[(?:email|phone|card|token)\]")


@given(st.lists(ordinary_texts, max_size=5))
def test_many_texts_at_once_are_masked_as_the_plain_patterns_mask_each(texts: list[str]) -> None:
    assert scrub_all(texts) == [scrub_plainly(text) for text in texts]
    assert those_naming_persons(texts) == {
        one for one in texts if not is_only_name(one) and names_person_plainly(one)
    }


@given(st.lists(strange_texts, max_size=5))
def test_of_no_text_more_is_left_than_the_plain_patterns_leave(texts: list[str]) -> None:
    for text, scrubbed in zip(texts, scrub_all(texts), strict=True):
        left = iter(MASKS.sub("", scrub_plainly(text)))
        assert all(character in left for character in MASKS.sub("", scrubbed))


@given(st.lists(ordinary_texts, max_size=5), st.booleans())
def test_properties_are_masked_as_their_texts_are(texts: list[str], escaped: bool) -> None:
    said = json.dumps(dict(enumerate(texts)), ensure_ascii=escaped)
    masked = json.loads(scrub_properties(said))
    assert masked == {str(i): scrub_plainly(text) for i, text in enumerate(texts)}


@pytest.mark.parametrize("number", ["4.111111111111111e15", "4111111111111111.0", "41111111111111.11e2"])
def test_a_card_number_is_found_however_it_is_written(number: str) -> None:
    assert "411111" not in scrub_properties(f'{{"n":{number}}}')


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("path", "/" + "a@a.example/" * 51), ("path", "/" + "4111 " * 60), ("path", "/" + "a" * 40_000),
        ("properties", '{"a":"' + "a@a.example " * 51 + '"}'), ("properties", '{"a":"' + "x" * 40_000 + '"}'),
        ("properties", '{"m":"a@a.example","a":[' + "1," * 2_000 + "1]}"),
        ("properties", '{"m":"a@a.example","a":' + "[" * 301 + "]" * 301 + "}"),
        ("properties", '{"a":[' + '"a\\u0040a.example",' * 50 + '"b\\u0040a.example\\n555-123-4567"]}'),
        ("properties", '{"a":"' + "\\u0061@a.example " * 51 + '"}'),
    ],
)  # fmt: skip
def test_what_exceeds_the_budget_of_an_event_is_masked_whole_and_flagged(name: str, value: str) -> None:
    said = {"properties": value} if name == "properties" else {"url": f"https://shop.example{value}"}
    one, ordinary = (
        page_view(event_id="e1", **said),
        page_view(event_id="e2", properties='{"a":"b@c.example"}'),
    )
    batch = cleaned(one, ordinary)
    kept = getattr(batch, name)[0]
    assert kept in ("[masked]", "") or "a@a" not in kept.replace("\\u0040", "@")
    assert [bool(flags & Flag.MASKED_WHOLE) for flags in batch.flags] == [kept in ("[masked]", ""), False]
    assert batch.properties[1] == '{"a":"[email]"}'


@given(st.text(max_size=200))
def test_patterns_see_each_character_as_its_kind_whatever_stands_beside_it(text: str) -> None:
    assert shadow(text) == bytes(ord(one) if one.isascii() else _kind(one) for one in text)
    assert shadow(text + "é") == shadow(text) + shadow("é")
