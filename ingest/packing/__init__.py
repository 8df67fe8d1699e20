"""Rows become packs that are kept: by Kafka, or by the spool on disk."""
