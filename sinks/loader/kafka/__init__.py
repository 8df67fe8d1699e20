"""The loader's clients of Kafka: the only files of this room that know confluent-kafka."""
