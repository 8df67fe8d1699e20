"""Which settings a reader may send, and how far: an allow list, each group with its reason.

A reader may ask for less than the server gives, for another spelling of the answer, and for another reading of the
query. What is in no group stays as the server has it; a value that repeats what the server has is always fine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from deploy.embedded.clickhouse.errors import ClickHouseError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Numbers of which more is more work, memory or time: a reader may lower them. 0 is "no limit" in all of them, so it
# may be sent only where the server has none.
LIMITS = _words(
    """max_execution_time max_memory_usage max_result_rows max_result_bytes max_threads max_final_threads max_block_size
    preferred_block_size_bytes max_rows_to_read max_bytes_to_read max_rows_to_group_by max_rows_to_sort
    max_bytes_to_sort max_rows_in_set max_bytes_in_set max_rows_in_distinct max_bytes_in_distinct max_rows_in_join
    max_bytes_in_join max_rows_to_transfer max_bytes_to_transfer max_columns_to_read max_temporary_columns
    max_temporary_non_const_columns max_subquery_depth max_pipeline_depth max_ast_depth max_ast_elements
    max_expanded_ast_elements max_query_size max_parser_depth max_parser_backtracks max_estimated_execution_time
    max_temporary_data_on_disk_size_for_query max_recursive_cte_evaluation_depth
    output_format_parquet_row_group_size output_format_parquet_row_group_size_bytes output_format_parquet_batch_size
    output_format_arrow_record_batch_size output_format_sql_insert_max_batch_size"""
)

# Why -> names. Each of them changes what a query says or how its rows are spelled, and nothing that a query may take
# or reach.
FREE = {
    "what is done when a limit is reached, which stays where it is": _words(
        """result_overflow_mode read_overflow_mode group_by_overflow_mode sort_overflow_mode set_overflow_mode
        join_overflow_mode distinct_overflow_mode transfer_overflow_mode timeout_overflow_mode"""
    ),
    "how times are read and written": _words(
        """session_timezone use_client_time_zone date_time_input_format date_time_output_format
        date_time_overflow_behavior cast_string_to_date_time_mode interval_output_format
        date_time_64_output_format_cut_trailing_zeros_align_to_groups_of_thousands formatdatetime_f_prints_single_zero
        formatdatetime_f_prints_scale_number_of_digits formatdatetime_format_without_leading_zeros
        formatdatetime_parsedatetime_m_is_month_name enable_extended_results_for_datetime_functions"""
    ),
    "how text formats are spelled": _words(
        """extremes bool_true_representation bool_false_representation print_pretty_type_names
        format_csv_delimiter format_csv_null_representation format_tsv_null_representation
        format_custom_escaping_rule format_custom_field_delimiter format_custom_result_after_delimiter
        format_custom_result_before_delimiter format_custom_row_after_delimiter format_custom_row_before_delimiter
        format_custom_row_between_delimiter format_json_object_each_row_column_for_object_name
        output_format_write_statistics output_format_decimal_trailing_zeros
        output_format_always_write_decimal_point_in_float_and_decimal output_format_trim_fixed_string
        output_format_csv_crlf_end_of_line output_format_csv_serialize_tuple_into_separate_columns
        output_format_csv_header_serialize_tuple_into_separate_columns output_format_tsv_crlf_end_of_line
        output_format_values_escape_quote_with_quote output_format_markdown_escape_special_characters
        output_format_json_array_of_rows output_format_json_escape_forward_slashes
        output_format_json_map_as_array_of_tuples output_format_json_named_tuples_as_objects
        output_format_json_pretty_print output_format_json_quote_64bit_floats output_format_json_quote_64bit_integers
        output_format_json_quote_decimals output_format_json_quote_denormals
        output_format_json_skip_null_value_in_named_tuples output_format_json_validate_utf8
        output_format_pretty_color output_format_pretty_display_footer_column_names
        output_format_pretty_display_footer_column_names_min_rows output_format_pretty_fallback_to_vertical
        output_format_pretty_fallback_to_vertical_max_rows_per_chunk
        output_format_pretty_fallback_to_vertical_min_columns output_format_pretty_fallback_to_vertical_min_table_width
        output_format_pretty_glue_chunks output_format_pretty_grid_charset output_format_pretty_highlight_digit_groups
        output_format_pretty_highlight_trailing_spaces output_format_pretty_max_column_name_width_cut_to
        output_format_pretty_max_column_name_width_min_chars_to_cut output_format_pretty_max_column_pad_width
        output_format_pretty_max_rows output_format_pretty_max_value_width
        output_format_pretty_max_value_width_apply_for_single_value output_format_pretty_multiline_fields
        output_format_pretty_named_tuples_as_json output_format_pretty_row_numbers
        output_format_pretty_single_large_number_tip_threshold output_format_sql_insert_include_column_names
        output_format_sql_insert_quote_names output_format_sql_insert_table_name output_format_sql_insert_use_replace"""
    ),
    "how binary formats are spelled": _words(
        """low_cardinality_allow_in_native_format output_format_native_encode_types_in_binary_format
        output_format_native_use_flattened_dynamic_and_json_serialization output_format_native_write_json_as_string
        output_format_binary_encode_types_in_binary_format output_format_binary_write_json_as_string
        allow_special_serialization_kinds_in_output_formats output_format_msgpack_uuid_representation
        output_format_bson_string_as_string output_format_avro_codec output_format_avro_string_column_pattern
        output_format_arrow_compression_method output_format_arrow_date_as_uint16
        output_format_arrow_fixed_string_as_fixed_byte_array output_format_arrow_low_cardinality_as_dictionary
        output_format_arrow_string_as_string output_format_arrow_unsupported_types_as_binary
        output_format_arrow_use_64_bit_indexes_for_dictionary output_format_arrow_use_signed_indexes_for_dictionary
        output_format_arrow_uuid_as_fixed_byte_array output_format_arrow_variant_as_string
        output_format_orc_compression_method output_format_orc_string_as_string
        output_format_parquet_compliant_nested_types output_format_parquet_compression_method
        output_format_parquet_date_as_uint16 output_format_parquet_datetime_as_uint32
        output_format_parquet_enum_as_byte_array output_format_parquet_fixed_string_as_fixed_byte_array
        output_format_parquet_geometadata output_format_parquet_string_as_string
        output_format_parquet_unsupported_types_as_binary output_format_parquet_use_custom_encoder
        output_format_parquet_version output_format_parquet_wide_integer_as_decimal
        output_format_parquet_write_bloom_filter output_format_parquet_write_checksums
        output_format_parquet_write_page_index"""
    ),
    "how a table that comes with the query is read": _words(
        """input_format_null_as_default input_format_skip_unknown_fields input_format_binary_read_json_as_string
        input_format_defaults_for_omitted_fields input_format_allow_errors_num format_csv_allow_single_quotes
        format_csv_allow_double_quotes cast_string_to_dynamic_use_inference cast_string_to_variant_use_inference"""
    ),
    "what a query means": _words(
        """final limit offset join_use_nulls group_by_use_nulls aggregate_functions_null_for_empty transform_null_in
        union_default_mode intersect_default_mode except_default_mode prefer_column_name_to_alias
        enable_positional_arguments asterisk_include_alias_columns
        asterisk_include_materialized_columns any_join_distinct_right_table_keys join_any_take_last_row
        join_default_strictness empty_result_for_aggregation_by_empty_set
        empty_result_for_aggregation_by_constant_keys_on_empty_set totals_mode totals_auto_threshold cast_keep_nullable
        decimal_check_overflow least_greatest_legacy_null_behavior exact_rows_before_limit
        joined_subquery_requires_alias single_join_prefer_left_table function_json_value_return_type_allow_nullable
        describe_compact_output describe_include_subcolumns use_mysql_types_in_show_columns
        show_table_uuid_in_table_create_query_if_not_nil"""
    ),
    "how a query is planned over the same rows": _words(
        """optimize_read_in_order optimize_aggregation_in_order optimize_distinct_in_order optimize_move_to_prewhere
        optimize_move_to_prewhere_if_final optimize_trivial_count_query optimize_use_projections
        optimize_use_implicit_projections optimize_functions_to_subcolumns use_skip_indexes use_skip_indexes_if_final
        use_uncompressed_cache force_index_by_date force_primary_key force_optimize_projection
        do_not_merge_across_partitions_select_final short_circuit_function_evaluation"""
    ),
    "what concerns inserts or other servers, and so no read of this one": _words(
        """async_insert wait_for_async_insert insert_deduplicate insert_quorum mutations_sync alter_sync
        select_sequential_consistency skip_unavailable_shards prefer_localhost_replica load_balancing
        connect_timeout receive_timeout send_timeout http_connection_timeout http_receive_timeout http_send_timeout
        idle_connection_timeout network_compression_method network_zstd_compression_level"""
    ),
}
_FREE_NAMES = frozenset(name for names in FREE.values() for name in names)
ALLOWED = LIMITS | _FREE_NAMES

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,9})?\Z")
_HELD = re.compile(r"(?:auto\()?([0-9]+(?:\.[0-9]+)?)\)?\Z")
_SAME = {"true": "1", "false": "0"}
_SHOWN_CHARS_MAX = 64


class ReaderSettings:
    """Judges what a reader sends; `types` and `values` are the server's own, by name of the setting."""

    def __init__(self, types: Mapping[str, str], values: Mapping[str, str]) -> None:
        self._types = types
        self._values = values

    def check(self, name: str, value: str) -> None:
        """Raise ClickHouseError, 115 for a name the engine does not know and 164 for what a reader may not ask."""
        if name not in self._types:
            raise ClickHouseError(115, "UNKNOWN_SETTING", f"Unknown setting '{name[:_SHOWN_CHARS_MAX]}'")
        if name in _FREE_NAMES or self._repeats(name, value):
            return
        if name not in LIMITS:
            raise refused_change(
                name,
                "readers may lower limits and choose formats and time zones; this one is the server's to decide",
            )
        most = upper_bound(self._values.get(name, ""))
        if _NUMBER.match(value) and (not most or 0 < Decimal(value) <= most):
            return
        if not most:
            raise refused_change(name, "it takes a plain number")
        raise refused_change(name, f"a reader may lower it to a number from 1 to {most}, and no higher")

    def _repeats(self, name: str, value: str) -> bool:
        return _SAME.get(value.lower(), value) == self._values.get(name)


def upper_bound(held: str) -> Decimal:
    """The number in a limit as the engine shows it, such as 60 or auto(2); 0 when there is no limit."""
    match = _HELD.match(held)
    return Decimal(match[1]) if match else Decimal(0)


def refused_change(name: str, why: str) -> ClickHouseError:
    """ClickHouse's own words for it, and the reason."""
    return ClickHouseError(
        164, "READONLY", f"Cannot modify '{name[:_SHOWN_CHARS_MAX]}' setting in readonly mode: {why}"
    )
