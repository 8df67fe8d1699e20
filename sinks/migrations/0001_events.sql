-- From clean packs to rows: the landing table, what stands behind it, and the ledger.
--
-- Every table that a pack flows into remembers the tokens of its last 100,000 inserts, so that a repeated block
-- changes nothing anywhere. Minutes are those of receipt, except in rollup_minute: there of occurrence.

-- The landing table keeps nothing; its columns are the fields of schemas/avro/clean_pack.v1.avsc. An empty array
-- stands for a column of defaults. Plain strings here: read into dictionaries at this door the same pack takes
-- 3.6 µs an event instead of 1.0.
CREATE TABLE packs
(
    origin_topic_id String,
    origin_partition UInt16,
    origin_offset UInt64,
    writer String,
    link_topic_id String,
    link_offset Int64,
    link_writer String,
    pack_id String,
    edge String,
    repeat Bool,
    dead String,
    accepted_minute Array(Int64),
    accepted_site Array(String),
    accepted_count Array(Int32),
    kept String,
    count UInt32,
    rules_version String,
    event_id Array(String),
    site Array(String),
    name Array(String),
    kind Array(String),
    source Array(String),
    protocol Array(String),
    trust Array(String),
    occurred_at Array(Int64),
    received_at Array(Int64),
    country Array(String),
    ip_network Array(String),
    browser Array(String),
    os Array(String),
    device Array(String),
    language Array(String),
    host Array(String),
    path Array(String),
    query Array(String),
    referrer_host Array(String),
    channel Array(String),
    utm_source Array(String),
    utm_medium Array(String),
    utm_campaign Array(String),
    utm_term Array(String),
    utm_content Array(String),
    visitor Array(String),
    user Array(String),
    session Array(String),
    basis Array(String),
    purposes Array(String),
    bot_score Array(Int32),
    bot_signals Array(String),
    is_bot Array(Bool),
    value_e4 Array(Int64),
    currency Array(String),
    properties Array(String),
    flags Array(Int32),
    drop_key Array(String),
    drop_minute Array(Int64),
    drop_site Array(String),
    drop_name Array(String),
    drop_source Array(String),
    drop_reason Array(String),
    sighting_key Array(String),
    sighting_event_id Array(String),
    sighting_site Array(String),
    sighting_name Array(String),
    sighting_source Array(String),
    sighting_protocol Array(String),
    sighting_trust Array(String),
    sighting_received_at Array(Int64),
    sighting_occurred_at Array(Int64),
    sighting_value_e4 Array(Int64),
    sighting_currency Array(String),
    sighting_user Array(String),
    sighting_properties Array(String),
    refusal_minute Array(Int64),
    refusal_site Array(String),
    refusal_reason Array(String),
    refusal_count Array(Int32)
)
ENGINE = Null
COMMENT 'Where clean packs arrive; keeps nothing itself';

-- The same door with nothing behind it: the loader tries packs here when a block cannot be read.
CREATE TABLE packs_trial AS packs ENGINE = Null COMMENT 'Reads packs and keeps nothing; for finding an unreadable one';

-- Behind the door: packs whose columns fit together. All that keeps anything hangs here, so that a pack that does not
-- fit refuses its block before the first row is written. (A CONSTRAINT would say it better; chdb 26.9 does not check any.)
CREATE TABLE packs_even AS packs ENGINE = Null COMMENT 'Packs that fit together; keeps nothing itself';

CREATE TABLE packs_trial_even AS packs ENGINE = Null COMMENT 'The end of the trial; keeps nothing';

