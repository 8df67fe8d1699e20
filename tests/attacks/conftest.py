"""Real parts for the attacks on the loader: the same as for its own tests."""

from tests.sinks.conftest import clickhouse, topics, warehouse
from tests.sinks.test_program import stage

__all__ = ["clickhouse", "stage", "topics", "warehouse"]
