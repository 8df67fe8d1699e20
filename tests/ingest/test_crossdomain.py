"""Tokens for links to another domain: once, for two minutes, between the hosts they were made for."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.cookies import Visit
from ingest.crossdomain import RETRY_MS_MAX, TOKEN_MS_MAX, UsedTokens, decode_token, encode_token, link_key
from schemas.consent import Purpose

NOW_MS = 1_763_800_000_000
KEY = link_key(b"s" * 32)
NONCE = b"n" * 12
VISIT = Visit("ab" * 16, NOW_MS // 1000 - 60, 0, (Purpose.NECESSARY, Purpose.MEASUREMENT))
TOKEN = encode_token(VISIT, "blog.example", KEY, NONCE, NOW_MS)


def test_the_host_a_token_was_made_for_reads_who_comes() -> None:
    assert decode_token(TOKEN, "Blog.example", KEY) == (VISIT, NOW_MS)


def test_no_other_host_and_no_other_site_can_read_it() -> None:
    assert decode_token(TOKEN, "shop.example", KEY) is None
    assert decode_token(TOKEN, "blog.example", link_key(b"t" * 32)) is None


def test_a_token_names_nobody_to_those_who_see_the_address() -> None:
    assert VISIT.visitor not in TOKEN
    assert bytes.fromhex(VISIT.visitor) not in TOKEN.encode()
    assert len(TOKEN) < 100


@given(st.integers(0, len(TOKEN) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_changed_token_is_none(place: int, letter: str) -> None:
    changed = TOKEN[:place] + letter + TOKEN[place + 1 :]
    if changed != TOKEN:
        assert decode_token(changed, "blog.example", KEY) is None
    assert decode_token(TOKEN[:place] + "!" + TOKEN[place:], "blog.example", KEY) is None


def test_the_same_bytes_in_other_letters_are_no_second_token() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for other in [TOKEN + "!!!!", "$$$$" + TOKEN, *(TOKEN[:-1] + letter for letter in letters)]:
        assert (decode_token(other, "blog.example", KEY) is None) == (other != TOKEN)


@given(st.text())
def test_no_text_makes_the_reader_fail(text: str) -> None:
    assert decode_token(text, "blog.example", KEY) is None


def test_a_token_counts_once() -> None:
    used = UsedTokens()
    assert used.claim(TOKEN, "page-1", NOW_MS, NOW_MS + 1)
    assert not used.claim(TOKEN, "page-2", NOW_MS, NOW_MS + 2)


def test_the_page_that_used_it_may_say_it_again_on_a_retry_even_later() -> None:
    used = UsedTokens()
    assert used.claim(TOKEN, "page-1", NOW_MS, NOW_MS + TOKEN_MS_MAX)
    assert used.claim(TOKEN, "page-1", NOW_MS, NOW_MS + TOKEN_MS_MAX + 60_000)
    assert not used.claim(TOKEN, "", NOW_MS, NOW_MS + 3)


def test_a_token_is_too_old_after_two_minutes() -> None:
    assert not UsedTokens().claim(TOKEN, "page-1", NOW_MS, NOW_MS + TOKEN_MS_MAX + 1)


def test_what_was_used_is_remembered_longer_than_it_counts_and_then_forgotten() -> None:
    used = UsedTokens()
    used.claim(TOKEN, "page-1", NOW_MS, NOW_MS)
    later = NOW_MS + RETRY_MS_MAX + 1
    assert used.claim("another", "page-3", later, later)
    assert not used.claim(TOKEN, "page-1", NOW_MS, later)  # forgotten, and too old by far
