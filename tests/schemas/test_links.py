"""The rule that says which clean packs count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.links import Link, Position, RawLog, Verdict, accept, find_anchor, is_accepted, judge


def at(offset: int, writer: str = "a", topic_id: str = "t") -> Position:
    return Position(topic_id, offset, writer)


def chain(*offsets: int, writer: str = "a", before: Position | None = None) -> list[Link]:
    links = []
    for offset in offsets:
        links.append(Link(at(offset, writer), before))
        before = at(offset, writer)
    return links


def test_a_chain_is_accepted_whole() -> None:
    assert accept(None, chain(0, 1, 2)) == ([True] * 3, at(2))


def test_a_repeat_is_ignored() -> None:
    first, second = chain(0, 1)
    assert accept(None, [first, second, second]) == ([True, True, False], at(1))


def test_what_follows_a_gap_is_ignored() -> None:
    first, _, third = chain(0, 1, 2)
    assert accept(None, [first, third]) == ([True, False], at(0))


def test_a_late_writer_is_ignored_and_its_followers_too() -> None:
    old = chain(0, 1, 2, 3, writer="old")
    new = chain(1, 2, writer="new", before=old[0].this)
    log = [old[0], new[0], old[1], old[2], new[1], old[3]]
    assert accept(None, log)[0] == [True, True, False, False, True, False]


def test_a_second_writer_on_an_empty_log_is_ignored() -> None:
    log = [*chain(0, 1, writer="a"), *chain(0, 1, writer="b")]
    assert accept(None, log)[0] == [True, True, False, False]


def test_an_empty_link_above_the_last_origin_is_accepted() -> None:
    assert is_accepted(at(7), Link(at(8, "new"), None))
    assert not is_accepted(at(7), Link(at(7, "new"), None))
    assert not is_accepted(at(7), Link(at(9, "new", topic_id="other"), None))


def test_a_link_that_goes_backwards_is_refused() -> None:
    assert not is_accepted(at(7), Link(at(7, "b"), at(7)))
    assert is_accepted(at(7), Link(at(0, "b", topic_id="recreated"), at(7)))


def test_the_anchor_of_a_cut_log_is_the_chain_that_goes_furthest() -> None:
    late = chain(4, 5, writer="late", before=at(3, "old"))
    true = chain(6, 7, 8, writer="true", before=at(5, "old"))
    log = [late[0], true[0], late[1], *true[1:]]
    assert find_anchor(log) == at(5, "old")
    assert accept(find_anchor(log), log)[0] == [False, True, False, True, True]


def test_a_log_from_its_beginning_has_no_anchor() -> None:
    assert find_anchor(chain(0, 1, 2)) is None
    assert find_anchor([]) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.integers(-1, 5), st.sampled_from("ab")),
        max_size=30,
    )
)
def test_accepted_origins_only_rise(packs: list[tuple[int, str, int, str]]) -> None:
    log = [Link(at(o, w), at(b, bw) if b >= 0 else None) for o, w, b, bw in packs]
    verdicts, last = accept(None, log)
    offsets = [link.this.offset for link, accepted in zip(log, verdicts, strict=True) if accepted]
    assert offsets == sorted(set(offsets))
    assert last == (at(offsets[-1], last.writer) if offsets and last else None)


RAW = RawLog("t", 0, end=10, next=8)


@pytest.mark.parametrize(
    ("pack", "verdict"),
    [
        (Link(at(8), at(7), 0), Verdict.ACCEPTED),
        (Link(at(8, "other"), at(7), 0), Verdict.ACCEPTED),
        (Link(at(8), at(6), 0), Verdict.IGNORED),
        (Link(at(7), at(7), 0), Verdict.IGNORED),
        (Link(at(9), at(7), 0), Verdict.ORIGIN_SKIPS),
        (Link(at(10), at(7), 0), Verdict.ORIGIN_AHEAD),
        (Link(at(2**60), at(7), 0), Verdict.ORIGIN_AHEAD),
        (Link(at(2**60), None, 0), Verdict.ORIGIN_AHEAD),
        (Link(at(8), at(7), 1), Verdict.ORIGIN_ELSEWHERE),
        (Link(at(-1, topic_id="other"), at(7), 0), Verdict.ORIGIN_ELSEWHERE),
        (Link(at(8, topic_id="other"), at(7), 0), Verdict.ORIGIN_ELSEWHERE),
    ],
    ids=str,
)
def test_a_pack_names_the_raw_message_whose_turn_it_is(pack: Link, verdict: Verdict) -> None:
    assert judge(at(7), pack, RAW) is verdict


def test_messages_that_expired_are_no_reason_to_refuse_what_follows() -> None:
    assert judge(at(2), Link(at(8), at(2), 0), RAW) is Verdict.ACCEPTED


def test_what_an_older_raw_topic_left_counts_until_a_pack_of_todays() -> None:
    old, new = chain(5, 6), Link(at(8, topic_id="t"), at(6, topic_id="old"), 0)
    old = [
        Link(one.this._replace(topic_id="old"), one.before and one.before._replace(topic_id="old"), 0)
        for one in old
    ]
    assert judge(None, old[0], RAW) is Verdict.ACCEPTED
    assert judge(old[0].this, old[1], RAW) is Verdict.ACCEPTED
    assert judge(old[1].this, new, RAW) is Verdict.ACCEPTED
    jump = Link(at(2**60, topic_id="old"), old[0].this, 0)
    assert judge(old[0].this, jump, RAW) is Verdict.ORIGIN_SKIPS
    back = Link(at(9, topic_id="old"), new.this, 0)
    assert judge(new.this, back, RAW) is Verdict.ORIGIN_ELSEWHERE


def test_the_anchor_is_not_what_a_forger_says() -> None:
    true = chain(6, 7, 8, before=at(5, "old"))
    forged = Link(at(2**60, "x"), at(4, "nobody"), 0)
    assert find_anchor([*true, forged]) == at(4, "nobody"), "without a bound the highest origin wins"
    assert find_anchor([*true, forged], RAW) == at(5, "old")
    long = chain(*range(6, 300), before=at(5, "old"))
    plausible = Link(at(302, "x"), at(301, "nobody"), 0)
    assert find_anchor([plausible, *long], RAW._replace(end=400)) == at(5, "old")
