"""Real parts for the commands' tests: the same as for the loader's."""

from tests.sinks.conftest import clickhouse, warehouse

__all__ = ["clickhouse", "warehouse"]
