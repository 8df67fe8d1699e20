"""Identifiers become keyed hashes of their site."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.identity import keyed_hash
from streams.steps.hashes import hash_all
from tests.streams.make import cleaned, page_view


@given(st.binary(min_size=1, max_size=100), st.sampled_from(["visitor", "user"]), st.text(max_size=50))
def test_the_prepared_form_gives_the_hash_everybody_else_computes(
    secret: bytes, kind: str, value: str
) -> None:
    assert hash_all(secret, kind, [value, ""]) == [keyed_hash(secret, kind, value), ""]


def test_the_same_person_has_one_hash_on_a_site_and_another_elsewhere() -> None:
    batch = cleaned(
        page_view(),
        page_view(event_id="e2"),
        page_view(event_id="e3", visitor_id="other"),
        page_view(site="gone"),
    )
    assert batch.visitor[0] == batch.visitor[1] != batch.visitor[2]
    assert batch.visitor[3] == ""  # that site keeps nobody


def test_nobody_stays_nobody() -> None:
    assert not any(cleaned(page_view(visitor_id="")).visitor)


def test_visitor_user_and_session_with_one_value_differ() -> None:
    one = cleaned(page_view(visitor_id="x", user_id="x", session_id="x"))
    assert len({one.visitor[0], one.user[0], one.session[0]}) == 3
