"""Seam: ClickHouse over HTTP; each call ends within its time limit and says whether a second try can help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from runtime.clickhouse import ClickHouseClient, ClickHouseError, Param
from sinks.warehouse.migrate import DATABASE

# Codes that come from the data itself (src/Common/ErrorCodes.cpp): a second try of the same bytes ends the same way.
UNREADABLE_CODES = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        8,  # THERE_IS_NO_COLUMN
        9,  # SIZES_OF_COLUMNS_DOESNT_MATCH
        19,  # NUMBER_OF_COLUMNS_DOESNT_MATCH
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        32,  # ATTEMPT_TO_READ_AFTER_EOF
        33,  # CANNOT_READ_ALL_DATA
        36,  # BAD_ARGUMENTS
        49,  # LOGICAL_ERROR
        53,  # TYPE_MISMATCH
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        117,  # INCORRECT_DATA
        128,  # TOO_LARGE_ARRAY_SIZE
        131,  # TOO_LARGE_STRING_SIZE
        190,  # SIZES_OF_ARRAYS_DONT_MATCH
        321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        395,  # FUNCTION_THROW_IF_VALUE_IS_NON_ZERO: a view found columns that do not fit
        407,  # DECIMAL_OVERFLOW
        467,  # CANNOT_PARSE_BOOL
        469,  # VIOLATED_CONSTRAINT
        748,  # AVRO_EXCEPTION
        1001,  # STD_EXCEPTION: the Avro library, in versions that have no 748; but see FILESYSTEM
    }
)

# The same code stands for a disk without inodes, which says nothing about the data.
STD_EXCEPTION = 1001
FILESYSTEM = b"filesystem_error"

# The tables are gone, as after a new data folder: the next start makes them.
SCHEMA_MISSING_CODES = frozenset({60, 81})  # UNKNOWN_TABLE, UNKNOWN_DATABASE

# Every setting a repeated insert rests on; docs/delivery.md, border 5, and the table in sinks/README.md.
INSERT_SETTINGS = {
    "async_insert": "0",
    "insert_deduplicate": "1",
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "max_partitions_per_insert_block": "0",
    "enable_unaligned_array_join": "1",
    "input_format_avro_allow_missing_fields": "1",
    # One block in, cut the same way at each repeat: one thread, and limits above any block of ours.
    "max_insert_threads": "1",
    "parallel_view_processing": "0",
    "max_insert_block_size": "1000000",
    "min_insert_block_size_rows": "1000000",
    "min_insert_block_size_bytes": "1000000000",
}


class WarehouseError(Exception):
    """ClickHouse did not do what was asked; `code` is its error code, 0 without an answer. Texts hold no content."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class WarehouseAway(WarehouseError):
    """No answer, or one that another try may change: nothing is known about what was stored."""


class BlockUnreadable(WarehouseError):
    """The data cannot be read; nothing of it was stored."""


class Warehouse(Protocol):
    """What the loader needs of the place where rows end."""

    def insert(self, table: str, container: bytes, *, token: str) -> None:
        """Store a container of packs; a second one under the same token changes nothing.

        Raises BlockUnreadable or WarehouseAway.
        """

    def check(self, table: str, container: bytes) -> None:
        """Read a container as `insert` would and store nothing. Raises BlockUnreadable or WarehouseAway."""

    def execute(self, sql: str, params: Mapping[str, Param] | None = None) -> None:
        """Run a statement. Raises WarehouseError."""

    def rows(self, sql: str, params: Mapping[str, Param] | None = None) -> list[dict[str, Any]]:
        """What a SELECT gives, a dict a row. Raises WarehouseError."""


class HttpWarehouse:
    """ClickHouse's HTTP interface over kept connections; safe to use from several threads."""

    def __init__(
        self, url: str, user: str, password: str, *, insert_s_max: float = 30.0, ask_s_max: float = 10.0
    ) -> None:
        self._client = ClickHouseClient(url, user, password)
        self._insert_s_max = insert_s_max
        self._ask_s_max = ask_s_max
        self._answered = True

    @property
    def answers(self) -> bool:
        """Whether the last call was answered without an error."""
        return self._answered

    def insert(self, table: str, container: bytes, *, token: str) -> None:
        self._insert(table, container, {**INSERT_SETTINGS, "insert_deduplication_token": token})

    def check(self, table: str, container: bytes) -> None:
        self._insert(f"{table}_trial", container, INSERT_SETTINGS)

    def execute(
        self, sql: str, params: Mapping[str, Param] | None = None, *, database: str = DATABASE
    ) -> None:
        if sql.startswith("CREATE DATABASE"):
            database = "default"
        with self._explained():
            self._client.query(sql, params, seconds_max=self._ask_s_max, database=database)

    def rows(self, sql: str, params: Mapping[str, Param] | None = None) -> list[dict[str, Any]]:
        with self._explained():
            return self._client.rows(sql, params, seconds_max=self._ask_s_max, database=DATABASE)

    def _insert(self, table: str, container: bytes, settings: Mapping[str, str]) -> None:
        with self._explained():
            self._client.insert(
                table,
                container,
                "Avro",
                seconds_max=self._insert_s_max,
                database=DATABASE,
                settings=settings,
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ClickHouseError as error:
            self._answered = False
            raise _explain(error) from None
        self._answered = True


def _explain(error: ClickHouseError) -> WarehouseError:
    is_unreadable = error.code in UNREADABLE_CODES and not error.while_connecting
    if is_unreadable and not (error.code == STD_EXCEPTION and FILESYSTEM in error.detail):
        return BlockUnreadable(f"ClickHouse cannot read the data: code {error.code}", error.code)
    return WarehouseAway(str(error), error.code)