CREATE MATERIALIZED VIEW packs_to_packs_even TO packs_even AS
SELECT * FROM packs
WHERE throwIf(NOT (
    length(event_id) = count AND length(kept) = 25 * count AND length(pack_id) IN (0, 32)
    AND length(accepted_minute) = length(accepted_site) AND length(accepted_minute) = length(accepted_count)
    AND length(drop_key) = length(drop_minute) AND length(drop_key) = length(drop_site)
    AND length(drop_key) = length(drop_name) AND length(drop_key) = length(drop_source)
    AND length(drop_key) = length(drop_reason) AND arrayAll(key -> length(key) = 16, drop_key)
    AND arrayAll(key -> length(key) = 16, sighting_key)
    AND length(refusal_minute) = length(refusal_site) AND length(refusal_minute) = length(refusal_reason)
    AND length(refusal_minute) = length(refusal_count)
    AND arrayAll(size -> size IN (0, count), [length(site), length(name), length(kind), length(source),
        length(protocol), length(trust), length(occurred_at), length(received_at), length(country),
        length(ip_network), length(browser), length(os), length(device), length(language), length(host),
        length(path), length(query), length(referrer_host), length(channel), length(utm_source),
        length(utm_medium), length(utm_campaign), length(utm_term), length(utm_content), length(visitor),
        length(user), length(session), length(basis), length(purposes), length(bot_score), length(bot_signals),
        length(is_bot), length(value_e4), length(currency), length(properties), length(flags)])
    AND arrayAll(size -> size IN (0, length(sighting_key)), [length(sighting_event_id), length(sighting_site),
        length(sighting_name), length(sighting_source), length(sighting_protocol), length(sighting_trust),
        length(sighting_received_at), length(sighting_occurred_at), length(sighting_value_e4),
        length(sighting_currency), length(sighting_user), length(sighting_properties)])
), 'the columns of a pack differ in length') = 0;

CREATE MATERIALIZED VIEW packs_trial_to_packs_trial_even TO packs_trial_even AS
SELECT * FROM packs_trial
WHERE throwIf(NOT (
    length(event_id) = count AND length(kept) = 25 * count AND length(pack_id) IN (0, 32)
    AND length(accepted_minute) = length(accepted_site) AND length(accepted_minute) = length(accepted_count)
    AND length(drop_key) = length(drop_minute) AND length(drop_key) = length(drop_site)
    AND length(drop_key) = length(drop_name) AND length(drop_key) = length(drop_source)
    AND length(drop_key) = length(drop_reason) AND arrayAll(key -> length(key) = 16, drop_key)
    AND arrayAll(key -> length(key) = 16, sighting_key)
    AND length(refusal_minute) = length(refusal_site) AND length(refusal_minute) = length(refusal_reason)
    AND length(refusal_minute) = length(refusal_count)
    AND arrayAll(size -> size IN (0, count), [length(site), length(name), length(kind), length(source),
        length(protocol), length(trust), length(occurred_at), length(received_at), length(country),
        length(ip_network), length(browser), length(os), length(device), length(language), length(host),
        length(path), length(query), length(referrer_host), length(channel), length(utm_source),
        length(utm_medium), length(utm_campaign), length(utm_term), length(utm_content), length(visitor),
        length(user), length(session), length(basis), length(purposes), length(bot_score), length(bot_signals),
        length(is_bot), length(value_e4), length(currency), length(properties), length(flags)])
    AND arrayAll(size -> size IN (0, length(sighting_key)), [length(sighting_event_id), length(sighting_site),
        length(sighting_name), length(sighting_source), length(sighting_protocol), length(sighting_trust),
        length(sighting_received_at), length(sighting_occurred_at), length(sighting_value_e4),
        length(sighting_currency), length(sighting_user), length(sighting_properties)])
), 'the columns of a pack differ in length') = 0;

