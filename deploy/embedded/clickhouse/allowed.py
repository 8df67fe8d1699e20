"""What a statement may name: reviewed lists, so that whatever a new engine brings is refused until read.

Everything here stays inside the database: no file, address, process or model of the machine can be reached by it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TABLE_FUNCTIONS = _words(
    """SQLStandardValues format generateRandom generateSeries generate_series merge mergeTreeIndex
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
    input_format_hive_text_map_keys_delimiter insert_deduplication_token log_comment network_compression_method
    output_format_avro_codec
    output_format_avro_string_column_pattern output_format_pretty_grid_charset
    output_format_sql_insert_table_name preferred_optimize_projection_name query_cache_tag session_timezone
    auto_statistics_types columns_to_prewarm_mark_cache default_compression_codec
    exclude_materialize_skip_indexes_on_merge marks_compression_codec primary_key_compression_codec"""
)

# Types whose values are free text; every other type is a number, a switch or a word from a fixed list.
FREE_TEXT_TYPES = frozenset({"String", "Map", "URI", "Char", "Timezone", "Dialect"})

# Settings the server itself keeps, whatever their type.
RESERVED_SETTINGS = frozenset({"input_format_values_interpret_expressions", "readonly", "allow_ddl"})


# Everything a statement's tree may be made of; the engine knows more (users, dictionaries, SYSTEM, BACKUP).
NODES = _words(
    """AlterCommand AlterQuery ArrayJoin Assignment Asterisk CheckTableQuery Collation ColumnDeclaration
    ColumnsApplyTransformer ColumnsExceptTransformer ColumnsListMatcher ColumnsRegexpMatcher
    ColumnsReplaceTransformer ColumnsReplaceTransformerReplacement ColumnsTransformerList ConstraintDeclaration
    CreateQuery DataType DeleteQuery DropQuery EnumDataType ExplainQuery ExpressionList ForeignKeyDeclaration Function
    Identifier IdentifierTypePair IndexDeclaration InsertQuery InterpolateElement KillQueryQuery Literal
    NameTypePair OptimizeQuery OrderByElement Partition ProjectionDeclaration ProjectionSelectQuery
    QualifiedAsterisk QualifiedColumnsListMatcher QualifiedColumnsRegexpMatcher QueryParameter RefreshStrategy
    RenameQuery SQLSecurity SampleRatio SelectIntersectExceptQuery SelectQuery SelectWithUnionQuery SetQuery
    ShowColumnsQuery ShowIndexesQuery ShowTablesQuery StatisticsDeclaration Storage StorageOrderByElement Subquery
    TTLElement TableExpression TableIdentifier TableJoin TablesInSelectQuery TablesInSelectQueryElement TimeInterval
    TupleDataType UndropQuery UpdateQuery UseQuery ViewTargets WindowDefinition WindowListElement WithElement"""
) | {"Columns definition"}

# Functions that were read and refused: they open files, ask other machines, or parse a text without any limit.
# A test compares this list and functions.txt with the engine: together they are all it knows.
REFUSED_FUNCTIONS = _words(
    """file hasColumnInTable addressToLine addressToLineWithInlines addressToSymbol demangle logTrace
    showCertificate generateSerialID naiveBayesClassifier naiveBayesClassifierWithAllProbs
    naiveBayesClassifierWithProb naiveBayesNgrams flameGraph aggThrow formatQuery formatQueryOrNull
    formatQuerySingleLine formatQuerySingleLineOrNull formatQueryFromJSON highlightQuery fuzzQuery
    obfuscateQuery obfuscateQueryWithSeed parseQueryToJSON tokenizeQuery normalizeQuery
    normalizeQueryKeepNames normalizedQueryHash normalizedQueryHashKeepNames structureToCapnProtoSchema
    structureToProtobufSchema kqlParameterCast getTypeSerializationStreams aiClassify aiEmbed aiExtract
    aiFilter aiGenerate aiRedact aiSimilarity aiTranslate AIClassify AIEmbed AIExtract AIFilter AIGenerate
    AIRedact AISimilarity AITranslate __actionName __applyFilter __bitBoolMaskAnd __bitBoolMaskOr
    __bitSwapLastTwo __bitWrapperFunc __getScalar __groupingForCube __groupingForGroupingSets
    __groupingForRollup __groupingOrdinary __patchPartitionID __scalarSubqueryResult __toYearCalendarOnly"""
)
# Quadratic in the length of their texts or arrays. The engine looks for a cancelled statement between blocks only, so
# one block of long texts keeps a slot for minutes, and a slot kept long restarts the engine. The writer may call them.
SLOW_FUNCTIONS = frozenset(
    name.lower()
    for name in _words(
        """damerauLevenshteinDistance editDistance editDistanceUTF8 levenshteinDistance levenshteinDistanceUTF8
        arrayLevenshteinDistance arrayLevenshteinDistanceWeighted arraySimilarity jaroSimilarity
        jaroWinklerSimilarity"""
    )
)
_REFUSED_IN_LOWER_CASE = frozenset(name.lower() for name in REFUSED_FUNCTIONS)

# What a reader may see of `system`: what tools ask to show databases, tables, columns and the engine's abilities.
# Nothing here holds another's query, a secret, or the state of a thread.
READER_SYSTEM_TABLES = _words(
    """aggregate_function_combinators build_options codecs collations columns completions
    constraints contributors current_roles dashboards data_skipping_index_types data_skipping_indices
    data_type_families database_engines databases dictionaries dictionary_layouts dictionary_sources disk_types
    disks documentation enabled_roles events formats functions keywords licenses macros merge_tree_settings merges
    metrics numbers numbers_mt one parts parts_columns primes projection_parts projection_parts_columns projections
    settings settings_changes storage_policies table_engines table_functions tables time_zones warnings zeros
    zeros_mt"""
)

# Formats that only spell values. Others take a schema from a file (Protobuf, CapnProto, Template), ask a registry
# (AvroConfluent), speak another server's protocol, or read numbers as positions in memory (DWARF, Buffers).
_BOTH_WAYS = _words(
    """Arrow ArrowStream Avro BSONEachRow CSV CSVWithNames CSVWithNamesAndTypes CustomSeparated
    CustomSeparatedWithNames CustomSeparatedWithNamesAndTypes GeoJSON JSON JSONColumns JSONColumnsWithMetadata
    JSONCompact JSONCompactColumns JSONCompactEachRow JSONCompactEachRowWithNames
    JSONCompactEachRowWithNamesAndTypes JSONCompactStringsEachRow JSONCompactStringsEachRowWithNames
    JSONCompactStringsEachRowWithNamesAndTypes JSONEachRow JSONL JSONLines JSONObjectEachRow JSONStringsEachRow
    LineAsString MsgPack NDJSON Native Npy ORC Parquet Raw RawBLOB RawWithNames RawWithNamesAndTypes RowBinary
    RowBinaryWithNames RowBinaryWithNamesAndTypes TSKV TSV TSVRaw TSVRawWithNames TSVRawWithNamesAndTypes
    TSVWithNames TSVWithNamesAndTypes TabSeparated TabSeparatedRaw TabSeparatedRawWithNames
    TabSeparatedRawWithNamesAndTypes TabSeparatedWithNames TabSeparatedWithNamesAndTypes Values"""
)
OUTPUT_FORMATS = _BOTH_WAYS | _words(
    """Hash HiveText JSONCompactEachRowWithProgress JSONCompactStrings JSONCompactStringsEachRowWithProgress
    JSONEachRowWithProgress JSONStrings JSONStringsEachRowWithProgress LineAsStringWithNames
    LineAsStringWithNamesAndTypes MD Markdown Null PNG Pretty PrettyCompact PrettyCompactMonoBlock
    PrettyCompactNoEscapes PrettyCompactNoEscapesMonoBlock PrettyJSONEachRow PrettyJSONLines PrettyMonoBlock
    PrettyNDJSON PrettyNoEscapes PrettyNoEscapesMonoBlock PrettySpace PrettySpaceMonoBlock PrettySpaceNoEscapes
    PrettySpaceNoEscapesMonoBlock Prometheus SQLInsert Vertical XML"""
)
INPUT_FORMATS = _BOTH_WAYS | _words(
    """CustomSeparatedIgnoreSpaces CustomSeparatedIgnoreSpacesWithNames CustomSeparatedIgnoreSpacesWithNamesAndTypes
    Form HiveText JSONAsObject JSONAsString Regexp RowBinaryWithDefaults"""
)
REFUSED_FORMATS = _words(
    """AvroConfluent Buffers CapnProto DWARF MySQLDump MySQLWire ODBCDriver2 One ParquetMetadata PostgreSQLWire Protobuf
    ProtobufList ProtobufSingle Puffin PuffinMetadata RowBinaryWithNamesAndTypesAndDefaults Template
    TemplateIgnoreSpaces"""
)
# Inside a statement, and beside it as a table: VALUES could be expressions, and Native brings types of its own.
PLAIN_INPUT_FORMATS = INPUT_FORMATS - {"Values", "Native"}

# Types of plain values. A state of an aggregate function is bytes the engine trusts: none is made from a text.
DATA_TYPES = frozenset(
    name.lower()
    for name in _words(
        """Array BFloat16 Bool Date Date32 DateTime DateTime32 DateTime64 Decimal Decimal128 Decimal256 Decimal32
        Decimal64 Dynamic Enum Enum16 Enum8 FixedString Float32 Float64 Geometry IPv4 IPv6 Int128 Int16 Int256 Int32
        Int64 Int8 IntervalDay IntervalHour IntervalMicrosecond IntervalMillisecond IntervalMinute IntervalMonth
        IntervalNanosecond IntervalQuarter IntervalSecond IntervalWeek IntervalYear JSON LineString LowCardinality Map
        MultiLineString MultiPoint MultiPolygon Nested Nothing Nullable Point Polygon QBit Ring String Time Time64
        Tuple UInt128 UInt16 UInt256 UInt32 UInt64 UInt8 UUID Variant
        BIGINT BINARY BIT BLOB BOOLEAN BYTE BYTEA CHAR CHARACTER CLOB DEC DOUBLE FIXED FLOAT INET4 INET6 INT INT1
        INTEGER LONGBLOB LONGTEXT MEDIUMBLOB MEDIUMINT MEDIUMTEXT NCHAR NUMERIC NVARCHAR REAL SIGNED SINGLE SMALLINT
        TEXT TIMESTAMP TINYBLOB TINYINT TINYTEXT VARBINARY VARCHAR VARCHAR2 YEAR"""
    )
)


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


def is_refused(name: str) -> bool:
    """Whether the engine knows `name` as a function that was read and refused."""
    return name.lower() in _REFUSED_IN_LOWER_CASE


def is_data_type(name: str, known: frozenset[str] = DATA_TYPES) -> bool:
    """Whether a type is one of `known`; names such as INT UNSIGNED or DOUBLE PRECISION go by their first word."""
    return name.lower().partition(" ")[0] in known


def types_of_format(name: str) -> frozenset[str]:
    """Types that rows of this input format may have: in a binary one each Dynamic or JSON value names its own type."""
    return DATA_TYPES - {"dynamic", "json"} if name.lower().startswith("rowbinary") else DATA_TYPES
