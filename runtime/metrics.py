"""Every metric's name and a sentence an operator can use; programs register these and no others."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """One metric in Prometheus form."""

    name: str
    kind: str  # counter, gauge, histogram
    labels: tuple[str, ...]
    meaning: str


INGEST_HITS = Metric(
    "fairpixel_ingest_hits_total",
    "counter",
    ("endpoint", "status"),
    "requests answered, by endpoint and status",
)
INGEST_EVENTS = Metric(
    "fairpixel_ingest_events_total", "counter", ("endpoint",), "events acknowledged, by endpoint"
)
INGEST_REFUSED = Metric(
    "fairpixel_ingest_refused_total", "counter", ("reason",), "events refused at the edge, by reason"
)
INGEST_PACKS = Metric(
    "fairpixel_ingest_packs_total", "counter", ("way",), "packs delivered, to kafka or to the spool"
)
INGEST_SPOOL_PACKS = Metric(
    "fairpixel_ingest_spool_packs",
    "gauge",
    (),
    "packs in the spool that Kafka does not have yet; minutes stay open meanwhile",
)
INGEST_SPOOL_BYTES = Metric(
    "fairpixel_ingest_spool_bytes", "gauge", (), "size of the spool; at its limit the edge answers 503"
)
INGEST_SPOOL_FILL = Metric(
    "fairpixel_ingest_spool_fill",
    "gauge",
    (),
    "how full the spool is, 0 to 1; above 0.8 somebody must look why Kafka is away, at 1 the edge answers 503",
)
INGEST_WAITING = Metric(
    "fairpixel_ingest_waiting_events", "gauge", (), "events whose senders wait for an acknowledgement"
)
INGEST_DIRECT_CONSUMER_LAG = Metric(
    "fairpixel_ingest_direct_consumer_lag",
    "gauge",
    (),
    "messages of events.direct.v1 this edge has not taken yet",
)
STREAMS_PACKS = Metric(
    "fairpixel_streams_packs_total", "counter", ("outcome",), "raw packs handled, by outcome"
)
STREAMS_EVENTS = Metric(
    "fairpixel_streams_events_total", "counter", ("outcome",), "events decided, by disposition"
)
STREAMS_CONSUMER_LAG = Metric(
    "fairpixel_streams_consumer_lag_packs", "gauge", (), "raw packs not decided yet"
)
STREAMS_MASKED_WHOLE = Metric(
    "fairpixel_streams_masked_whole_total",
    "counter",
    (),
    "events with a text that took more work to scrub than one event may: masked or left out as a whole, flag 1024",
)
STREAMS_REFUSED = Metric(
    "fairpixel_streams_refused_total",
    "counter",
    ("reason",),
    "clean packs that no program of ours wrote, by reason; above 0 somebody else writes to Kafka",
)
STREAMS_STEP_SECONDS = Metric(
    "fairpixel_streams_step_seconds_total", "counter", ("step",), "time spent in each step"
)
SINKS_BLOCKS = Metric(
    "fairpixel_sinks_blocks_total",
    "counter",
    ("outcome",),
    "blocks inserted, repeated or left to another loader",
)
SINKS_PACKS = Metric(
    "fairpixel_sinks_packs_total", "counter", ("outcome",), "clean packs loaded, ignored, refused or dead"
)
SINKS_REFUSED = Metric(
    "fairpixel_sinks_refused_total",
    "counter",
    ("reason",),
    "clean packs and group offsets that no program of ours wrote, by reason; above 0 somebody else writes to Kafka",
)
SINKS_ROWS = Metric("fairpixel_sinks_rows_total", "counter", (), "rows written to events")
SINKS_CONSUMER_LAG = Metric("fairpixel_sinks_consumer_lag_packs", "gauge", (), "clean packs not loaded yet")
SINKS_LINK_OPEN = Metric(
    "fairpixel_sinks_link_open_seconds",
    "gauge",
    (),
    "age of the oldest pack that waits for the one it links to; above 60 somebody must look",
)
ALERTS_OPEN = Metric("fairpixel_alerts_open", "gauge", (), "alerts open now")
ALERTS_SENT = Metric(
    "fairpixel_alerts_sent_total",
    "counter",
    ("route", "outcome"),
    "alert messages sent, by route and outcome",
)
ALERTS_JUDGED_AGE = Metric(
    "fairpixel_alerts_judged_age_seconds", "gauge", (), "age of the last judged minute"
)

ALL_METRICS: tuple[Metric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)

# What somebody who runs the platform does about each; docs/metrics.md shows it beside the meaning.
WHAT_TO_DO: dict[str, str] = {
    INGEST_HITS.name: "a rising share of 4xx: look at `fairpixel_ingest_refused_total`; of 503: at the spool",
    INGEST_EVENTS.name: "nothing; a sudden fall is what alerts look for",
    INGEST_REFUSED.name: "look the reason up in docs/reasons.md; `unknown_key` and `invalid` are a client's"
    " configuration, `unavailable` is ours",
    INGEST_PACKS.name: "a rising number for the spool: Kafka does not acknowledge in time; see its log",
    INGEST_SPOOL_PACKS.name: "above 0 for minutes: bring Kafka back; it empties by itself",
    INGEST_SPOOL_BYTES.name: "make sure the disk has room up to FAIRPIXEL_INGEST_SPOOL_BYTES_MAX for each worker",
    INGEST_SPOOL_FILL.name: "alert above 0.8: bring Kafka back before it is 1",
    INGEST_WAITING.name: "near FAIRPIXEL_INGEST_WAITING_EVENTS_MAX: Kafka and the disk are too slow for the load",
    INGEST_DIRECT_CONSUMER_LAG.name: "rising: add edge workers; producers wait for nothing, but the topic keeps 48 h",
    STREAMS_PACKS.name: "`dead` above 0: `fairpixel replay` lists them; `repeat` is a pack that came twice: nothing",
    STREAMS_EVENTS.name: "nothing; docs/reasons.md explains each, and `fairpixel ledger` counts them by minute",
    STREAMS_CONSUMER_LAG.name: "rising: start more streams workers, at most one a partition; 0 is due long before 48 h",
    STREAMS_MASKED_WHOLE.name: "rising: somebody sends very large texts; find the site by flag 1024 in its rows",
    STREAMS_REFUSED.name: "above 0: find out who may write to events.clean.v1, take that right away,"
    " run `fairpixel ledger`",
    STREAMS_STEP_SECONDS.name: "nothing; says which step to look at when streams is slow",
    SINKS_BLOCKS.name: "`repeated` after a crash is right; `left` often: two loaders take partitions from each other",
    SINKS_PACKS.name: "`dead` or `refused` above 0: see the loader's log and `fairpixel replay`",
    SINKS_REFUSED.name: "above 0: find out who may write to events.clean.v1 or join the loader's group, take that right"
    " away, run `fairpixel ledger`",
    SINKS_ROWS.name: "nothing",
    SINKS_CONSUMER_LAG.name: "rising: see `/healthz` of the loader, which says what it waits for",
    SINKS_LINK_OPEN.name: "alert above 60: see the loader's log for `link_open`, then run `fairpixel ledger`",
    ALERTS_OPEN.name: "see what the webhook was told",
    ALERTS_SENT.name: "`refused` or `given_up` above 0: the receiver of this route takes no alerts; try its address",
    ALERTS_JUDGED_AGE.name: "a minute and a few seconds is ordinary; rising: the watcher's `/healthz` says what it"
    " waits for",
}
