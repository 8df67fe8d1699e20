"""TC strings: read whole or not at all, and what they say to a site."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.signals.bits import Unreadable
from schemas.signals.purposes import Purpose, SignalPolicy
from schemas.signals.tcf import TcString, allowed_purposes, judge_tcf, mask, read_tc_string
from tests.schemas.signals.strings import (
    AFTER_DISCLOSED,
    ALL_PURPOSES,
    BEFORE_DISCLOSED,
    allowed,
    disclosed,
    publisher,
    tc_core,
    vendors,
)

NOBODY, VENDOR = SignalPolicy(), SignalPolicy(tcf_vendor_id=755)
# A published example: made on 20 February 2020, purposes 1 to 3, vendors 2, 6 and 8.
EXAMPLE = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA"


def granted(text: str, policy: SignalPolicy = NOBODY) -> set[str]:
    statement = judge_tcf(read_tc_string(text), policy)
    assert statement.granted | statement.denied == set(Purpose), "a TC string speaks of all purposes"
    assert not statement.granted & statement.denied
    return {str(purpose) for purpose in statement.granted} - {"necessary"}


def test_the_published_example_is_read_as_published() -> None:
    read = read_tc_string(EXAMPLE)
    assert read.created == 15_822_430_593
    assert (read.cmp_id, read.policy_version) == (27, 2)
    assert read.purposes == mask((1, 2, 3))
    assert [one for one in range(1, 20) if read.vendors.has(one)] == [2, 6, 8]
    assert [one for one in range(1, 20) if read.interest_vendors.has(one)] == [2, 6, 8]
    assert read.disclosed is None


@pytest.mark.parametrize(
    ("purposes", "expected"),
    [
        ((), set()),
        ((1,), set()),
        ((8,), set()),
        ((2, 3, 4, 5, 6, 7, 8, 9, 10, 11), set()),
        ((1, 8), {"measurement"}),
        ((1, 7, 9), set()),
        ((1, 5, 6), {"personalisation"}),
        ((1, 3, 4), {"marketing"}),
        ((1, 2, 7), set()),
        (ALL_PURPOSES, {"measurement", "personalisation", "marketing"}),
    ],
)
def test_each_purpose_of_ours_needs_its_purposes_of_theirs(
    purposes: tuple[int, ...], expected: set[str]
) -> None:
    assert granted(tc_core(purposes)) == expected


def test_a_site_may_need_other_purposes() -> None:
    policy = SignalPolicy(tcf_measurement_purposes=(7, 9), tcf_marketing_purposes=(2, 7))
    assert granted(tc_core((1, 7, 9, 2)), policy) == {"measurement", "marketing"}
    assert granted(tc_core((1, 8)), policy) == set()


def test_legitimate_interest_counts_where_the_site_says_so_and_never_for_what_needs_consent() -> None:
    text = tc_core((1,), ALL_PURPOSES)
    assert granted(text) == set()
    assert granted(text, SignalPolicy(tcf_legitimate_interest=True)) == {"measurement"}
    assert granted(tc_core((), ALL_PURPOSES), SignalPolicy(tcf_legitimate_interest=True)) == set()


@pytest.mark.parametrize(
    ("consented", "expected"),
    [
        (vendors(), set()),
        (vendors((754, 756)), set()),
        (vendors((755,)), {"measurement"}),
        (vendors(ranges=[(1, 754)]), set()),
        (vendors(ranges=[(3, 3), (700, 800)]), {"measurement"}),
    ],
)
def test_a_site_with_a_vendor_number_needs_consent_for_it(consented: str, expected: set[str]) -> None:
    assert granted(tc_core((1, 8), consented=consented), VENDOR) == expected


@pytest.mark.parametrize(
    ("kind", "by_consent", "by_interest"), [(0, False, False), (1, True, False), (2, False, True)]
)
def test_restrictions_of_the_publisher_are_obeyed(kind: int, by_consent: bool, by_interest: bool) -> None:
    ours = vendors((755,))
    restrictions = [(8, kind, [(700, 800)]), (7, 0, [(755, 755)])]
    consent = tc_core((1, 8), consented=ours, restrictions=restrictions)
    assert granted(consent, VENDOR) == ({"measurement"} if by_consent else set())
    interest = tc_core((1,), (8,), consented=ours, interested=ours, restrictions=restrictions)
    policy = SignalPolicy(tcf_vendor_id=755, tcf_legitimate_interest=True)
    assert granted(interest, policy) == ({"measurement"} if by_interest else set())
    others = tc_core((1, 8), consented=ours, restrictions=[(8, kind, [(1, 754)])])
    assert granted(others, VENDOR) == {"measurement"}, "a restriction of others is not ours"


def test_strings_since_march_2026_must_say_whom_the_person_was_shown() -> None:
    core = tc_core(ALL_PURPOSES, created=AFTER_DISCLOSED)
    assert judge_tcf(read_tc_string(core), NOBODY).row == "tcf_without_disclosed_vendors"
    assert granted(core) == set()
    assert granted(core, SignalPolicy(tcf_accepts_missing_disclosed=True)) != set()
    assert granted(f"{core}.{disclosed((2, 755))}") != set()
    assert granted(tc_core((1, 8))) == {"measurement"}, "older ones need not"


def test_the_rule_begins_with_the_first_of_march() -> None:
    first = 17_723_232_000
    assert granted(tc_core((1, 8), created=first)) == set()
    assert granted(tc_core((1, 8), created=first - 1)) == {"measurement"}


def test_a_vendor_whom_the_person_was_not_shown_has_nothing() -> None:
    core = tc_core((1, 8), consented=vendors((755,)), created=AFTER_DISCLOSED)
    assert granted(f"{core}.{disclosed((755,))}", VENDOR) == {"measurement"}
    text = f"{core}.{disclosed(ranges=[(1, 754)])}"
    assert granted(text, VENDOR) == set()
    assert judge_tcf(read_tc_string(text), VENDOR).row == "tcf_vendor_not_disclosed"


def test_segments_are_told_by_their_type() -> None:
    core, parts = (
        tc_core((1, 8), created=AFTER_DISCLOSED),
        (disclosed((2,)), allowed((3,)), publisher((1,), 2)),
    )
    read = read_tc_string(".".join((core, *parts)))
    for others in ((parts[2], parts[0], parts[1]), (parts[1], parts[2], parts[0])):
        assert read_tc_string(".".join((core, *others))) == read
    in_any_order = ".".join((parts[2], core, parts[0]))
    assert read_tc_string(in_any_order, in_any_order=True) == read
    with pytest.raises(Unreadable):
        read_tc_string(in_any_order)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        f".{EXAMPLE}",
        f"{EXAMPLE}.",
        f"{EXAMPLE}=",
        f"{EXAMPLE}==",
        EXAMPLE.replace("A", "+", 1),
        EXAMPLE.replace("A", "/", 1),
        f"{EXAMPLE} ",
        f"{EXAMPLE}\n",
        "É" + EXAMPLE,
        f"{EXAMPLE}.{EXAMPLE}",
        f"{EXAMPLE}.{disclosed((2,))}.{disclosed((2,))}",
        f"{EXAMPLE}.gAAA",
        f"{EXAMPLE}B",
        disclosed((2,)),
        tc_core((1, 8), version=1),
        tc_core((1, 8), version=3),
        tc_core((1, 8), updated=5),
        tc_core((1, 8), language="[]"),
        tc_core((1, 8), tail="1"),
        tc_core((1, 8), consented=vendors(ranges=[(9, 3)])),
        tc_core((1, 8), consented=vendors(ranges=[(0, 0)])),
        tc_core((1, 8), restrictions=[(8, 3, [(1, 2)])]),
        tc_core((1, 8), restrictions=[(0, 0, [(1, 2)])]),
        tc_core((1, 8), restrictions=[(8, 0, [(1, 2)])] * 73),
        "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAAASA",
        "A" * 8_000,
    ],
)
def test_what_is_no_whole_string_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        read_tc_string(text)


def test_zeros_behind_the_end_are_how_encoders_fill_up() -> None:
    assert read_tc_string(tc_core((1, 8), tail="0" * 23)).purposes == mask((1, 8))


numbers = st.integers(1, 900)
ranges = st.lists(
    st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair))), max_size=4
)  # fmt: skip
cores = st.builds(
    tc_core,
    st.sets(st.integers(1, 24)),
    st.sets(st.integers(1, 24)),
    created=st.sampled_from((AFTER_DISCLOSED, BEFORE_DISCLOSED)),
    policy_version=st.integers(0, 63),
    consented=st.builds(vendors, st.sets(numbers, max_size=8)),
    interested=st.builds(vendors, ranges=ranges),
    restrictions=st.lists(st.tuples(st.integers(1, 24), st.integers(0, 2), ranges), max_size=3),
)
segments = st.one_of(
    st.builds(disclosed, st.sets(numbers, max_size=8)),
    st.builds(allowed, st.sets(numbers, max_size=4)),
    st.builds(publisher, st.sets(st.integers(1, 24)), st.integers(0, 5)),
)
policies = st.builds(
    SignalPolicy,
    tcf_vendor_id=st.one_of(st.just(0), numbers),
    tcf_measurement_purposes=st.sampled_from(((8,), (7, 9))),
    tcf_legitimate_interest=st.booleans(),
    tcf_accepts_missing_disclosed=st.booleans(),
)


@given(cores, st.lists(segments, max_size=3), policies, st.data())
def test_a_string_that_is_cut_or_mixed_up_grants_no_more(
    core: str, others: list[str], policy: SignalPolicy, data: st.DataObject
) -> None:
    whole = ".".join((core, *others))
    try:
        before = judge_tcf(read_tc_string(whole), policy)
    except Unreadable:  # two segments of one type
        return
    kind = data.draw(st.sampled_from(("cut", "append", "insert a dot", "a foreign sign", "front", "order")))
    place = data.draw(st.integers(0, len(whole)))
    sign = data.draw(st.sampled_from("AB_-Zz09"))
    mutated = {
        "cut": whole[:place],
        "append": whole + sign,
        "insert a dot": f"{whole[:place]}.{whole[place:]}",
        "a foreign sign": whole[:place] + data.draw(st.sampled_from("+/= %\0é")) + whole[place:],
        "front": whole[place:],
        "order": ".".join(reversed(whole.split("."))),
    }[kind]
    if mutated == whole or whole.startswith(f"{mutated}."):
        return  # without a segment it is another whole string, of which nobody can tell
    try:
        after = judge_tcf(read_tc_string(mutated), policy)
    except Unreadable:
        return
    assert after.granted <= before.granted


@given(st.text(max_size=200))
def test_any_text_is_read_or_unreadable(text: str) -> None:
    try:
        read = read_tc_string(text)
    except Unreadable:
        return
    assert isinstance(read, TcString)


@given(cores, policies)
def test_no_more_is_allowed_than_was_consented_to_or_told(core: str, policy: SignalPolicy) -> None:
    read = read_tc_string(core)
    interests = read.interests if policy.tcf_legitimate_interest else 0
    assert not allowed_purposes(read, policy) & ~(read.purposes | interests)
