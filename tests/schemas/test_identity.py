"""Names that cannot be turned back, and stay the same for ever."""

from hypothesis import given
from hypothesis import strategies as st

from schemas import identity

SECRET = bytes(range(32))


def test_the_hashes_are_those_of_the_first_release() -> None:
    """A change of any of these would make every event in every memory a new one."""
    assert identity.event_key(SECRET, "demo", "purchase", "42").hex() == "0af44fb7478ffbcc5c22917d41ce3c58"
    assert (
        identity.site_secret(SECRET, "demo").hex()
        == "76ba3a34e569807c02180c641657b55c93f9a4c4b1d14fae77eb63e885ba20f8"
    )
    assert identity.keyed_hash(SECRET, "visitor", "v-1") == "3987ea812294a4670de5710286dae2ca"
    assert identity.content_id(SECRET, [b"line", b"0"]) == "532df3fa260ef20f371a359616ee1ba3"
    assert [identity.partition_of("demo", "purchase", str(i), 6) for i in range(8)] == [
        2,
        0,
        0,
        4,
        5,
        1,
        3,
        1,
    ]


def test_nobody_has_the_hash_of_nobody() -> None:
    assert identity.keyed_hash(SECRET, "visitor", "") == ""


def test_the_same_person_has_other_hashes_elsewhere() -> None:
    a, b = identity.site_secret(SECRET, "a"), identity.site_secret(SECRET, "b")
    assert len({identity.keyed_hash(s, kind, "x") for s in (a, b) for kind in ("visitor", "user")}) == 4


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=20))
def test_many_keys_at_once_are_the_keys_one_by_one(events: list[tuple[str, str, str]]) -> None:
    sites, names, ids = ([e[i] for e in events] for i in range(3))
    assert identity.event_keys(SECRET, sites, names, ids) == [identity.event_key(SECRET, *e) for e in events]


def test_parts_of_a_content_id_do_not_run_together() -> None:
    assert identity.content_id(SECRET, [b"ab", b"c"]) != identity.content_id(SECRET, [b"a", b"bc"])


def test_a_long_id_becomes_its_hash() -> None:
    assert identity.shorten_event_id("x" * 200, 200) == "x" * 200
    assert len(identity.shorten_event_id("x" * 10_000, 200)) == 64
