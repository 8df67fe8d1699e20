"""The first-party cookie and who gets one: with a person's own choice, and with nothing less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.reading.row import VISITOR_ID
from ingest.visitors.cookies import (
    COOKIE_SECONDS_MAX,
    Visit,
    cookie_name,
    delete_cookie,
    derive_visitor,
    read_visit,
    set_cookie,
)
from ingest.visitors.rules import (
    cookies_of,
    host_of,
    resolve_visitor,
    settle,
    visitor_rules,
)
from runtime.config import parse_config
from schemas.consent import Purpose
from tests.ingest.builders import row

NOW_S = 1_763_800_000
NOW_MS = NOW_S * 1000
DAY_S = 86_400
SECRET = b"i" * 32
BOTH = (Purpose.NECESSARY, Purpose.MEASUREMENT)
VISIT = Visit("ab" * 16, NOW_S - DAY_S, NOW_S - DAY_S, BOTH)
CONFIG = "[sites.demo]\n[sites.kids]\nchild_directed = true\n[sites.open]\ndefault_consent = 'granted'\n"
RULES = visitor_rules(parse_config(CONFIG), SECRET)
DEMO = RULES["demo"]


def signed_cookie(visit: Visit = VISIT, site: str = "demo", now_s: int = NOW_S) -> bytes:
    key = RULES[site].cookie_key if site in RULES else b"k" * 32
    return set_cookie(site, visit, key, now_s)


def read(header: bytes, site: str = "demo", now_s: int = NOW_S) -> Visit | None:
    return read_visit(header, site, DEMO.cookie_key, now_s)


def sent_back(visit: Visit = VISIT, site: str = "demo", now_s: int = NOW_S) -> bytes:
    """The Cookie header of a browser that was given this visit."""
    return b"theirs=1; " + signed_cookie(visit, site, now_s).split(b";")[0]


@given(
    st.binary(min_size=16, max_size=16),
    st.integers(NOW_S - COOKIE_SECONDS_MAX + 1, NOW_S),
    st.sets(st.sampled_from(Purpose), min_size=1),
)
def test_a_cookie_says_what_was_put_into_it(visitor: bytes, since: int, purposes: set[Purpose]) -> None:
    visit = Visit(visitor.hex(), since, NOW_S, tuple(p for p in Purpose if p in purposes))
    assert read(sent_back(visit)) == visit


@given(st.binary())
def test_no_header_makes_the_reader_fail(header: bytes) -> None:
    assert read(header) is None
    assert read(b"fp_demo=" + header) is None
    assert read(b"__Host-fp_demo=" + header) is None


def test_the_browser_is_told_to_keep_it_to_itself() -> None:
    header = signed_cookie().decode()
    assert header.startswith(f"__Host-fp_demo={VISIT.visitor}.")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(header.split("; "))
    assert "Domain" not in header


def test_it_ends_13_months_after_its_first_day_however_often_it_is_set() -> None:
    for age_days in (0, 100, 394):
        header = signed_cookie(VISIT._replace(since=NOW_S - age_days * DAY_S)).decode()
        assert f"Max-Age={(395 - age_days) * DAY_S};" in header
    old = VISIT._replace(since=NOW_S - COOKIE_SECONDS_MAX)
    assert read(sent_back(old)) is None


def test_a_cookie_of_another_site_says_nothing_here() -> None:
    assert read(sent_back(site="shop")) is None
    assert cookie_name("demo") != cookie_name("shop")


@pytest.mark.parametrize(
    "signals", ["", "gdpr=1", "consent=unclear", "consent=all&gdpr_consent=CPx", "gcs=G1--"]
)
def test_without_a_choice_that_is_understood_nobody_is_named(signals: str) -> None:
    for rules in (DEMO, RULES["open"]):
        assert settle(rules, signals, sent_back(), NOW_MS, "seed") == ("", None)


def test_a_choice_for_measurement_names_a_visitor_and_keeps_the_cookie() -> None:
    settled = settle(DEMO, "consent=measurement", b"", NOW_MS, "seed")
    assert settled.set_cookie is not None
    visit = read(settled.set_cookie.split(b";")[0])
    assert visit == Visit(settled.visitor, NOW_S, NOW_S, (Purpose.MEASUREMENT,))


def test_a_retry_without_the_cookie_and_one_with_it_name_the_same_visitor() -> None:
    first = settle(DEMO, "consent=all", b"", NOW_MS, "seed")
    again = settle(DEMO, "consent=all", b"", NOW_MS + 5_000, "seed")
    with_cookie = settle(
        DEMO, "consent=all", (first.set_cookie or b"").split(b";")[0], NOW_MS + 5_000, "seed"
    )
    assert first.visitor == again.visitor == with_cookie.visitor
    assert with_cookie.set_cookie is None


def test_visitors_of_two_pages_two_sites_or_two_platforms_have_nothing_in_common() -> None:
    other = visitor_rules(parse_config(CONFIG), b"j" * 32)["demo"]
    seeds = [(DEMO, "a"), (DEMO, "b"), (RULES["open"], "a"), (other, "a")]
    assert len({derive_visitor(rules.secret, seed) for rules, seed in seeds}) == 4


def test_a_cookie_that_is_there_is_not_set_again_but_for_another_choice() -> None:
    assert settle(DEMO, "consent=necessary,measurement", sent_back(), NOW_MS, "seed").set_cookie is None
    changed = settle(DEMO, "consent=all", sent_back(), NOW_MS, "seed")
    assert changed.visitor == VISIT.visitor
    assert f"Max-Age={394 * DAY_S};".encode() in (changed.set_cookie or b"")


def test_a_choice_against_measurement_ends_the_cookie_readable_or_not() -> None:
    for cookies in (sent_back(), b"fp_demo=broken", b"__Host-fp_demo=broken"):
        ended = settle(DEMO, "consent=none", cookies, NOW_MS, "seed")
        assert ended == ("", delete_cookie(cookies, "demo"))
        name = cookies.removeprefix(b"theirs=1; ").partition(b"=")[0]
        assert (ended.set_cookie or b"").startswith(name + b"=; Max-Age=0; ")
    assert settle(DEMO, "consent=marketing", b"", NOW_MS, "seed") == ("", None)


def test_a_site_for_children_names_nobody_whatever_was_said() -> None:
    assert settle(RULES["kids"], "consent=all", sent_back(site="kids"), NOW_MS, "seed") == ("", None)


def test_a_endpoint_that_makes_no_visitors_reads_the_cookie_and_ends_it() -> None:
    named, headers = resolve_visitor(DEMO, row(consent="consent=all"), sent_back(), NOW_MS)
    assert (named[VISITOR_ID], headers) == (VISIT.visitor, [])
    assert resolve_visitor(DEMO, row(consent="consent=all"), b"", NOW_MS)[0][VISITOR_ID] == ""
    own = row(consent="consent=all", visitor_id="own")
    assert resolve_visitor(DEMO, own, sent_back(), NOW_MS)[0][VISITOR_ID] == "own"
    assert resolve_visitor(DEMO, row(consent="consent=none", visitor_id="own"), sent_back(), NOW_MS)[1] == [
        (b"set-cookie", delete_cookie(sent_back(), "demo"))
    ]
    denied, headers = resolve_visitor(DEMO, row(consent="consent=none"), sent_back(), NOW_MS)
    assert (denied[VISITOR_ID], headers) == ("", [(b"set-cookie", delete_cookie(sent_back(), "demo"))])


def test_a_cookie_header_in_crumbs_is_one() -> None:
    assert cookies_of([(b"cookie", b"a=1"), (b"host", b"x"), (b"cookie", b"b=2")]) == b"a=1; b=2"


@pytest.mark.parametrize(
    ("origin", "host"),
    [(b"https://Shop.example:8443", "shop.example"), (b"null", ""), (None, ""), (b"http://[bad", "")],
)
def test_an_origin_has_a_host_or_none(origin: bytes | None, host: str) -> None:
    assert host_of(origin) == host
