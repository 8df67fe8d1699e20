"""Tokens for links to another domain: once, for two minutes, between the hosts they were made for."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.visitors.cookies import Visit
from ingest.visitors.crossdomain import (
    RETRY_MS_MAX,
    TOKEN_MS_MAX,
    Use,
    claim,
    decode_token,
    encode_token,
    link_key,
)
from schemas.consent import Purpose

NOW_MS = 1_763_800_000_000
SECRET = b"s" * 32
KEY = link_key(SECRET)
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


class Remembered(dict[str, Use]):
    """Uses in memory; `is_broken`: nothing can be remembered."""

    is_broken = False

    def begin(self, token: str, use: Use) -> bool:
        return not self.is_broken and self.setdefault(token, use) is use

    def find(self, token: str) -> Use | None:
        return self.get(token)


def may_use(used: Remembered, page: str, now_ms: int) -> bool:
    return claim(used, SECRET, TOKEN, page, NOW_MS, now_ms)


def test_a_token_counts_once() -> None:
    used = Remembered()
    assert may_use(used, "page-1", NOW_MS + 1)
    assert not may_use(used, "page-2", NOW_MS + 2)


def test_the_page_that_used_it_may_say_it_again_on_a_retry_even_later() -> None:
    used = Remembered()
    assert may_use(used, "page-1", NOW_MS + TOKEN_MS_MAX)
    assert may_use(used, "page-1", NOW_MS + TOKEN_MS_MAX + 60_000)
    assert not may_use(used, "page-1", NOW_MS + TOKEN_MS_MAX + RETRY_MS_MAX + 1)
    assert not may_use(used, "page-2", NOW_MS + 3)


def test_a_page_without_a_name_is_told_from_no_other() -> None:
    used = Remembered()
    assert may_use(used, "", NOW_MS)
    assert not may_use(used, "", NOW_MS)


def test_a_token_is_too_old_after_two_minutes() -> None:
    assert not may_use(Remembered(), "page-1", NOW_MS + TOKEN_MS_MAX + 1)
    assert not may_use(Remembered(), "page-1", NOW_MS - TOKEN_MS_MAX - 1)


def test_a_use_that_cannot_be_remembered_is_none_and_a_retry_of_an_earlier_one_is_still_known() -> None:
    used = Remembered()
    assert may_use(used, "page-1", NOW_MS)
    used.is_broken = True
    assert may_use(used, "page-1", NOW_MS + 1)
    used.clear()
    assert not may_use(used, "page-1", NOW_MS + 2)


def test_what_is_remembered_says_nothing_of_token_page_or_visitor() -> None:
    used, other_site = Remembered(), Remembered()
    may_use(used, "page-1", NOW_MS)
    claim(other_site, b"t" * 32, TOKEN, "page-1", NOW_MS, NOW_MS)
    (name, use), (other_name, other_use) = *used.items(), *other_site.items()
    for known in (TOKEN, "page-1", VISIT.visitor):
        assert known not in name + use.page
    assert name != other_name
    assert use.page != other_use.page
