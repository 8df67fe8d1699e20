"""Clients of Kafka: the only files of streams that know confluent-kafka and Faust."""
