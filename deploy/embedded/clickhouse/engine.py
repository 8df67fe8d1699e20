"""The one place that talks to chdb: one engine a process, one short-lived connection a request."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chdb import _chdb

from deploy.embedded.clickhouse import allowed, reader_settings
from deploy.embedded.clickhouse.engine_files import PROFILE, write_config
from deploy.embedded.clickhouse.errors import ClickHouseError, parse_error
from deploy.embedded.clickhouse.settings import ClickHouseSettings, Limits
from deploy.embedded.clickhouse.staging import plan_staging


@dataclass(frozen=True, slots=True)
class Counts:
    """What one statement read and wrote, as the engine counted it."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0


class Connection:
    """One request's own connection: what it sets is gone with it. Calls block and release the interpreter lock."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def set(self, settings: Mapping[str, str]) -> None:
        """Apply settings or, with names like param_x, query parameters."""
        if settings:
            self.run(
                "SET " + ", ".join(f"{name} = {quote(value)}" for name, value in settings.items()), "Null"
            )

    def use(self, database: str) -> None:
        self.run("USE `" + database.replace("\\", "\\\\").replace("`", "\\`") + "`", "Null")

    def run(
        self, text: str, format_name: str, params: Mapping[str, str] | None = None
    ) -> tuple[bytes, Counts]:
        """Run one statement and return its whole answer; raises ClickHouseError."""
        try:
            answer = self._raw.query(text, format_name, params=dict(params or {}))
        except RuntimeError as error:
            raise parse_error(str(error)) from None
        return bytes(answer.bytes() or b""), _counts(answer)

    def insert(
        self, target: str, format_name: str, data: Iterator[bytes], judge: Callable[[str], object]
    ) -> Counts:
        """Insert `data` as one statement, read whole before the first row is stored; raises ClickHouseError.

        `judge` sees each statement it is cut into, and raises for one that may not run.
        """
        plan = plan_staging(target, lambda text: self.run(text, "JSONEachRow")[0], judge)
        if plan is None:
            return self._stream(target, format_name, data)
        self.run(plan.create, "Null")
        counts = self.fill(plan.fill, plan.count, format_name, data)
        for statement in plan.store:
            self.run(statement, "Null")
        return counts

    def fill(self, target: str, count: str, format_name: str, data: Iterator[bytes]) -> Counts:
        """Stream `data` into a table in memory and see by `count` that all of it is there; raises ClickHouseError."""
        counts = self._stream(target, format_name, data)
        held = int(self.run(count, "TSVRaw")[0])
        if held != counts.written_rows:
            raise ClickHouseError(
                1002,
                "UNKNOWN_EXCEPTION",
                f"{counts.written_rows} rows were read and {held} could be held in memory",
            )
        return counts

    def _stream(self, target: str, format_name: str, data: Iterator[bytes]) -> Counts:
        """Stream `data` in. Errors of parsing are told; errors of storing are not: see staging.py."""
        try:
            handle = self._raw.send_insert(target, format_name)
        except RuntimeError as error:
            raise parse_error(str(error)) from None
        try:
            for chunk in data:
                self._raw.insert_append(handle, chunk)
        except RuntimeError as error:
            raise self._insert_error(handle, error) from None
        except BaseException:
            self._raw.insert_cancel(handle)
            raise
        try:
            return _counts(self._raw.insert_done(handle))
        except RuntimeError as error:
            raise parse_error(str(error)) from None

    def _insert_error(self, handle: Any, error: RuntimeError) -> ClickHouseError:
        """The engine's reason: when a push fails, the parser's own error comes with the end of the insert."""
        try:
            self._raw.insert_done(handle)
        except RuntimeError as reason:
            if "DB::Exception" in str(reason):
                return parse_error(str(reason))
        return parse_error(str(error))

    def close(self) -> None:
        self._raw.close()


class Engine:
    """The engine on its data folder, held by `lock` (data_lock.py) while the process lives."""

    def __init__(self, settings: ClickHouseSettings, lock: int) -> None:
        """Open or create the data folder; raises ClickHouseError or OSError."""
        self._lock = lock
        self.setting_types, values = _settings_of_engine()
        # As a reader has them: the engine's own, ours for everybody, and what binds readers.
        self.setting_values = (
            values | {name: str(value) for name, value in PROFILE.items()} | reader_limits(settings.limits)
        )
        locked = sorted(
            name
            for name, kind in self.setting_types.items()
            if kind in allowed.FREE_TEXT_TYPES
            and name.removeprefix("merge_tree_") not in allowed.TEXT_SETTINGS
        )
        config = write_config(
            settings.data / "server",
            settings.limits.engine_memory_bytes_max,
            locked,
            self._reader_constraints(),
        )
        data = settings.data / "data"
        _clear_default_database(data)
        self._address = f"{data}?config-file={config}"
        self._root = Connection(_connect(self._address))  # keeps the engine open between requests
        _mend_default_database(self._root, data)
        self.version = self._root.run("SELECT version()", "TSVRaw")[0].decode().strip()
        self.timezone = self._root.run("SELECT timezone()", "TSVRaw")[0].decode().strip()
        self.content_types = _content_types(self._root)

    def _reader_constraints(self) -> dict[str, str]:
        """What the engine itself holds readers to, should the allow-list let a setting pass; see write_config."""
        bounds = {
            name: str(reader_settings.upper_bound(self.setting_values[name]) or "")
            for name in reader_settings.LIMITS
        }
        constant = self.setting_types.keys() - reader_settings.ALLOWED - {"readonly", "database"}
        return {name: "" for name in sorted(constant) if not name.startswith("merge_tree_")} | {
            name: most for name, most in bounds.items() if most
        }

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A fresh connection, closed at the end (0.25 ms for both)."""
        connection = Connection(_connect(self._address))
        try:
            yield connection
        finally:
            connection.close()

    def parse(self, text: str) -> str:
        """The syntax tree of one statement as JSON, without running it; raises ClickHouseError."""
        return self._read("parseQueryToJSON", text)

    def spell(self, tree: str) -> str:
        """The statement of a tree, on one line; raises ClickHouseError."""
        return self._read("formatQueryFromJSON", tree).rstrip("\n")

    def respell(self, text: str) -> str:
        """The statement as `spell` would write it, but from its text; raises ClickHouseError."""
        return self._read("formatQuerySingleLine", text).rstrip("\n")

    def _read(self, function: str, text: str) -> str:
        """What one of the engine's functions over statements says of `text`, as a value of which nothing is run."""
        with self.connect() as connection:
            connection.set({"readonly": "1"})
            try:
                answer, _ = connection.run(f"SELECT {function}({{q:String}})", "TSVRaw", {"q": escape(text)})
            except ClickHouseError as error:
                error.message = error.message.split(f": In scope SELECT {function}", 1)[0]
                raise
        return answer.decode()

    def outline(self, text: str) -> str:
        """EXPLAIN AST of one statement, which `parse` has seen to be only one; raises ClickHouseError."""
        with self.connect() as connection:
            connection.set({"readonly": "1"})
            return connection.run("EXPLAIN AST " + text, "TSVRaw")[0].decode()

    def answer_one(self) -> bytes:
        """The answer to SELECT 1, on a connection of its own; raises ClickHouseError."""
        with self.connect() as connection:
            return connection.run("SELECT 1", "TSVRaw")[0]

    def kill(self, mark: str) -> None:
        """Cancel the running statement whose log_comment is `mark`; none is fine."""
        with self.connect() as connection:
            connection.run(f"KILL QUERY WHERE Settings['log_comment'] = {quote(mark)} ASYNC", "Null")

    def close(self) -> None:
        """End background work and write what is left; no connection may be in use."""
        self._root.close()
        os.close(self._lock)