-- One row an event. Texts that repeat are dictionaries; ids, hashes and paths are not.
CREATE TABLE events
(
    event_id String CODEC(ZSTD(1)),
    site LowCardinality(String),
    name LowCardinality(String),
    kind LowCardinality(String),
    source LowCardinality(String),
    protocol LowCardinality(String),
    trust LowCardinality(String),
    occurred_at DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    received_at DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    country LowCardinality(String),
    ip_network String,
    browser LowCardinality(String),
    os LowCardinality(String),
    device LowCardinality(String),
    language LowCardinality(String),
    host LowCardinality(String),
    path String,
    query String,
    referrer_host LowCardinality(String),
    channel LowCardinality(String),
    utm_source LowCardinality(String),
    utm_medium LowCardinality(String),
    utm_campaign LowCardinality(String),
    utm_term LowCardinality(String),
    utm_content LowCardinality(String),
    visitor String,
    user String,
    session String,
    basis LowCardinality(String) COMMENT 'consented, anonymous or contract',
    purposes LowCardinality(String),
    bot_score UInt8,
    bot_signals LowCardinality(String),
    is_bot Bool,
    value Decimal(18, 4) COMMENT 'in units of currency, exact',
    currency LowCardinality(String),
    properties String CODEC(ZSTD(1)) COMMENT 'JSON text of an object, or empty',
    flags UInt16,
    rules_version LowCardinality(String),
    origin_topic_id LowCardinality(String) COMMENT 'the raw pack this event came in',
    origin_partition UInt16,
    origin_offset UInt64,
    loaded_at DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    INDEX by_received_at received_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (site, name, occurred_at)
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'One row an event that was kept; bots included and marked';

-- reinterpret: ten-thousandths already are how Decimal(18, 4) stores a number, and it cannot overflow.
CREATE MATERIALIZED VIEW packs_to_events TO events AS
SELECT
    event_id,
    site,
    name,
    kind,
    source,
    protocol,
    trust,
    fromUnixTimestamp64Milli(occurred_ms, 'UTC') AS occurred_at,
    fromUnixTimestamp64Milli(received_ms, 'UTC') AS received_at,
    country,
    ip_network,
    browser,
    os,
    device,
    language,
    host,
    path,
    query,
    referrer_host,
    channel,
    utm_source,
    utm_medium,
    utm_campaign,
    utm_term,
    utm_content,
    visitor,
    user,
    session,
    basis,
    purposes,
    toUInt8(score) AS bot_score,
    bot_signals,
    is_bot,
    reinterpret(value_e4, 'Decimal(18, 4)') AS value,
    currency,
    properties,
    toUInt16(bits) AS flags,
    rules_version,
    origin_topic_id,
    origin_partition,
    origin_offset,
    now64(3, 'UTC') AS loaded_at
FROM packs_even
ARRAY JOIN
    event_id, site, name, kind, source, protocol, trust, packs_even.occurred_at AS occurred_ms, packs_even.received_at AS received_ms, country,
    ip_network, browser, os, device, language, host, path, query, referrer_host, channel, utm_source, utm_medium, utm_campaign, utm_term,
    utm_content, visitor, user, session, basis, purposes, packs_even.bot_score AS score, bot_signals, is_bot, value_e4, currency,
    properties, packs_even.flags AS bits;

-- What happened in each minute. human leaves bots out; uncertain is the part of human that looks odd.
CREATE TABLE rollup_minute
(
    site LowCardinality(String),
    name LowCardinality(String),
    kind LowCardinality(String),
    source LowCardinality(String),
    minute DateTime('UTC') COMMENT 'of occurrence',
    currency LowCardinality(String),
    hits SimpleAggregateFunction(sum, UInt64) COMMENT 'all rows, bots included',
    human SimpleAggregateFunction(sum, UInt64) COMMENT 'rows not marked as bots',
    uncertain SimpleAggregateFunction(sum, UInt64) COMMENT 'the part of human with a bot score above 0',
    bots SimpleAggregateFunction(sum, UInt64),
    value SimpleAggregateFunction(sum, Decimal(38, 4)) COMMENT 'of all rows, in units of currency, exact',
    human_value SimpleAggregateFunction(sum, Decimal(38, 4)),
    visitors AggregateFunction(uniq, String) COMMENT 'human visitors; read with uniqMerge'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (site, name, kind, source, minute, currency)
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Counts by minute of occurrence; sum again when reading';

CREATE MATERIALIZED VIEW events_to_rollup_minute TO rollup_minute AS
SELECT
    site,
    name,
    kind,
    source,
    toStartOfMinute(occurred_at) AS minute,
    currency,
    count() AS hits,
    countIf(NOT is_bot) AS human,
    countIf(NOT is_bot AND bot_score > 0) AS uncertain,
    countIf(is_bot) AS bots,
    sum(events.value) AS value,
    sumIf(events.value, NOT is_bot) AS human_value,
    uniqIfState(visitor, visitor != '' AND NOT is_bot) AS visitors
FROM events
GROUP BY site, name, kind, source, minute, currency;

-- Why an event has no row, for a week; the counts stay in drops_minute.
CREATE TABLE drops
(
    key FixedString(16) COMMENT 'keyed hash of site, name and id',
    minute DateTime('UTC') COMMENT 'of receipt',
    site LowCardinality(String),
    name LowCardinality(String),
    source LowCardinality(String),
    reason LowCardinality(String),
    origin_topic_id LowCardinality(String),
    origin_partition UInt16,
    origin_offset UInt64,
    loaded_at DateTime('UTC')
)
ENGINE = MergeTree
ORDER BY key
TTL loaded_at + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Each event that was dropped, and why; kept for a week';

CREATE MATERIALIZED VIEW packs_to_drops TO drops AS
SELECT
    toFixedString(drop_key, 16) AS key,
    toDateTime(drop_minute, 'UTC') AS minute,
    drop_site AS site,
    drop_name AS name,
    drop_source AS source,
    drop_reason AS reason,
    origin_topic_id,
    origin_partition,
    origin_offset,
    now('UTC') AS loaded_at
FROM packs_even
ARRAY JOIN drop_key, drop_minute, drop_site, drop_name, drop_source, drop_reason;

CREATE TABLE drops_minute
(
    site LowCardinality(String),
    minute DateTime('UTC') COMMENT 'of receipt',
    name LowCardinality(String),
    source LowCardinality(String),
    reason LowCardinality(String),
    count SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (site, minute, name, source, reason)
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'How many events were dropped under each reason; kept for good';

CREATE MATERIALIZED VIEW packs_to_drops_minute TO drops_minute AS
SELECT
    drop_site AS site,
    toDateTime(drop_minute, 'UTC') AS minute,
    drop_name AS name,
    drop_source AS source,
    drop_reason AS reason,
    count() AS count
FROM packs_even
ARRAY JOIN drop_key, drop_minute, drop_site, drop_name, drop_source, drop_reason
GROUP BY site, minute, name, source, reason;

-- Later copies of events that have a row already. A copy from a secret source also carries its content.
CREATE TABLE sightings
(
    key FixedString(16),
    event_id String CODEC(ZSTD(1)),
    site LowCardinality(String),
    name LowCardinality(String),
    source LowCardinality(String),
    protocol LowCardinality(String),
    trust LowCardinality(String),
    received_at DateTime64(3, 'UTC'),
    occurred_at DateTime64(3, 'UTC'),
    value Decimal(18, 4),
    currency LowCardinality(String),
    user String,
    properties String CODEC(ZSTD(1)),
    origin_topic_id LowCardinality(String),
    origin_partition UInt16,
    origin_offset UInt64
)
ENGINE = MergeTree
ORDER BY (site, name, event_id)
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Each later copy of an event that has a row';

CREATE MATERIALIZED VIEW packs_to_sightings TO sightings AS
SELECT
    toFixedString(sighting_key, 16) AS key,
    sighting_event_id AS event_id,
    sighting_site AS site,
    sighting_name AS name,
    sighting_source AS source,
    sighting_protocol AS protocol,
    sighting_trust AS trust,
    fromUnixTimestamp64Milli(sighting_received_at, 'UTC') AS received_at,
    fromUnixTimestamp64Milli(sighting_occurred_at, 'UTC') AS occurred_at,
    reinterpret(sighting_value_e4, 'Decimal(18, 4)') AS value,
    sighting_currency AS currency,
    sighting_user AS user,
    sighting_properties AS properties,
    origin_topic_id,
    origin_partition,
    origin_offset
FROM packs_even
ARRAY JOIN
    sighting_key, sighting_event_id, sighting_site, sighting_name, sighting_source, sighting_protocol, sighting_trust,
    sighting_received_at, sighting_occurred_at, sighting_value_e4, sighting_currency, sighting_user, sighting_properties;

-- What the edges answered for, by pack: written outside the seals, so it does not depend on what came out.
CREATE TABLE accepted
(
    site LowCardinality(String),
    minute DateTime('UTC') COMMENT 'of receipt',
    pack_id FixedString(16),
    count UInt32 COMMENT 'events the edge accepted in this pack, for this site and minute',
    dropped UInt32 COMMENT 'how many of them the pack lists as drops',
    dead LowCardinality(String) COMMENT 'why nobody could read the pack, or empty',
    origin_topic_id LowCardinality(String),
    origin_partition UInt16,
    origin_offset UInt64
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (site, minute, pack_id)
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'How many events each pack brought; a pack is dead when none of its rows has an empty dead';

CREATE MATERIALIZED VIEW packs_to_accepted TO accepted AS
SELECT
    accepted_site AS site,
    toDateTime(accepted_minute, 'UTC') AS minute,
    toFixedString(unhex(pack_id), 16) AS pack_id,
    toUInt32(accepted_count) AS count,
    toUInt32(arrayCount((one_site, one_minute) -> one_site = accepted_site AND one_minute = accepted_minute, drop_site, drop_minute)) AS dropped,
    dead,
    origin_topic_id,
    origin_partition,
    origin_offset
FROM packs_even
ARRAY JOIN accepted_minute, accepted_site, accepted_count;

-- What the edges refused: beside accepted, not in it.
CREATE TABLE refusals
(
    site LowCardinality(String),
    minute DateTime('UTC'),
    reason LowCardinality(String),
    count SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (site, minute, reason)
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'Requests and events the edges refused, by reason';

CREATE MATERIALIZED VIEW packs_to_refusals TO refusals AS
SELECT
    refusal_site AS site,
    toDateTime(refusal_minute, 'UTC') AS minute,
    refusal_reason AS reason,
    sum(toUInt64(refusal_count)) AS count
FROM packs_even
ARRAY JOIN refusal_minute, refusal_site, refusal_reason, refusal_count
GROUP BY site, minute, reason;

-- How far each raw partition is loaded. Packs with nothing in them count too: they close minutes.
CREATE TABLE progress
(
    origin_topic_id String,
    origin_partition UInt16,
    origin_offset SimpleAggregateFunction(max, UInt64) COMMENT 'highest raw offset whose clean pack is loaded',
    loaded_at SimpleAggregateFunction(max, DateTime('UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (origin_topic_id, origin_partition)
SETTINGS non_replicated_deduplication_window = 100000
COMMENT 'How far each raw partition is loaded; read with max';

CREATE MATERIALIZED VIEW packs_to_progress TO progress AS
SELECT
    origin_topic_id,
    origin_partition,
    max(packs_even.origin_offset) AS origin_offset,
    now('UTC') AS loaded_at
FROM packs_even
GROUP BY origin_topic_id, origin_partition;

-- What the loader was about to do: its way back when the consumer group's own note is lost.
CREATE TABLE positions
(
    consumer_group LowCardinality(String),
    topic_id String,
    partition UInt16,
    start_offset UInt64,
    end_offset UInt64,
    last_topic_id String COMMENT 'the accepted pack before the block; empty: none',
    last_offset Int64,
    last_writer String,
    written_at DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = ReplacingMergeTree(start_offset)
ORDER BY (consumer_group, topic_id, partition)
COMMENT 'The newest block of each clean partition; read with ORDER BY start_offset DESC LIMIT 1';

-- accepted = kept + dropped + dead, by site and minute of receipt. A difference that stays is a loss or a double.
CREATE VIEW ledger AS
SELECT
    site,
    minute,
    sum(part_accepted) AS accepted,
    sum(part_kept) AS kept,
    sumMap(part_dropped) AS dropped,
    sum(part_dead) AS dead,
    sum(part_refused) AS refused,
    toInt64(accepted) - toInt64(kept) - toInt64(arraySum(mapValues(dropped))) - toInt64(dead) AS difference
FROM
(
    SELECT
        site,
        minute,
        toUInt64(max(count)) AS part_accepted,
        toUInt64(0) AS part_kept,
        CAST(map(), 'Map(LowCardinality(String), UInt64)') AS part_dropped,
        if(min(dead != ''), part_accepted, 0) AS part_dead,
        toUInt64(0) AS part_refused
    FROM accepted
    GROUP BY site, minute, pack_id
    UNION ALL
    SELECT site, toStartOfMinute(received_at) AS minute, 0, count(), map(), 0, 0
    FROM events
    GROUP BY site, minute
    UNION ALL
    SELECT site, minute, 0, 0, map(reason, sum(count)), 0, 0
    FROM drops_minute
    GROUP BY site, minute, reason
    UNION ALL
    SELECT site, minute, 0, 0, map(), 0, sum(count)
    FROM refusals
    GROUP BY site, minute
)
GROUP BY site, minute
COMMENT 'Every event the edges answered for, and where it is';
