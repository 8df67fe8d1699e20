"""The edge: takes hits from browsers, backends and logs, and answers when Kafka or the spool has them."""
