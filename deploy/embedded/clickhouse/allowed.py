"""What a statement may name: reviewed lists, so that whatever a new engine brings is refused until read.

Everything here stays inside the database: no file, address, process or model of the machine can be reached by it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TABLE_FUNCTIONS = _words(
    """SQLStandardValues format fuzzJSON generateRandom generateSeries generate_series merge mergeTreeIndex
    mergeTreeProjection null numbers numbers_mt primes values view zeros zeros_mt"""
)

TABLE_ENGINES = _words(
    """AggregatingMergeTree Buffer CoalescingMergeTree CollapsingMergeTree GenerateRandom Join Log
    MaterializedView Memory Merge MergeTree Null ReplacingMergeTree Set StripeLog SummingMergeTree TinyLog
    VersionedCollapsingMergeTree View"""
)

DATABASE_ENGINES = frozenset({"Atomic", "Memory"})

STATEMENTS = _words(
    """SelectWithUnionQuery SelectIntersectExceptQuery SelectQuery InsertQuery CreateQuery DropQuery RenameQuery
    AlterQuery OptimizeQuery SetQuery UseQuery ExplainQuery DescribeQuery CheckTableQuery DeleteQuery UpdateQuery
    KillQueryQuery UndropQuery ShowTablesQuery ShowColumnsQuery ShowIndexesQuery ShowFunctionsQuery
    ShowSettingQuery ShowProcesslistQuery ShowEngineQuery"""
)

# Statements that only describe; the engine has no JSON for them.
DESCRIBING_STATEMENTS = _words(
    """DescribeQuery ShowCreateTableQuery ShowCreateViewQuery ShowCreateDatabaseQuery ShowColumns ShowFunctions
    ShowIndexes ShowProcesslistQuery ShowTables ShowEngineQuery ShowSetting ExistsTableQuery ExistsViewQuery
    ExistsDatabaseQuery ExistsDictionaryQuery"""
)

# What somebody without a login may run. The engine's readonly=1 refuses most of the rest, but not KILL QUERY.
READING_STATEMENTS = DESCRIBING_STATEMENTS | _words(
    """SelectWithUnionQuery SelectIntersectExceptQuery SelectQuery ExplainQuery UseQuery SetQuery ShowTablesQuery
    ShowColumnsQuery ShowIndexesQuery ShowFunctionsQuery ShowSettingQuery ShowProcesslistQuery ShowEngineQuery"""
)

ALTER_COMMANDS = _words(
    """ADD_COLUMN DROP_COLUMN MODIFY_COLUMN COMMENT_COLUMN RENAME_COLUMN MATERIALIZE_COLUMN MODIFY_ORDER_BY
    MODIFY_SAMPLE_BY MODIFY_TTL MATERIALIZE_TTL REMOVE_TTL MODIFY_SETTING RESET_SETTING MODIFY_QUERY
    MODIFY_COMMENT MODIFY_REFRESH MODIFY_SQL_SECURITY ADD_INDEX DROP_INDEX MATERIALIZE_INDEX ADD_CONSTRAINT
    DROP_CONSTRAINT ADD_PROJECTION DROP_PROJECTION MATERIALIZE_PROJECTION ADD_STATISTICS DROP_STATISTICS
    MODIFY_STATISTICS MATERIALIZE_STATISTICS DROP_PARTITION DROP_DETACHED_PARTITION DELETE UPDATE
    APPLY_DELETED_MASK"""
)

# Settings that hold free text may name files, addresses or SQL (additional_table_filters); these do not.
TEXT_SETTINGS = _words(
    """bool_false_representation bool_true_representation column_names_for_schema_inference compatibility
    count_distinct_implementation database exclude_materialize_skip_indexes_on_insert force_data_skipping_indices
    force_optimize_projection_name format_csv_delimiter format_csv_null_representation
    format_custom_field_delimiter format_custom_result_after_delimiter format_custom_result_before_delimiter
    format_custom_row_after_delimiter format_custom_row_before_delimiter format_custom_row_between_delimiter
    format_hive_text_rows_delimiter format_json_object_each_row_column_for_object_name format_regexp
    format_tsv_null_representation ignore_data_skipping_indices
    input_format_hive_text_collection_items_delimiter input_format_hive_text_fields_delimiter
    input_format_hive_text_map_keys_delimiter insert_deduplication_token log_comment output_format_avro_codec
    output_format_avro_string_column_pattern output_format_pretty_grid_charset
    output_format_sql_insert_table_name preferred_optimize_projection_name query_cache_tag session_timezone
    auto_statistics_types columns_to_prewarm_mark_cache default_compression_codec
    exclude_materialize_skip_indexes_on_merge marks_compression_codec primary_key_compression_codec"""
)

# Types whose values are free text; every other type is a number, a switch or a word from a fixed list.
FREE_TEXT_TYPES = frozenset({"String", "Map", "URI", "Char", "Timezone", "Dialect"})

# Settings the server itself keeps, whatever their type.
RESERVED_SETTINGS = frozenset({"input_format_values_interpret_expressions", "readonly", "allow_ddl"})


# What looks like a function in a statement's tree and is none: `x -> ...`, codecs, skipping indexes, statistics.
NOTATION = _words(
    """lambda CODEC NONE LZ4 LZ4HC ZSTD Delta DoubleDelta GCD Gorilla FPC T64 minmax set bloom_filter tokenbf_v1
    ngrambf_v1 text vector_similarity tdigest countmin"""
)


@cache
def functions() -> frozenset[str]:
    """Reviewed scalar and aggregate functions, as spelled by the engine and in lower case."""
    names = files(__package__).joinpath("functions.txt").read_text().split()
    return frozenset(names) | {name.lower() for name in names} | NOTATION


@cache
def combinators() -> tuple[str, ...]:
    """Endings that make another aggregate of an aggregate (sum, sumIf), longest first."""
    names = _words(
        "If Array Distinct OrDefault OrNull Resample State SimpleState Merge ForEach Map ArgMin ArgMax Tuple Null"
    )
    return tuple(sorted(names, key=len, reverse=True))


def is_function(name: str) -> bool:
    """Whether `name` is reviewed, alone or with aggregate combinators after it."""
    known = functions()
    while True:
        if name in known or name.lower() in known:
            return True
        ending = next((c for c in combinators() if name.endswith(c) and len(name) > len(c)), None)
        if ending is None:
            return False
        name = name[: -len(ending)]
