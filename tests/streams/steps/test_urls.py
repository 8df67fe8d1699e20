"""What of an address is kept, and what a visit came from."""

import pytest

from runtime.config import parse_config
from schemas.event import EventBatch
from streams.columns.batch import CleanBatch, replace
from streams.rules import build_rules
from streams.steps.urls import (
    QUERIES_MAX,
    QUERY_LENGTH_KNOWN_MAX,
    Place,
    channel_of,
    keep_query,
    query_of,
    read_place,
    split_urls,
)
from tests.streams.make import SECRET, cleaned, page_view, rules

KEYS = frozenset({"utm_source", "utm_campaign", "page", "lang"})


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://Shop.Example/a/b", Place("shop.example", "/a/b")),
        ("https://ann:secret@shop.example:8443/a", Place("shop.example", "/a")),
        ("https://a@b@shop.example/a", Place("shop.example", "/a")),
        ("//shop.example/a", Place("shop.example", "/a")),
        ("http://[2001:db8::1]:80/a", Place("[2001:db8::1]", "/a")),
        ("https://shop.example/a;jsessionid=1A", Place("shop.example", "/a")),
        ("https://shop.example#top", Place("shop.example", "")),
        ("/only/path", Place("", "/only/path")),
        ("javascript:alert(1)", Place("", "")),
        ("what is this", Place("", "")),
        ("", Place("", "")),
    ],
)
def test_host_and_path_are_read(url: str, place: Place) -> None:
    assert read_place(url) == place


def test_only_listed_keys_are_kept() -> None:
    found = keep_query("page=2&sid=secret&utm_source=a%20b&utm_source=later&lang=&q=Ann", KEYS)
    assert (found.query, found.utm_source) == ("page=2", "a b")


def test_values_are_scrubbed_before_they_are_written_again() -> None:
    assert keep_query("page=ann%40example.org", KEYS).query == "page=%5Bemail%5D"


def test_a_fragment_is_no_query() -> None:
    one = cleaned(page_view(url="https://shop.example/#/a?page=2&utm_source=x"))
    assert (one.path, one.query, one.utm_source) == (["/"], [""], [""])
    assert cleaned(page_view(url="https://shop.example/?page=2#a?b=c")).query == ["page=2"]


def test_a_remembered_query_says_the_same_again_and_a_long_one_is_not_remembered() -> None:
    """An answer out of the memory is that of the rule, and what a click adds cannot fill the memory."""
    known = rules('query_keys = ["page"]')
    short, long = "page=2&sid=secret", f"page=3&click={'x' * QUERY_LENGTH_KNOWN_MAX}"
    events = [
        page_view(event_id=f"e{i}", url=f"https://shop.example/?{query}")
        for i, query in enumerate((short, long, short))
    ]
    once = split_urls(known, CleanBatch.of(EventBatch.from_events(events)))
    again = split_urls(known, CleanBatch.of(EventBatch.from_events(events)))
    assert once.query == again.query == ["page=2", "page=3", "page=2"]
    assert list(known.memo(query_of, QUERIES_MAX)) == [("demo", short)]


def test_sites_keep_their_own_keys_of_the_same_query() -> None:
    known = build_rules(
        parse_config('[sites.one]\nquery_keys = ["page"]\n[sites.two]\nquery_keys = ["lang"]\n'), SECRET
    )
    events = [
        page_view(site=site, url="https://shop.example/?page=2&lang=de") for site in ("one", "two", "gone")
    ]
    batch = split_urls(known, CleanBatch.of(EventBatch.from_events(events)))
    assert batch.query == ["page=2", "lang=de", ""]


def test_referrers_lose_all_but_their_host() -> None:
    one = cleaned(page_view(referrer="https://mail.example/inbox/ann?token=1"))
    assert (one.referrer, one.referrer_host) == ([], ["mail.example"])


def test_a_backend_event_without_an_address_has_none() -> None:
    one = cleaned(page_view(url="", referrer=""))
    assert (one.host, one.path) == ([], [])


@pytest.mark.parametrize(
    ("visit", "channel"),
    [
        (("pixel", "a.example", "", "", ""), "direct"),
        (("pixel", "a.example", "a.example", "", ""), "internal"),
        (("pixel", "a.example", "www.google.co.uk", "", ""), "search"),
        (("pixel", "a.example", "t.co", "", ""), "social"),
        (("pixel", "a.example", "pinterest.com", "", ""), "social"),
        (("pixel", "a.example", "notgoogle.example", "", ""), "referral"),
        (("pixel", "a.example", "www.google.com", "google", "cpc"), "paid"),
        (("pixel", "a.example", "", "june", "newsletter"), "email"),
        (("email", "", "", "", ""), "email"),
        (("pixel", "a.example", "", "poster", ""), "campaign"),
        (("server", "", "", "", ""), ""),
    ],
)
def test_channels(visit: tuple[str, str, str, str, str], channel: str) -> None:
    assert channel_of(visit) == channel


def test_a_column_that_does_not_exist_cannot_be_replaced() -> None:
    batch = CleanBatch.of(EventBatch.from_events([page_view()]))
    assert replace(batch, host=["a.example"]).host == ["a.example"]
    assert batch.host == [], "the batch before is as it was"
    with pytest.raises(TypeError, match="hots"):
        replace(batch, hots=["a.example"])
