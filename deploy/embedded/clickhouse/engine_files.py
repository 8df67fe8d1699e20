"""The engine's own configuration: small pools and caches, and grants that name everything anyone may do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from deploy.embedded.clickhouse.allowed import TABLE_ENGINES

# Nothing that reads or writes outside the database is granted: no source, no backup, no function, no SYSTEM.
# The guard refuses the same things earlier and with a better sentence; this is the second wall.
# The engine has one user; its two roles say what a session may do. A session begins as the owner, and the reader's
# session steps down before the reader's statement runs; no statement steps up again (SET ROLE is no reviewed kind).
OWNER_ROLE, READER_ROLE = "owner", "reader"
# What a reader's session may set, and how far: constraints of a profile that it enters with its role.
READER_PROFILE = "reader"
GRANTS = (
    "GRANT SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP, TRUNCATE, OPTIMIZE, "
    "KILL QUERY ON *.*",
    "GRANT CREATE TEMPORARY TABLE ON *.*",
    *(f"GRANT TABLE ENGINE ON `{name}`" for name in sorted(TABLE_ENGINES)),
)

_SERVER = {
    "mark_cache_size": 64 << 20,
    "uncompressed_cache_size": 0,
    "index_mark_cache_size": 8 << 20,
    "index_uncompressed_cache_size": 0,
    "primary_index_cache_size": 32 << 20,
    "mmap_cache_size": 0,
    "compiled_expression_cache_size": 16 << 20,
    "compiled_expression_cache_elements_size": 1000,
    "background_pool_size": 2,
    "background_merges_mutations_concurrency_ratio": 2,
    "background_schedule_pool_size": 4,
    "background_common_pool_size": 2,
    "background_move_pool_size": 1,
    "background_fetches_pool_size": 1,
    "background_message_broker_schedule_pool_size": 1,
    "background_distributed_schedule_pool_size": 1,
    "background_buffer_flush_schedule_pool_size": 1,
    "tables_loader_foreground_pool_size": 2,
    "tables_loader_background_pool_size": 1,
    "max_thread_pool_free_size": 16,
    "asynchronous_metrics_update_period_s": 60,
    "allow_experimental_transactions": 0,
}

# Not even temporary tables, so no format() either, which readonly=1 would refuse as well.
READER_GRANTS = ("GRANT SHOW, SELECT ON *.*",)

# What even a merge over `system` must not show to a reader: the queries of others and what came of them.
_OWNER_ROWS = ("processes", "user_processes", "query_cache", "errors", "mutations", "stack_trace")

# The same for every query unless the query says otherwise.
PROFILE = {
    "async_insert": 0,  # an insert is acknowledged when its part is on disk
    "max_threads": 2,
    "max_insert_threads": 1,
    "allow_introspection_functions": 0,
    "input_format_values_interpret_expressions": 0,  # VALUES are parsed as SQL only after the allow-list has read them
    "log_queries": 0,
    # Patterns that are compiled before any time limit counts.
    "max_hyperscan_regexp_length": 4096,
    "max_hyperscan_regexp_total_length": 64 << 10,
}


def write_config(
    folder: Path,
    memory_bytes_max: int,
    locked_settings: Iterable[str],
    reader_settings: Mapping[str, str],
) -> Path:
    """Write config.xml and users.xml into `folder`; return the path of the first.

    `reader_settings`: what binds readers beside the locked ones: "" for a constant, else the highest value.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    users, config = folder / "users.xml", folder / "config.xml"
    server = {**_SERVER, "max_server_memory_usage": memory_bytes_max}
    config.write_text(
        "<clickhouse>\n"
        f"<users_config>{escape(str(users))}</users_config>\n"
        f"<user_files_path>{escape(str(folder / 'nothing'))}/</user_files_path>\n"
        "<send_crash_reports><enabled>0</enabled></send_crash_reports>\n"
        + "".join(f"<{name}>{value}</{name}>\n" for name, value in server.items())
        + "</clickhouse>\n"
    )
    locks = "".join(f"<{name}><const/></{name}>\n" for name in locked_settings)
    bounds = "".join(
        f"<{name}><max>{most}</max></{name}>\n" if most else f"<{name}><const/></{name}>\n"
        for name, most in reader_settings.items()
    )
    policies = "".join(
        f"<{name}><filter>has(enabledRoles(), '{OWNER_ROLE}')</filter></{name}>\n" for name in _OWNER_ROWS
    )
    users.write_text(
        "<clickhouse>\n<profiles><default>\n"
        + "".join(f"<{name}>{value}</{name}>\n" for name, value in PROFILE.items())
        + f"<constraints>\n{locks}</constraints>\n</default>\n"
        f"<{READER_PROFILE}><constraints>\n{bounds}</constraints></{READER_PROFILE}>\n"
        "</profiles>\n<quotas><default/></quotas>\n<users><default>\n"
        "<password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>\n"
        f"<databases><system>\n{policies}</system></databases>\n"
        f"<grants><query>GRANT {OWNER_ROLE}, {READER_ROLE}</query></grants>\n"
        "</default></users>\n"
        f"<roles>\n{_role(OWNER_ROLE, GRANTS)}{_role(READER_ROLE, READER_GRANTS)}</roles>\n"
        "</clickhouse>\n"
    )
    return config


def _role(name: str, grants: Iterable[str]) -> str:
    queries = "".join(f"<query>{escape(grant)}</query>\n" for grant in grants)
    return f"<{name}><grants>\n{queries}</grants></{name}>\n"
