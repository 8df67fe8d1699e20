-- Enough of a block to do without the consumer group's note, and to see when that was forged.
ALTER TABLE positions
    ADD COLUMN IF NOT EXISTS after_topic_id String COMMENT 'the last accepted pack of the block; empty: not written',
    ADD COLUMN IF NOT EXISTS after_offset Int64 DEFAULT -1,
    ADD COLUMN IF NOT EXISTS after_writer String,
    ADD COLUMN IF NOT EXISTS refused Array(UInt64) COMMENT 'offsets in the block whose packs were refused';
