"""One request to one number on the embedded platform, the real Kafka and the real ClickHouse."""
