"""Traffic for tests: noise of a chosen dispersion, days with seasons, and matrices ready to be judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from sinks.alerts.baseline import Floats
from sinks.alerts.judge import judge_minute
from sinks.alerts.rules import Finding
from sinks.alerts.traffic import Traffic, usable_minutes


def noisy(rng: np.random.Generator, mean: Floats, dispersion: float | Floats = 1.0) -> Floats:
    """Counts with these means and this variance / mean: Poisson at 1, negative binomial above."""
    over = np.maximum(np.broadcast_to(dispersion, mean.shape) - 1.0, 1e-9)
    mean = np.maximum(mean, 1e-9)
    spread = np.where(over > 1e-6, rng.gamma(mean / over) * over, mean)
    return rng.poisson(spread).astype(np.float64)


def sites_of(names: Mapping[str, Floats], pages: str = "page_view") -> Traffic:
    """Many like sites at once. names: for each event name, counts [site, minute]; `pages` is the one of kind page."""
    sites, minutes = next(iter(names.values())).shape
    size = len(names) + 1
    counts, page = np.zeros((sites * size, minutes)), np.zeros((sites * size, minutes))
    for place, (name, values) in enumerate(names.items(), start=1):
        counts[place::size] = values
        counts[0::size] += values
        if name == pages:
            page[place::size] = values
            page[0::size] += values
    series = tuple((f"site{site:04}", name) for site in range(sites) for name in ("", *names))
    return Traffic(
        series,
        (0, minutes * 60),
        counts,
        page,
        np.zeros(counts.shape, dtype=bool),
        np.repeat(np.arange(sites) * size, size),
    )


def judged(
    traffic: Traffic, minutes: Iterable[int], fresh: Callable[[str], bool] = lambda site: True
) -> list[tuple[int, Finding]]:
    """Findings of these minutes (places in the matrix), each judged by itself, with nothing open before."""
    found = []
    for place in minutes:
        seen = traffic.until(place * 60)
        found += [(place, one) for one in judge_minute(seen, usable_minutes(seen, lambda series: ()), fresh)]
    return found
