"""The plan of the house as data: rooms of each program from the ground up, and who may talk to the outside world."""

from __future__ import annotations

FILES_MAX = 14  # of a room, golden data aside

# A room may import those before it. A name is a folder, or a file in the program's own folder.
ORDER: dict[str, tuple[str, ...]] = {
    "runtime": (
        "errors", "settings", "config", "secrets", "logs", "live_file", "keyring", "kafka_access", "trace",
    ),
    "ingest": (
        "reading", "visitors", "operation", "settings", "counts", "serving", "packing", "protocols", "mail",
        "reloadable", "logs", "tag", "endpoints", "direct", "openapi", "native", "app", "__main__",
    ),
    "streams": (
        "fault", "columns", "rules", "steps", "pipeline", "measures", "decide", "settings", "policy",
        "partition", "health", "kafka_ready", "consumer_lag", "watchdog", "app", "__main__",
    ),
    "sinks": ("settings", "warehouse", "loader", "pages", "alerts", "app", "__main__"),
}  # fmt: skip
