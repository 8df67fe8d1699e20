-- One row an order, whatever it was reported by: the row counts, the best copy speaks (secret before public, then the
-- row, then the first), and every copy is named. A later public copy carries no money, so it can never speak.
CREATE VIEW purchases AS
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
        argMin(tuple(amount, unit, person, happened_at), tuple(trust != 'secret', is_copy, received_at)) AS record,
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
COMMENT 'One row an order, with the money of its most trusted copy, and how often and by what it was seen'
