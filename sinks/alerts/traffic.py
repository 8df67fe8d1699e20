"""Counts by minute of every (site, name) pair and every site, as one matrix; made from rows of `rollup_minute`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sinks.alerts.baseline import HISTORY_MINUTES, Bools, Floats, Indices, median

WINDOWS = (1, 2, 5, 15, 60)  # minutes
SPAN_MINUTES = HISTORY_MINUTES + max(WINDOWS)  # what one judgement looks at
ALL_TRAFFIC = ""  # the subject that stands for everything on a site

LATE_SHARE, LATE_HITS = 1.1, 5.0  # a minute may grow this much after it was judged and still count as judged
BASE_PER_MINUTE_MIN = 20.0  # page views a minute from which they are the base of a site's rates

Series = tuple[str, str]  # site, subject: an event name or ALL_TRAFFIC
# site, name; and equally long: minutes (seconds since 1970, each once), human hits, those of kind page
SeriesRow = tuple[str, str, Sequence[int], Sequence[int], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Human hits by series and minute, oldest minute first; a site's own series stands beside those of its names."""

    series: tuple[Series, ...]
    minutes: tuple[int, int]  # first minute, and the one after the last; seconds since 1970
    counts: Floats  # [series, minutes]
    pages: Floats  # [series, minutes]: those of `counts` that are page views
    late: Bools  # [series, minutes]: held clearly less when the minute was judged; no window reaches over such a minute
    site: Indices  # for each series, the row of its site's own

    def until(self, minute: int) -> Traffic:
        """The SPAN_MINUTES that end with `minute`."""
        stop = (minute - self.minutes[0]) // 60 + 1
        start = max(stop - SPAN_MINUTES, 0)
        first = self.minutes[0] + start * 60
        cut = slice(start, stop)
        counts, pages, late = self.counts[:, cut], self.pages[:, cut], self.late[:, cut]
        return Traffic(self.series, (first, minute + 60), counts, pages, late, self.site)


def build_traffic(
    series_rows: Iterable[SeriesRow],
    first: int,
    last: int,
    as_judged: Mapping[int, Mapping[Series, float]] | None = None,
) -> Traffic:
    """Minutes from `first` to `last`, both included, as a matrix; a minute that is not named counts 0.

    as_judged: for minutes judged before, what each series held then.
    """
    series_rows = list(series_rows)
    sites = {(row[0], ALL_TRAFFIC) for row in series_rows}
    series = tuple(sorted({(row[0], row[1]) for row in series_rows} | sites))  # "" sorts before every name
    place = {one: index for index, one in enumerate(series)}
    counts = np.zeros((len(series), (last - first) // 60 + 1))
    pages = np.zeros_like(counts)
    for site, name, minutes, human, page in series_rows:
        columns = (np.asarray(minutes, dtype=np.int64) - first) // 60
        for index in {place[site, name], place[site, ALL_TRAFFIC]}:  # one of a lane without a name
            counts[index, columns] += human
            pages[index, columns] += page
    late = np.zeros(counts.shape, dtype=np.bool_)
    for minute, held in (as_judged or {}).items():
        if first <= minute <= last:
            then = np.array([held.get(one, 0.0) for one in series])
            late[:, (minute - first) // 60] = (
                counts[:, (minute - first) // 60] > LATE_SHARE * then + LATE_HITS
            )
    own = np.array([place[site, ALL_TRAFFIC] for site, _ in series], dtype=np.int_)
    return Traffic(series, (first, last + 60), counts, pages, late, own)


def usable_minutes(traffic: Traffic, spoilt: Callable[[Series], Sequence[tuple[int, int]]]) -> Bools:
    """Which minutes say what is normal: from a series' first activity on, and not under an alert.

    spoilt: the stretches (first minute, minute after the last) in which the series was under an alert.
    """
    usable = np.cumsum(traffic.counts, axis=1) > 0
    first, stop = traffic.minutes
    for index, series in enumerate(traffic.series):
        site = spoilt((series[0], ALL_TRAFFIC))
        for start, end in (*site, *spoilt(series)) if series[1] else site:
            usable[index, max((start - first) // 60, 0) : max((min(end, stop) - first) // 60, 0)] = False
    return np.asarray(usable)


def bases(traffic: Traffic) -> tuple[Floats, Bools]:
    """What each series is a rate of, by minute; and which series have a rate at all.

    The base is the site's page views: a new kind of event on every page then changes no rate. A site with less than
    twenty page views a minute takes all its other hits. Page views themselves and a site's own series have no rate.
    """
    site_pages, site_counts = traffic.pages[traffic.site], traffic.counts[traffic.site]
    page_based = median(site_pages[:, -HISTORY_MINUTES:]) >= BASE_PER_MINUTE_MIN
    base = np.where(page_based[:, None], site_pages - traffic.pages, site_counts - traffic.counts)
    is_page = 2 * traffic.pages.sum(axis=1) > traffic.counts.sum(axis=1)
    is_site = np.array([not name for _, name in traffic.series], dtype=np.bool_)
    return base, ~is_page & ~is_site
