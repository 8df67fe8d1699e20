"""The false-alarm budget and the power, measured on simulated traffic; seeds are fixed, so a run repeats."""

from collections import Counter

import numpy as np
import pytest

from sinks.alerts.rules import Direction, Kind
from tests.sinks.alerts.traffic_maker import judged, noisy, sites_of

HISTORY = 120  # minutes


def test_steady_noisy_traffic_raises_nothing() -> None:
    """480,000 minutes of (site, name) pairs: noise up to four times Poisson's variance, days that swing by 60 %.

    A month of 200 pairs is 8.6 million; longer runs of the same maker gave the figures in sinks/alerts/judge.py.
    What this test alone shows: at twenty times the budget (20 a month of 200 pairs) it would fail in two runs of three.
    """
    rng = np.random.default_rng(5)
    found = []
    for _ in range(2):
        sites, minutes = 200, 360
        dispersion = rng.choice([1.0, 1.3, 2.0, 3.0, 4.0], size=(sites, 1))
        level = np.exp(rng.uniform(np.log(20), np.log(400), size=(sites, 1)))
        shape = 1 + 0.6 * np.sin(2 * np.pi * (np.arange(minutes) / 1440 + rng.random((sites, 1))))
        shares = {"page_view": 1.0, "purchase": 0.2, "cart": 0.08, "click": 0.5, "rare": 0.02}
        traffic = sites_of(
            {name: noisy(rng, level * share * shape, dispersion) for name, share in shares.items()}
        )
        found += judged(traffic, range(HISTORY, minutes))
    assert found == []


@pytest.mark.parametrize("dispersion", [1.0, 2.0])
def test_six_hours_of_one_site_raise_nothing_at_its_start_either(dispersion: float) -> None:
    """The first judged minutes have the least history behind them."""
    rng = np.random.default_rng(6)
    shares = {"page_view": 300.0, "purchase": 60.0}
    traffic = sites_of(
        {name: noisy(rng, np.full((100, 240), mean), dispersion) for name, mean in shares.items()}
    )
    assert judged(traffic, range(1, 240)) == []


def test_purchases_fallen_by_60_percent_are_found_in_the_first_two_minutes() -> None:
    """97 of 100 by the second minute and 99 by the third, with Poisson noise on hits and purchases.

    The noise itself sets this: with a baseline known exactly, the best rule with one fluke in 60 million looks finds 99
    of 100 by the second minute. A lower threshold would buy the rest with false alarms.
    """
    rng = np.random.default_rng(7)
    sites = 2_000
    mean = np.full((sites, HISTORY + 3), 60.0)
    mean[:, HISTORY:] *= 0.4
    traffic = sites_of({"page_view": noisy(rng, np.full_like(mean, 300.0)), "purchase": noisy(rng, mean)})
    found = judged(traffic, range(HISTORY, HISTORY + 3))
    first: dict[str, int] = {}
    for place, one in found:
        assert (one.subject, one.direction) == ("purchase", Direction.DOWN), "nothing else stands out"
        first.setdefault(one.site, place - HISTORY + 1)
    by = Counter(first.values())
    assert (by[1] + by[2]) / sites >= 0.96
    assert sum(by.values()) / sites >= 0.985
    kinds = Counter(one.kind for _, one in found)
    assert kinds[Kind.CONVERSION_DROP] / sum(kinds.values()) > 0.99, (
        "traffic is steady, so it is the rate that fell"
    )


def test_the_same_fall_without_noise_is_found_in_the_first_two_minutes() -> None:
    purchases = np.full((1, HISTORY + 2), 60.0)
    purchases[:, HISTORY:] = 24.0
    traffic = sites_of({"page_view": np.full_like(purchases, 300.0), "purchase": purchases})
    found = judged(traffic, [HISTORY, HISTORY + 1])
    assert found
    assert found[0][1].kind is Kind.CONVERSION_DROP
    assert found[0][1].expected == pytest.approx(60)


@pytest.mark.parametrize("dispersion", [1.0, 4.0])
def test_a_threefold_rise_is_found_in_its_first_minute(dispersion: float) -> None:
    rng = np.random.default_rng(8)
    mean = np.full((500, HISTORY + 1), 300.0)
    mean[:, HISTORY:] *= 3
    traffic = sites_of(
        {"page_view": noisy(rng, mean, dispersion), "purchase": noisy(rng, mean / 5, dispersion)}
    )
    found = [one for _, one in judged(traffic, [HISTORY]) if one.subject == ""]
    assert len([one for one in found if one.kind is Kind.SPIKE]) / 500 >= 0.99


@pytest.mark.parametrize("dispersion", [1.0, 4.0])
def test_silence_is_found_in_its_first_minute(dispersion: float) -> None:
    rng = np.random.default_rng(9)
    mean = np.full((500, HISTORY + 1), 300.0)
    mean[:, HISTORY:] = 0.0
    traffic = sites_of({"page_view": noisy(rng, mean, dispersion)})
    found = [one for _, one in judged(traffic, [HISTORY]) if one.subject == ""]
    assert len([one for one in found if one.kind is Kind.SILENCE]) / 500 >= 0.99


@pytest.mark.parametrize(("level", "within"), [(0.8, 70), (3.0, 16)])
def test_a_sparse_name_is_missed_when_enough_is_missing(level: float, within: int) -> None:
    """One silent minute says nothing about a name of one event a minute; an hour does."""
    rng = np.random.default_rng(10)
    rare = noisy(rng, np.full((200, 240 + within), level))
    rare[:, 240:] = 0.0
    traffic = sites_of({"page_view": noisy(rng, np.full_like(rare, 100.0)), "rare": rare})
    found = judged(traffic, range(240, 240 + within))
    assert all(one.subject == "rare" for _, one in found)
    assert len({one.site for _, one in found}) >= 185
    assert min(place for place, _ in found) >= 249, "not before ten minutes passed"


def test_a_slow_evening_and_a_steep_morning_raise_nothing() -> None:
    rng = np.random.default_rng(11)
    evening = np.concatenate([np.full(180, 300.0), 300.0 * np.exp(-np.arange(240) / 170)])
    morning = np.concatenate([np.zeros(200), np.minimum(300.0 * np.arange(220) / 60, 300.0)])
    for shape in (evening, morning):
        traffic = sites_of({"page_view": noisy(rng, np.tile(shape, (100, 1)), 2.0)})
        assert judged(traffic, range(120, len(shape))) == []


def test_a_flood_of_another_event_lowers_no_rate() -> None:
    rng = np.random.default_rng(12)
    scroll = np.full((50, HISTORY + 5), 10.0)
    scroll[:, HISTORY:] = 900.0
    traffic = sites_of(
        {
            "page_view": noisy(rng, np.full_like(scroll, 300.0)),
            "purchase": noisy(rng, np.full_like(scroll, 60.0)),
            "scroll": noisy(rng, scroll),
        }
    )
    assert {one.direction for _, one in judged(traffic, range(HISTORY, HISTORY + 5))} == {Direction.UP}


def test_history_alone_cannot_fall_silent() -> None:
    """What was imported ends where it ends; only a site that an earlier judgement saw alive can go silent."""
    purchases = np.full((1, HISTORY + 2), 60.0)
    purchases[:, HISTORY:] = 0.0
    traffic = sites_of({"page_view": purchases * 5, "purchase": purchases})
    assert judged(traffic, [HISTORY, HISTORY + 1], fresh=lambda site: False) == []
    assert judged(traffic, [HISTORY], fresh=lambda site: True)
