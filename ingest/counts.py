"""What the edge counts: plain numbers on the hot path (0.1 µs each), Prometheus metrics only when somebody asks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime import metrics


@dataclass(slots=True)
class Counts:
    """Numbers since the start of this process."""

    hits: defaultdict[tuple[str, int], int] = field(
        default_factory=lambda: defaultdict(int)
    )  # endpoint, status
    events: Counter[str] = field(default_factory=Counter)  # by endpoint
    refused: Counter[str] = field(default_factory=Counter)  # by reason
    packs: Counter[str] = field(default_factory=Counter)  # by way: kafka, spool


class EdgeMetrics(Collector):
    """Reads the numbers at the moment of a scrape."""

    def __init__(self, counts: Counts, gauges: Mapping[metrics.Metric, Callable[[], float]]) -> None:
        self._counts = counts
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """All metrics of the edge."""
        hits: dict[tuple[str, ...], int] = {
            (endpoint, str(status)): count for (endpoint, status), count in self._counts.hits.items()
        }
        yield _counter(metrics.INGEST_HITS, hits)
        for metric, counter in (
            (metrics.INGEST_EVENTS, self._counts.events),
            (metrics.INGEST_REFUSED, self._counts.refused),
            (metrics.INGEST_PACKS, self._counts.packs),
        ):
            yield _counter(metric, {(label,): count for label, count in counter.items()})
        for metric, read in self._gauges.items():
            yield GaugeMetricFamily(metric.name, metric.meaning, value=read())


def render(collector: Collector) -> bytes:
    """The metrics as Prometheus text."""
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)


def _counter(metric: metrics.Metric, values: Mapping[tuple[str, ...], int]) -> CounterMetricFamily:
    family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.meaning, labels=metric.labels)
    for labels, count in values.items():
        family.add_metric(labels, count)
    return family
