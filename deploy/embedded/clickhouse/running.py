"""Run one allowed statement: rows out through a pipe while the engine works, rows in from a body, or all at once."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import chain

from deploy.embedded.clickhouse.allowed import READING_STATEMENTS
from deploy.embedded.clickhouse.engine import Connection, Counts, Engine, reader_settings
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.guard import Guard
from deploy.embedded.clickhouse.request import Options
from deploy.embedded.clickhouse.settings import Limits
from deploy.embedded.clickhouse.statement import PIPE_MARK, InsertParts, split_insert, with_pipe
from deploy.embedded.clickhouse.users import User

_HEAD_BYTES_MAX = 256 << 10  # the head of an INSERT, up to its data; ClickHouse's own max_query_size


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a statement that is over."""

    body: bytes
    format: str
    counts: Counts


class Stream:
    """A SELECT whose rows come out of `descriptor` while the engine works on a thread of its own."""

    def __init__(
        self,
        engine: Engine,
        opened: ExitStack,
        connection: Connection,
        text: str,
        format_name: str,
        mark: str,
    ) -> None:
        self.format = format_name
        self.counts = Counts()
        self.error: ClickHouseError | None = None
        self._engine = engine
        self._mark = mark
        self.descriptor, write_end = os.pipe()
        self._thread = threading.Thread(
            target=self._work, args=(opened, connection, text, write_end), name="query", daemon=True
        )
        self._thread.start()

    def _work(self, opened: ExitStack, connection: Connection, text: str, write_end: int) -> None:
        try:
            with opened:
                _, self.counts = connection.run(text.replace(PIPE_MARK, f"/dev/fd/{write_end}"), "Null")
        except ClickHouseError as error:
            self.error = error
        except Exception as error:  # the thread's own death must reach the one who reads
            self.error = ClickHouseError(1001, "STD_EXCEPTION", type(error).__name__)
        finally:
            os.close(write_end)

    def finish(self) -> None:
        """Wait for the engine after the last byte was read; `counts` and `error` are final then."""
        self._thread.join()
        os.close(self.descriptor)

    def cancel(self) -> None:
        """End the statement early: nobody reads any more."""
        os.close(self.descriptor)
        if self._thread.is_alive():
            self._engine.kill(self._mark)
        self._thread.join()


class Runner:
    """Runs requests of known users on one engine behind one guard."""

    def __init__(self, engine: Engine, guard: Guard, limits: Limits) -> None:
        self._engine = engine
        self._guard = guard
        self._limits = limits

    def run(
        self, user: User, options: Options, pieces: Iterator[bytes], *, read_only: bool
    ) -> Answer | Stream:
        """Run the statement of one request; raises ClickHouseError when it is refused or fails before its first row."""
        query = (options.query + "\n").encode("utf-8", "surrogateescape") if options.query else b""
        start = query or b"".join(_take(pieces, _HEAD_BYTES_MAX))
        try:
            insert = split_insert(start)
            if insert is not None:
                data = chain((start[insert.data_start :],), pieces)
                return self._insert(user, options, insert, data, read_only)
            rest = b"".join(_take(pieces, self._limits.query_bytes_max + 1))
            if len(start) + len(rest) > self._limits.query_bytes_max:
                raise ClickHouseError(
                    223,
                    "QUERY_IS_TOO_LARGE",
                    f"The query is longer than {self._limits.query_bytes_max} bytes",
                )
            text = (start + rest).decode()
        except UnicodeDecodeError:
            raise ClickHouseError(62, "SYNTAX_ERROR", "Syntax error: the query is not UTF-8") from None
        if not text.strip():
            raise ClickHouseError(
                62, "SYNTAX_ERROR", "Syntax error: failed at position 1 (end of query): Empty query"
            )
        return self._statement(user, options, text, read_only)

    def _statement(self, user: User, options: Options, text: str, read_only: bool) -> Answer | Stream:
        piped = with_pipe(text, options.default_format)
        if piped is not None and self._is_piped(piped[0]):
            mark = uuid.uuid4().hex
            with ExitStack() as opened:
                connection = self._prepare(opened, user, options, mark, read_only)
                return Stream(self._engine, opened.pop_all(), connection, piped[0], piped[1], mark)
        verdict = self._guard.judge(text.rstrip().rstrip(";"))
        if user.readonly and verdict.kind not in READING_STATEMENTS:
            raise ClickHouseError(164, "READONLY", f"{user.name}: Cannot execute query in readonly mode.")
        with ExitStack() as opened:
            connection = self._prepare(opened, user, options, uuid.uuid4().hex, read_only)
            body, counts = connection.run(text.rstrip().rstrip(";"), options.default_format)
        return Answer(body, verdict.format or options.default_format, counts)

    def _is_piped(self, text: str) -> bool:
        """Whether the tree shows our pipe where we put it; on a syntax error the plain text says why."""
        try:
            return self._guard.judge(text).piped
        except ClickHouseError as error:
            if error.code == 62:
                return False
            raise

    def _insert(
        self, user: User, options: Options, insert: InsertParts, data: Iterator[bytes], read_only: bool
    ) -> Answer:
        self._guard.judge(insert.head)
        held = list(_take(data, self._limits.held_bytes_max))  # a body cut short inserts nothing
        with ExitStack() as opened:
            connection = self._prepare(opened, user, options, uuid.uuid4().hex, read_only, insert, held)
            counts = connection.insert(insert.target, insert.format, chain(held, data))
        return Answer(b"", insert.format, counts)

    def _prepare(
        self,
        opened: ExitStack,
        user: User,
        options: Options,
        mark: str,
        read_only: bool,
        insert: InsertParts | None = None,
        held: list[bytes] | None = None,
    ) -> Connection:
        """A connection with the request's database, parameters, settings and rights, in this order."""
        opening: AbstractContextManager[Connection] = self._engine.connect()
        connection = opened.enter_context(opening)
        if options.database:
            connection.use(options.database)
        first = {"log_comment": mark, **options.params}
        if (
            insert is not None
            and insert.format.lower() == "values"
            and self._may_hold_expressions(held or [])
        ):
            first["input_format_values_interpret_expressions"] = "1"
        connection.set(first)
        for table in options.tables:
            create = f"CREATE TEMPORARY TABLE {table.name} ({table.structure}) ENGINE = Memory"
            self._guard.judge(create)
            connection.run(create, "Null")
            connection.insert(f"INSERT INTO {table.name}", table.format, iter((table.data,)))
        for name in options.settings:
            self._guard.check_setting(name)
        if user.readonly:
            connection.set(reader_settings(self._limits))
        connection.set(options.settings)
        if read_only and not user.readonly:
            connection.set({"readonly": "2"})
        return connection

    def _may_hold_expressions(self, held: list[bytes]) -> bool:
        """Whether VALUES may be evaluated as SQL: read by the guard first, and short.

        The word "file" anywhere in them leaves literals only: the one function that opens files needs no grant.
        """
        data = b"".join(held)
        if len(data) > self._limits.values_bytes_max or b"file" in data.lower():
            return False
        try:
            self._guard.judge("SELECT " + data.decode().rstrip().rstrip(";"))
        except UnicodeDecodeError:
            return False
        except ClickHouseError as error:
            if error.code == 497:
                raise
            return False
        return True


def _take(pieces: Iterator[bytes], bytes_max: int) -> Iterator[bytes]:
    """Pieces until at least `bytes_max` bytes are taken or there are no more."""
    taken = 0
    for piece in pieces:
        taken += len(piece)
        yield piece
        if taken >= bytes_max:
            return
