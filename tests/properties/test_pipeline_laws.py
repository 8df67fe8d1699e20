"""Laws of the pipeline: nothing disappears, fast forms equal plain forms, nobody is left without consent."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.clean_pack import decode_clean_pack
from schemas.consent import Basis
from schemas.event import Event, Flag
from streams.columns.batch import COLUMNS, CleanBatch
from streams.pipeline import build_pipeline
from streams.steps.anonymous import PERSONAL
from streams.steps.bots import score_bot
from streams.steps.consent import basis_of
from streams.steps.devices import read_agent
from streams.steps.ip import truncate_ip
from streams.steps.times import is_trusted, time_of
from streams.steps.urls import read_place
from tests.streams.make import CHROME, NOW, batch_of, decided, nothing_stored, rules, sealed

POLICIES = (
    "", 'on_unknown = "drop"', 'default_consent = "granted"', "child_directed = true", 'bots = "exclude"',
    "retention_days = 3", 'contract_events = ["purchase"]', "opt_out_denies_measurement = true",
)  # fmt: skip
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148"
AGENTS = ("", CHROME, "Googlebot/2.1", "curl/8.0", PHONE)
URLS = (
    "", "https://shop.example/a?page=2&utm_source=x&sid=1", "/path;x=1?page=a%40b.example", "shop.example/x", "::",
    "a" * 99,
)  # fmt: skip
CHOICES = ("", "consent=all", "consent=none", "consent=measurement", "consent=all&gpp=x", "consent=no%20idea")
NAMES = ("page_view", "purchase", "", "mail ann@example.org")

PERSONS = (
    b"visitor-7", b"user-77", b"session-77", b"203.0.113", b"198.51.100", b"2001:db8", b"ann@", b"page=", b"sid=",
)  # fmt: skip

events = st.builds(
    Event,
    event_id=st.one_of(
        st.sampled_from(["e1", "e2", "ann@example.org", "4111111111111111"]), st.text(max_size=12)
    ),
    site=st.sampled_from(["demo", "demo", "gone", ""]),
    name=st.sampled_from(NAMES),
    kind=st.sampled_from(["page", "purchase"]),
    source=st.sampled_from(["pixel", "tag", "server", "log", "import", ""]),
    trust=st.sampled_from(["public", "secret"]),
    occurred_at=st.sampled_from([0, 1, NOW - 5_000, NOW + 9_000, NOW - 10**10, -5]),
    sent_at=st.sampled_from([0, NOW, NOW - 60_000, 5]),
    received_at=st.sampled_from([NOW, NOW, NOW + 1, 0]),
    ip=st.sampled_from(["", "203.0.113.77", "2001:db8:1:2::77", "::ffff:198.51.100.77", "junk77"]),
    user_agent=st.sampled_from(AGENTS),
    language=st.sampled_from(["", "de-AT,de;q=0.9", "en"]),
    url=st.sampled_from(URLS),
    referrer=st.sampled_from(URLS),
    visitor_id=st.sampled_from(["", "visitor-77", "visitor-78"]),
    user_id=st.sampled_from(["", "user-77"]),
    session_id=st.sampled_from(["", "session-77"]),
    consent=st.sampled_from(CHOICES),
    flags=st.sampled_from(
        [0, int(Flag.GPC), int(Flag.DNT), int(Flag.WEBDRIVER), int(Flag.PREFETCH | Flag.GPC)]
    ),
    value_e4=st.sampled_from([0, 199_000, 10**15]),
    properties=st.sampled_from(["", "{", '{"a":1}', '{"user_id":"user-77","x":"ann@example.org"}', "[]"]),
)
batches = st.lists(events, max_size=12)
policies = st.sampled_from(POLICIES)


def lengths(batch: CleanBatch) -> set[int]:
    return {len(column) for name in COLUMNS if (column := getattr(batch, name))}


@given(batches, policies)
def test_each_step_keeps_or_counts_every_event(some: list[Event], site: str) -> None:
    batch = batch_of(*some)
    for step in build_pipeline(rules(site), nothing_stored):
        batch = step(batch)
        assert len(batch) + len(batch.drops) == len(some), step
        assert lengths(batch) <= {len(batch)}, step
    assert len(set(batch.key)) == len(batch)


@given(events, policies)
def test_the_columns_say_what_the_rules_say_of_each_value(one: Event, site: str) -> None:
    """The plural is fast, the singular is the rule."""
    of = rules(site)
    steps: list[Any] = list(build_pipeline(of, nothing_stored))
    named, timed, consented = steps[0](batch_of(one)), steps[2], steps[3]
    batch = timed(named)
    time, flags, expired = time_of(
        one.occurred_at,
        one.sent_at,
        one.received_at,
        is_trusted(one.trust, one.source),
        of.of(one.site).retention_ms,
    )
    assert (batch.occurred_at, batch.flags) == (([], []) if expired else ([time], [one.flags | flags]))
    if expired:
        return
    found = basis_of(of, (one.site, batch.name[0], one.trust, one.consent, batch.flags[0]))
    batch = consented(batch)
    kept = [(found.basis, found.purposes)] if found.basis else []
    assert list(zip(batch.basis, batch.purposes, strict=True)) == kept
    assert [one.reason for one in batch.drops] == ([] if kept else [found.drop])
    if not kept:
        return
    batch = steps[4](batch)
    assert (batch.ip_network or [""]) == [truncate_ip(one.ip)]
    batch = steps[5](batch)
    if len(batch):
        score, signals = score_bot(one.source, one.user_agent, one.flags)
        assert (batch.bot_score or [0], batch.bot_signals or [""]) == ([score], [signals])
        batch = steps[7](steps[6](batch))
        place = read_place(one.url.partition("?")[0])
        assert (batch.host or [""], batch.path or [""]) == ([place.host], [place.path])
        assert (steps[8](batch).browser or [""]) == [read_agent(one.user_agent).browser]


@given(batches, policies)
def test_who_did_not_agree_is_nowhere_in_the_row(some: list[Event], site: str) -> None:
    batch = batch_of(*some)
    for step in build_pipeline(rules(site), nothing_stored):
        batch = step(batch)
    for i, basis in enumerate(batch.basis):
        if basis != Basis.CONSENTED:
            assert not [name for name in PERSONAL if getattr(batch, name) and getattr(batch, name)[i]]
    for name in (
        "ip",
        "user_agent",
        "url",
        "referrer",
        "title",
        "visitor_id",
        "user_id",
        "session_id",
        "consent",
    ):
        assert not any(getattr(batch, name)), name


@settings(max_examples=60)
@given(
    st.lists(events.filter(lambda one: one.consent not in ("consent=all", "consent=measurement")), max_size=8)
)
def test_without_consent_nothing_of_a_person_is_in_the_bytes(some: list[Event]) -> None:
    value = decided(sealed(some)).value
    assert decode_clean_pack(value).head.answers[0].dead == ""
    for secret in PERSONS:
        assert secret not in value


@given(batches, policies)
def test_the_same_pack_is_decided_the_same_way_twice(some: list[Event], site: str) -> None:
    value = sealed(some, pack_id=b"p" * 16)
    assert decided(value, site=site).value == decided(value, site=site).value
