"""Real parts for the attacks on the loader: the same as for its own tests."""

from tests.sinks.conftest import clickhouse, stage, topics, warehouse

__all__ = ["clickhouse", "stage", "topics", "warehouse"]
