"""The real Kafka and the real ClickHouse engine, for one machine that has neither Java nor Docker."""
