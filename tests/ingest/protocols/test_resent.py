"""Events without an id: what a browser sends again by itself is one event, what a person does again is two."""

from __future__ import annotations

from dataclasses import replace

from ingest.protocols.plausible import PROTOCOL, read
from ingest.protocols.protocol import Ask
from ingest.protocols.resent import MOMENT_MS, UNANSWERED_MS_MAX, Resent
from ingest.reading.row import EVENT_ID
from tests.ingest.protocols.laws import as_json
from tests.ingest.protocols.recorded import ask

BROWSER = {"User-Agent": "Mozilla/5.0", "Content-Type": "text/plain", "Sec-Fetch-Mode": "cors"}
VIEW = {"n": "pageview", "u": "https://shop.example/a", "d": "shop.example"}


def view(**headers: str) -> Ask:
    return ask("POST", "/api/event", "", BROWSER | headers, as_json(VIEW))


def test_what_a_browser_sends_again_within_a_moment_keeps_its_id_over_any_second_of_the_clock() -> None:
    resent, first = Resent(), view()
    for start in (0, MOMENT_MS // 2, MOMENT_MS - 1):
        now = first.now_ms // 10_000 * 10_000 + start
        ids = [id_at(resent, first, now + later) for later in (0, 1, MOMENT_MS)]
        assert len(set(ids)) == 1
        resent = Resent()


def test_the_same_after_a_moment_from_another_client_or_with_another_body_is_another_event() -> None:
    resent, first = Resent(), view()
    now = first.now_ms
    others = [
        first,
        replace(first, body=as_json(VIEW | {"u": "https://shop.example/b"})),
        replace(first, client=first.client._replace(user_agent="Mozilla/5.0 (other)")),
    ]
    ids = [id_at(resent, one, now) for one in others]
    resent.answered(first, "shop", PROTOCOL, now)
    ids.append(id_at(resent, first, now + MOMENT_MS + 1))
    assert len(set(ids)) == len(ids)


def test_the_moment_begins_with_each_answer_however_late_it_comes() -> None:
    resent, first = Resent(), view()
    now = first.now_ms
    ids = [id_at(resent, first, now), id_at(resent, first, now + 2_900)]  # still under way
    resent.answered(first, "shop", PROTOCOL, now + 3_000)
    ids.append(id_at(resent, first, now + 4_900))  # the answer was lost; so is the next one
    resent.answered(first, "shop", PROTOCOL, now + 6_500)
    ids.append(id_at(resent, first, now + 8_400))
    assert len(set(ids)) == 1
    resent.answered(first, "shop", PROTOCOL, now + 8_500)
    assert id_at(resent, first, now + 8_501 + MOMENT_MS) != ids[0]


def test_a_request_that_is_never_answered_is_forgotten() -> None:
    resent, first = Resent(), view()
    before = id_at(resent, first, first.now_ms)
    assert id_at(resent, first, first.now_ms + UNANSWERED_MS_MAX) == before
    assert id_at(resent, first, first.now_ms + UNANSWERED_MS_MAX + 1) != before


def test_without_a_browser_the_edge_makes_an_id_each_time() -> None:
    library = ask("POST", "/api/event", "", {"User-Agent": "Mozilla/5.0"}, as_json(VIEW))
    assert Resent().id_of(library, "shop", PROTOCOL) is None


def test_no_more_than_a_bounded_number_is_remembered() -> None:
    resent, first = Resent(remembered_max=1), view()
    last_ms = first.now_ms // MOMENT_MS * MOMENT_MS + MOMENT_MS - 1
    before = id_at(resent, first, last_ms)
    id_at(resent, replace(first, body=b"{}"), last_ms)
    assert id_at(resent, first, last_ms + 1) != before


def test_a_row_of_plausible_takes_it() -> None:
    resent = Resent()
    rows = [read(view(), resent).rows[0][1] for _ in range(2)]
    assert rows[0][EVENT_ID] == rows[1][EVENT_ID]


def test_plausible_says_when_its_rows_are_kept() -> None:
    resent, first = Resent(), view()
    reading = read(first, resent)
    assert reading.on_kept is not None
    reading.on_kept(first.now_ms + 5)
    (until_ms, _), *_ = resent._ids.values()
    assert until_ms == first.now_ms + 5 + MOMENT_MS


def id_at(resent: Resent, one: Ask, now_ms: int) -> str:
    found = resent.id_of(replace(one, now_ms=now_ms), "shop", PROTOCOL)
    assert found
    return found
