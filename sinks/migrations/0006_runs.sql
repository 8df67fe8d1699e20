-- Clean packs that answer a run of raw packs have a landing table of their own. Those of the version before keep theirs, with its
-- views as they were: the tokens by which a repeated block is known hang on the views, and a block may be under way
-- while this runs. (A view whose query is changed takes the same block a second time.)

-- The columns are the fields of schemas/avro/clean_pack.v2.avsc. An empty array stands for a column of defaults.
CREATE TABLE runs
(
    origin_topic_id String,
    origin_partition UInt16,
    origin_offset UInt64,
    writer String,
    link_topic_id String,
    link_offset Int64,
    link_writer String,
    answered_pack_id Array(String),
    answered_edge Array(String),
    answered_repeat Array(Bool),
    answered_dead Array(String),
    accepted_minute Array(Int64),
    accepted_site Array(String),
    accepted_count Array(Int32),
    accepted_pack Array(Int32),
    kept String,
    count UInt32,
    rules_version String,
    answered_count Array(Int32),
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
    drop_pack Array(Int32),
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
    sighting_pack Array(Int32),
    refusal_minute Array(Int64),
    refusal_site Array(String),
    refusal_reason Array(String),
    refusal_count Array(Int32)
)
ENGINE = Null
COMMENT 'Where clean packs arrive; keeps nothing itself';

-- The same with nothing behind it, and what stands behind both, as with `packs`.
CREATE TABLE runs_trial AS runs ENGINE = Null COMMENT 'Reads packs and keeps nothing; for finding an unreadable one';

CREATE TABLE runs_even AS runs ENGINE = Null COMMENT 'Packs that fit together; keeps nothing itself';

CREATE TABLE runs_trial_even AS runs ENGINE = Null COMMENT 'The end of the trial; keeps nothing';

