-- A young part of events is one file, not 150: a column has three or four of its own only in parts above 256 MB
-- (uncompressed, about 800,000 rows). Blocks are written and first merged for less, and a merge makes such parts of them.
ALTER TABLE events MODIFY SETTING min_bytes_for_wide_part = 268435456;
