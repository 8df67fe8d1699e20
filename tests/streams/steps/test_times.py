"""When an event happened: claims of browsers are corrected and bounded, those of backends are taken."""

import pytest

from schemas.drops import DropReason
from schemas.event import Flag
from streams.rules import DAY_MS
from streams.steps.times import time_of
from tests.streams.make import NOW, cleaned, page_view, purchase


def test_a_claim_moves_by_the_difference_between_the_clocks() -> None:
    fast_by_an_hour = page_view(occurred_at=NOW + 3_590_000, sent_at=NOW + 3_600_000)
    one = cleaned(fast_by_an_hour)
    assert one.occurred_at == [NOW - 10_000]
    assert one.flags[0] & Flag.TIME_CORRECTED


def test_no_claim_means_now() -> None:
    assert (
        cleaned(page_view(occurred_at=0), page_view(event_id="e2", occurred_at=5, sent_at=5)).occurred_at[0]
        == NOW
    )


@pytest.mark.parametrize(("claim", "kept"), [(NOW + 60_000, NOW), (1_000, NOW - 30 * DAY_MS)])
def test_an_impossible_claim_of_a_browser_is_clamped_and_flagged(claim: int, kept: int) -> None:
    one = cleaned(page_view(occurred_at=claim))
    assert one.occurred_at == [kept]
    assert one.flags[0] & Flag.TIME_CLAMPED


def test_a_browser_claim_is_clamped_to_a_shorter_retention_and_never_expires() -> None:
    one = cleaned(page_view(occurred_at=NOW - 9 * DAY_MS), site="retention_days = 2")
    assert one.occurred_at == [NOW - 2 * DAY_MS]


def test_a_backend_is_believed() -> None:
    assert cleaned(purchase(occurred_at=NOW - 400 * DAY_MS, sent_at=NOW + 999)).occurred_at == [
        NOW - 400 * DAY_MS
    ]


def test_a_log_line_is_believed() -> None:
    line = page_view(source="log", occurred_at=NOW - 400 * DAY_MS)
    assert cleaned(line).occurred_at == [NOW - 400 * DAY_MS]


def test_what_is_older_than_the_retention_is_expired() -> None:
    batch = cleaned(
        purchase(occurred_at=NOW - 3 * DAY_MS), purchase(event_id="o2"), site="retention_days = 2"
    )
    assert batch.event_id == ["o2"]
    assert batch.dropped == {DropReason.EXPIRED: 1}


def test_without_a_retention_nothing_expires() -> None:
    assert len(cleaned(purchase(occurred_at=1))) == 1


def test_a_backend_that_speaks_of_next_year_is_put_at_now() -> None:
    time, flags, reason = time_of(NOW + 365 * DAY_MS, 0, NOW, True, None)
    assert (time, flags, reason) == (NOW, Flag.TIME_CLAMPED, None)
