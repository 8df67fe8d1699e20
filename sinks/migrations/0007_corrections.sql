-- One row an order, whatever it was reported by: the row counts, and every copy is named. Of copies with the secret key
-- the newest speaks: an order that is sent again with another amount is corrected. Without any, the row speaks, as a
-- later public copy carries no money.
CREATE OR REPLACE VIEW purchases AS
SELECT
    site,
    order_id,
    tupleElement(record, 1) AS value,
    tupleElement(record, 2) AS currency,
    tupleElement(record, 3) AS user,
    tupleElement(record, 4) AS occurred_at,
    bot,
    sightings,
    seen_by
FROM
(
    SELECT
        site,
        order_id,
        argMax(
            tuple(amount, unit, person, happened_at),
            -- Of secret ones the newest; of public ones the row.
            if(trust = 'secret', tuple(1, received_at, is_copy), tuple(0, toDateTime64(0, 3, 'UTC'), 1 - is_copy))
        ) AS record,
        max(is_bot) AS bot,
        count() AS sightings,
        arraySort(groupUniqArray(way)) AS seen_by,
        min(is_copy) AS without_row
    FROM
    (
        SELECT
            site, event_id AS order_id, 0 AS is_copy, trust, received_at, concat(source, '/', protocol) AS way, is_bot,
            value AS amount, currency AS unit, user AS person, occurred_at AS happened_at
        FROM events
        WHERE name = 'purchase'
        UNION ALL
        SELECT
            site, event_id, 1, trust, received_at, concat(source, '/', protocol), false,
            value, currency, user, occurred_at
        FROM sightings
        WHERE name = 'purchase'
    )
    GROUP BY site, order_id
)
WHERE NOT without_row
COMMENT 'One row an order, with the money its newest trusted copy says, and how often and by what it was seen'
