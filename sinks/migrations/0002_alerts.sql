-- Every transition of every alert; one row each, written before anybody is told.
CREATE TABLE alerts
(
    alert_id String COMMENT 'one incident: hash of key and start',
    sequence UInt32 COMMENT '1 opens, the highest is the latest',
    key String COMMENT 'site/subject/direction; at most one alert is open for a key',
    state LowCardinality(String) COMMENT 'open, update, resolved',
    kind LowCardinality(String) COMMENT 'conversion_drop, drop, silence, spike',
    severity LowCardinality(String) COMMENT 'warning, critical',
    site LowCardinality(String),
    subject String COMMENT 'event name; empty is all traffic of the site',
    direction LowCardinality(String) COMMENT 'down, up',
    started_at DateTime('UTC') COMMENT 'first minute of the window that opened it',
    minute DateTime('UTC') COMMENT 'the judged minute',
    window_minutes UInt16,
    observed Float64 COMMENT 'human hits a minute',
    expected Float64 COMMENT 'human hits a minute',
    low Float64 COMMENT '99 of 100 ordinary windows lie between low and high',
    high Float64,
    title String COMMENT 'one plain sentence',
    detail String
)
ENGINE = ReplacingMergeTree
ORDER BY (site, key, started_at, alert_id, sequence)
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Every transition of every alert; written before anybody is told';

-- What the watcher remembers from one judged minute to the next; the row with the highest version counts.
CREATE TABLE alert_state
(
    name LowCardinality(String),
    version UInt64,
    value String COMMENT 'JSON: last judged minute, open alerts, what still has to be sent'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY name
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'What the alert watcher remembers; the highest version counts';