CREATE MATERIALIZED VIEW runs_to_runs_even TO runs_even AS
SELECT * FROM runs
WHERE throwIf(NOT (
    length(event_id) = count AND length(kept) = 25 * count AND arrayAll(id -> length(id) IN (0, 32), answered_pack_id)
    AND length(answered_pack_id) > 0 AND length(answered_pack_id) <= origin_offset + 1
    AND length(answered_pack_id) = length(answered_edge) AND length(answered_pack_id) = length(answered_repeat)
    AND length(answered_pack_id) = length(answered_dead) AND length(answered_pack_id) = length(answered_count)
    AND arrayAll(one -> one >= 0, answered_count) AND arraySum(answered_count) = count
    AND length(accepted_minute) = length(accepted_site) AND length(accepted_minute) = length(accepted_count)
    AND length(accepted_minute) = length(accepted_pack)
    AND length(drop_key) = length(drop_minute) AND length(drop_key) = length(drop_site)
    AND length(drop_key) = length(drop_name) AND length(drop_key) = length(drop_source)
    AND length(drop_key) = length(drop_reason)
    AND length(drop_key) = length(drop_pack) AND length(sighting_key) = length(sighting_pack)
    AND arrayAll(one -> one >= 0 AND one < length(answered_pack_id), arrayConcat(accepted_pack, drop_pack, sighting_pack))
    AND arrayAll(key -> length(key) = 16, drop_key)
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

CREATE MATERIALIZED VIEW runs_trial_to_runs_trial_even TO runs_trial_even AS
SELECT * FROM runs_trial
WHERE throwIf(NOT (
    length(event_id) = count AND length(kept) = 25 * count AND arrayAll(id -> length(id) IN (0, 32), answered_pack_id)
    AND length(answered_pack_id) > 0 AND length(answered_pack_id) <= origin_offset + 1
    AND length(answered_pack_id) = length(answered_edge) AND length(answered_pack_id) = length(answered_repeat)
    AND length(answered_pack_id) = length(answered_dead) AND length(answered_pack_id) = length(answered_count)
    AND arrayAll(one -> one >= 0, answered_count) AND arraySum(answered_count) = count
    AND length(accepted_minute) = length(accepted_site) AND length(accepted_minute) = length(accepted_count)
    AND length(accepted_minute) = length(accepted_pack)
    AND length(drop_key) = length(drop_minute) AND length(drop_key) = length(drop_site)
    AND length(drop_key) = length(drop_name) AND length(drop_key) = length(drop_source)
    AND length(drop_key) = length(drop_reason)
    AND length(drop_key) = length(drop_pack) AND length(sighting_key) = length(sighting_pack)
    AND arrayAll(one -> one >= 0 AND one < length(answered_pack_id), arrayConcat(accepted_pack, drop_pack, sighting_pack))
    AND arrayAll(key -> length(key) = 16, drop_key)
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

-- Each row names the raw pack it came in.
CREATE MATERIALIZED VIEW runs_to_events TO events AS
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
    raw_offset AS origin_offset,
    now64(3, 'UTC') AS loaded_at
FROM runs_even
ARRAY JOIN
    event_id, site, name, kind, source, protocol, trust, runs_even.occurred_at AS occurred_ms, runs_even.received_at AS received_ms, country,
    ip_network, browser, os, device, language, host, path, query, referrer_host, channel, utm_source, utm_medium, utm_campaign, utm_term,
    utm_content, visitor, user, session, basis, purposes, runs_even.bot_score AS score, bot_signals, is_bot, value_e4, currency,
    properties, runs_even.flags AS bits,
    arrayFlatten(arrayMap((one, place) -> arrayWithConstant(one, runs_even.origin_offset + place - length(answered_count)),
        answered_count, arrayEnumerate(answered_count))) AS raw_offset;

CREATE MATERIALIZED VIEW runs_to_drops TO drops AS
SELECT
    toFixedString(drop_key, 16) AS key,
    toDateTime(drop_minute, 'UTC') AS minute,
    drop_site AS site,
    drop_name AS name,
    drop_source AS source,
    drop_reason AS reason,
    origin_topic_id,
    origin_partition,
    runs_even.origin_offset + 1 + drop_pack - length(answered_pack_id) AS origin_offset,
    now('UTC') AS loaded_at
FROM runs_even
ARRAY JOIN drop_key, drop_minute, drop_site, drop_name, drop_source, drop_reason, drop_pack;

CREATE MATERIALIZED VIEW runs_to_drops_minute TO drops_minute AS
SELECT
    drop_site AS site,
    toDateTime(drop_minute, 'UTC') AS minute,
    drop_name AS name,
    drop_source AS source,
    drop_reason AS reason,
    count() AS count
FROM runs_even
ARRAY JOIN drop_key, drop_minute, drop_site, drop_name, drop_source, drop_reason
GROUP BY site, minute, name, source, reason;

CREATE MATERIALIZED VIEW runs_to_sightings TO sightings AS
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
    runs_even.origin_offset + 1 + sighting_pack - length(answered_pack_id) AS origin_offset
FROM runs_even
ARRAY JOIN
    sighting_key, sighting_event_id, sighting_site, sighting_name, sighting_source, sighting_protocol, sighting_trust,
    sighting_received_at, sighting_occurred_at, sighting_value_e4, sighting_currency, sighting_user, sighting_properties,
    sighting_pack;

CREATE MATERIALIZED VIEW runs_to_accepted TO accepted AS
SELECT
    accepted_site AS site,
    toDateTime(accepted_minute, 'UTC') AS minute,
    toFixedString(unhex(answered_pack_id[accepted_pack + 1]), 16) AS pack_id,
    toUInt32(accepted_count) AS count,
    toUInt32(arrayCount((one_site, one_minute, one_pack) -> one_site = accepted_site AND one_minute = accepted_minute AND one_pack = accepted_pack,
        drop_site, drop_minute, drop_pack)) AS dropped,
    answered_dead[accepted_pack + 1] AS dead,
    origin_topic_id,
    origin_partition,
    runs_even.origin_offset + 1 + accepted_pack - length(answered_pack_id) AS origin_offset
FROM runs_even
ARRAY JOIN accepted_minute, accepted_site, accepted_count, accepted_pack;

CREATE MATERIALIZED VIEW runs_to_refusals TO refusals AS
SELECT
    refusal_site AS site,
    toDateTime(refusal_minute, 'UTC') AS minute,
    refusal_reason AS reason,
    sum(toUInt64(refusal_count)) AS count
FROM runs_even
ARRAY JOIN refusal_minute, refusal_site, refusal_reason, refusal_count
GROUP BY site, minute, reason;

CREATE MATERIALIZED VIEW runs_to_progress TO progress AS
SELECT
    origin_topic_id,
    origin_partition,
    max(runs_even.origin_offset) AS origin_offset,
    now('UTC') AS loaded_at
FROM runs_even
GROUP BY origin_topic_id, origin_partition;