def reader_limits(limits: Limits) -> dict[str, str]:
    """What binds everybody who may only read; to be set before anything of theirs runs, and locked by readonly=1."""
    return {
        "max_execution_time": str(limits.reader_seconds_max),
        "max_memory_usage": str(limits.reader_memory_bytes_max),
        # When the engine as a whole is short of memory, it ends the statement with the highest ratio to this: a reader.
        "memory_overcommit_ratio_denominator": str(1 << 20),
        "max_result_bytes": str(limits.reader_result_bytes_max),
    }


def quote(value: str) -> str:
    """`value` as a SQL string."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0") + "'"


def escape(value: str) -> str:
    """`value` as query parameters are read: tab-separated text."""
    for raw, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\\0")):
        value = value.replace(raw, written)
    return value


def _connect(address: str) -> Any:
    try:
        return _chdb.connect(address)  # type: ignore[attr-defined]  # the stub leaves it out
    except RuntimeError as error:
        raise parse_error(str(error)) from None


def _counts(answer: Any) -> Counts:
    return Counts(
        read_rows=answer.storage_rows_read(),
        read_bytes=answer.storage_bytes_read(),
        written_rows=answer.rows_written(),
        written_bytes=answer.bytes_written(),
        result_rows=answer.rows_read(),
        result_bytes=answer.bytes_read(),
    )


def _settings_of_engine() -> tuple[dict[str, str], dict[str, str]]:
    """(type, value) of every setting of this engine by name, those of tables with merge_tree_ before them."""
    scratch = Connection(_connect(":memory:"))
    try:
        rows, _ = scratch.run(
            "SELECT name, type, value FROM system.settings UNION ALL "
            "SELECT 'merge_tree_' || name, type, value FROM system.merge_tree_settings",
            "JSONCompactEachRow",
        )
    finally:
        scratch.close()
    found = [json.loads(line) for line in rows.splitlines()]
    return {name: kind for name, kind, _ in found}, {name: value for name, _, value in found}


def _clear_default_database(data: Path) -> None:
    """Forget a `default` that never had a table: chdb gives it a new id at each start and fails on the old one."""
    metadata = data / "metadata"
    if not (metadata / "default").is_symlink():
        (metadata / "default.sql").unlink(missing_ok=True)


def _mend_default_database(root: Connection, data: Path) -> None:
    """Give `default` its plain engine back: chdb lays a view of the file system over it at every start."""
    engine, _ = root.run("SELECT engine FROM system.databases WHERE name = 'default'", "TSVRaw")
    if engine.strip() == b"Overlay":
        root.run("DETACH DATABASE default", "Null")
        known = (data / "metadata" / "default.sql").exists()
        root.run("ATTACH DATABASE default" if known else "CREATE DATABASE default ENGINE = Atomic", "Null")


def _content_types(root: Connection) -> dict[str, str]:
    rows, _ = root.run("SELECT name, content_type FROM system.formats WHERE is_output", "TSVRaw")
    return dict(line.split("\t") for line in rows.decode().splitlines())
