"""The plan of the house as data: rooms of each program from the ground up, and who may talk to the outside world."""

from __future__ import annotations

FILES_MAX = 14  # of a room, golden data aside

# A room may import those before it. A name is a folder, or a file in the program's own folder.
ORDER: dict[str, tuple[str, ...]] = {
    "schemas": (
        "avro", "drops", "topics", "links", "dictionary", "signals", "consent", "identity", "ring", "event",
        "avro_codec", "pack", "seal", "dead_letter", "direct", "clean_pack", "bounds",
    ),
    "runtime": (
        "errors", "settings", "config", "secrets", "metrics", "logs", "live_file", "keyring", "health_server",
        "watchdog", "kafka_access", "kafka", "clickhouse", "trace",
    ),
    "ingest": (
        "reading", "visitors", "notice", "operation", "settings", "counts", "serving", "packing", "protocols", "mail",
        "reloadable", "logs", "tag", "clickhouse", "endpoints", "direct", "openapi", "native", "app", "__main__",
    ),
    "streams": (
        "fault", "columns", "rules", "steps", "pipeline", "measures", "decide", "settings", "policy",
        "kafka", "partition", "health", "watchdog", "app", "__main__",
    ),
    "sinks": ("settings", "warehouse", "loader", "alerts", "app", "__main__"),
}  # fmt: skip

# Who imports the clients of the outside world, by the client's top-level package; nobody else may, nor in a function.
ADAPTERS: dict[str, tuple[str, ...]] = {
    "aiohttp": (),
    "aiokafka": (),
    "chdb": ("deploy.embedded.clickhouse.engine",),
    "clickhouse_connect": ("runtime.clickhouse",),
    "confluent_kafka": (
        "runtime.kafka",
        "ingest.packing.outbox", "ingest.direct.inbox",
        "streams.kafka.log_reader", "streams.kafka.outbox", "streams.kafka.consumer_lag",
        "streams.kafka.ready",
        "sinks.loader.kafka.inbox", "sinks.loader.kafka.log_reader", "sinks.loader.kafka.dead_letters",
        "sinks.loader.kafka.raw_log", "sinks.loader.kafka.topic_ends", "sinks.alerts.outside",
        "deploy.topics", "deploy.kafka_access", "deploy.embedded.kafka_login", "deploy.commands.tail",
        "deploy.commands._replay_direct",
    ),
    "faust": ("streams.kafka.faust_app", "streams.kafka.gathering"),
    "httptools": ("ingest.serving.connection",),
    "httpx": (),
    "httpx2": ("deploy.commands.send",),
    "requests": ("deploy.embedded.kafka_jars",),
    "rocksdict": ("streams.partition.store",),
    "urllib3": ("runtime.clickhouse", "sinks.alerts.outside", "sinks.alerts.delivery.pager"),
}  # fmt: skip
