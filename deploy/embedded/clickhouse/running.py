"""Run one allowed statement: rows out through a pipe while the engine works, rows in from a body, or all at once."""

from __future__ import annotations

import os
import queue
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain

from deploy.embedded.clickhouse.allow_list import AllowList, Verdict
from deploy.embedded.clickhouse.allowed import OUTPUT_FORMATS, PLAIN_INPUT_FORMATS, READING_STATEMENTS
from deploy.embedded.clickhouse.bodies import Disconnected
from deploy.embedded.clickhouse.engine import Connection, Counts, Engine, reader_limits
from deploy.embedded.clickhouse.engine_files import READER_PROFILE, READER_ROLE
from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.form import ExternalTable
from deploy.embedded.clickhouse.reader_settings import refused_change
from deploy.embedded.clickhouse.request import Options
from deploy.embedded.clickhouse.rights import Rights
from deploy.embedded.clickhouse.sessions import Session, Sessions
from deploy.embedded.clickhouse.settings import Limits
from deploy.embedded.clickhouse.slots import Slot, Slots
from deploy.embedded.clickhouse.statement import PIPE_MARK, InsertParts, split_insert, with_pipe
from deploy.embedded.clickhouse.tree import check_format, refused
from deploy.embedded.clickhouse.users import User

_LOOK_S = 0.25  # how soon a client that left is noticed before its first row
_UNLIKE_SQL = re.compile(rb"[\\$\"`#]|--|//|/\*|file", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a statement that is over."""

    body: bytes
    format: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as it was read: an INSERT with its first bytes and where more come from, or a text."""

    text: str
    insert: InsertParts | None = None
    held: tuple[bytes, ...] = ()
    rest: Iterable[bytes] = ()


class Stream:
    """A SELECT whose rows come out of `descriptor` while the engine works."""

    def __init__(self, task: Task, descriptor: int, format_name: str) -> None:
        self.descriptor = descriptor
        self.format = format_name
        self.counts = Counts()
        self.error: ClickHouseError | None = None
        self._task = task

    @property
    def deadline(self) -> float:
        return self._task.slot.deadline

    def finish(self) -> None:
        """After the last byte was read; `counts` and `error` are final then."""
        os.close(self.descriptor)

    def cancel(self) -> None:
        """End the statement early: nobody reads any more."""
        os.close(self.descriptor)
        self._task.end()


class Task:
    """One statement on a thread of its own, which keeps its slot until the engine lets go of it."""

    def __init__(self, slots: Slots, slot: Slot, kill: Callable[[str], None]) -> None:
        self.slot = slot
        self.mark = uuid.uuid4().hex
        self._slots = slots
        self._kill = kill
        self._lock = threading.Lock()
        self._offered = threading.Event()
        self._given_up = False
        self._outcome: Answer | Stream | Exception | None = None

    def start(self, threads: ThreadPoolExecutor, work: Callable[[Task], Answer | None]) -> None:
        """Begin on one of `threads`; gives the slot back when none can be had."""
        try:
            threads.submit(self._work, work)
        except BaseException:
            self._slots.give_back(self.slot)
            raise

    def _work(self, work: Callable[[Task], Answer | None]) -> None:
        try:
            answer = work(self)
            if answer is not None:
                self.offer(answer)
        except Exception as error:
            self.offer(error)
        finally:
            self._slots.give_back(self.slot)

    def offer(self, outcome: Answer | Stream | Exception) -> bool:
        """Hand over what came of it; False when nobody waits any more."""
        with self._lock:
            if self._given_up:
                return False
            self._outcome = outcome
            self._offered.set()
            return True

    def wait(self, is_gone: Callable[[], bool]) -> Answer | Stream:
        """What came of it; raises ClickHouseError, 159 at the deadline, and Disconnected when the client `is_gone`."""
        while not self._offered.wait(min(_LOOK_S, max(0.0, self.slot.deadline - time.monotonic()))):
            late = time.monotonic() >= self.slot.deadline
            if (late or is_gone()) and self.give_up():
                raise timed_out() if late else Disconnected
        if isinstance(self._outcome, Exception):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def give_up(self) -> bool:
        """Wait no more and have the engine end it; False when something was offered in this moment."""
        with self._lock:
            if self._offered.is_set():
                return False
            self._given_up = True
        self.end()
        return True

    def end(self) -> None:
        """Have the engine end it; from now on the slot counts as lost until it is given back."""
        self._slots.tell_to_end(self.slot)
        self._kill(self.mark)


def timed_out() -> ClickHouseError:
    return ClickHouseError(159, "TIMEOUT_EXCEEDED", "Timeout exceeded: the statement did not end in its time")


class Runner:
    """Runs requests of known users on one engine behind one guard."""

    def __init__(self, engine: Engine, allow_list: AllowList, limits: Limits, slots: Slots) -> None:
        self._engine = engine
        self._allow_list = allow_list
        self._limits = limits
        self.slots = slots
        self.sessions = Sessions()
        # More than there are slots, so no statement waits here. A thread that the engine knows saves about 0.6 ms.
        self._threads = ThreadPoolExecutor(2 * limits.running_count_max, thread_name_prefix="query")
        self._to_kill: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._kill_all, name="kill", daemon=True).start()

    def _kill_all(self) -> None:
        """On a thread of its own: whoever gives up must not wait for an engine that does not answer."""
        while True:
            mark = self._to_kill.get()
            with suppress(ClickHouseError):
                self._engine.kill(mark)

    def read(self, options: Options, pieces: Iterator[bytes]) -> Statement:
        """Read the statement of one request, for an INSERT up to `held_bytes_max`; raises ClickHouseError.

        It needs no slot: a body that trickles keeps nobody waiting.
        """
        query = (options.query + "\n").encode("utf-8", "surrogateescape") if options.query else b""
        bytes_max = self._limits.query_bytes_max
        start = query or b"".join(_take(pieces, bytes_max))
        try:
            insert = split_insert(start[:bytes_max])
            if insert is not None:
                data = chain((start[insert.data_start :],), pieces)
                held = tuple(_take(data, self._limits.held_bytes_max))  # a body cut short inserts nothing
                return Statement("", insert, held, data)
            rest = b"".join(_take(pieces, bytes_max + 1))
            if len(start) + len(rest) > bytes_max:
                raise ClickHouseError(
                    223, "QUERY_IS_TOO_LARGE", f"The query is longer than {bytes_max} bytes"
                )
            text = (start + rest).decode()
        except UnicodeDecodeError:
            raise ClickHouseError(62, "SYNTAX_ERROR", "Syntax error: the query is not UTF-8") from None
        if not text.strip():
            raise ClickHouseError(
                62, "SYNTAX_ERROR", "Syntax error: failed at position 1 (end of query): Empty query"
            )
        return Statement(text)

    def start(
        self,
        slot: Slot,
        user: User,
        options: Options,
        statement: Statement,
        session: Session | None = None,
        *,
        read_only: bool,
    ) -> Task:
        """Judge and run the statement on a thread that holds `slot`."""
        task = Task(self.slots, slot, self._to_kill.put)

        def work(task: Task) -> Answer | None:
            if statement.insert is not None:
                return self._insert(task, user, options, statement, statement.insert, read_only)
            return self._statement(task, user, options, statement.text, session, read_only)

        task.start(self._threads, work)
        return task

    def _statement(
        self, task: Task, user: User, options: Options, text: str, session: Session | None, read_only: bool
    ) -> Answer | None:
        check_format(options.default_format, OUTPUT_FORMATS)
        piped = with_pipe(text, options.default_format)
        verdict = self._judge_piped(user, options, piped[0]) if piped else None
        if piped and verdict:
            self._stream(task, user, options, *piped, verdict, read_only)
            return None
        text = text.rstrip().rstrip(";")
        verdict = self._judge(user, options, text)
        if user.readonly and verdict.kind not in READING_STATEMENTS:
            raise _readonly(user)
        if verdict.piped:
            raise refused("INTO OUTFILE")
        self._check_session(user, verdict, session)
        with ExitStack() as opened:
            connection = self._prepare(
                opened, user, options, task.mark, read_only, verdict=verdict, whole=True
            )
            body, counts = connection.run(text, options.default_format)
            if session is not None and verdict.kind == "SetQuery":
                self.sessions.remember(session, verdict.settings)
            if session is not None and verdict.kind == "UseQuery":
                now_in, _ = connection.run("SELECT currentDatabase()", "TSVRaw")
                self.sessions.use(session, now_in.decode().removesuffix("\n"))
        return Answer(body, verdict.format or options.default_format, counts)

    def _check_session(self, user: User, verdict: Verdict, session: Session | None) -> None:
        """Raise ClickHouseError for what would be answered with 200 and yet not hold in the next request."""
        if session is None:
            if verdict.kind == "SetQuery" and user.readonly:
                names = ", ".join(name for name, _ in verdict.settings)
                raise refused_change(
                    names, "SET holds in a session: name one with session_id, or send settings in the address"
                )
            return
        if verdict.makes_temporary:
            raise ClickHouseError(
                48,
                "NOT_IMPLEMENTED",
                "A session holds settings here and no temporary tables",
            )
        if verdict.kind == "SetQuery":
            if any(name.startswith("param_") for name, _ in verdict.settings):
                raise ClickHouseError(
                    48,
                    "NOT_IMPLEMENTED",
                    "A session holds no query parameters here: send them beside each statement",
                )
            self.sessions.check_room(session, verdict.settings)

    def _stream(
        self,
        task: Task,
        user: User,
        options: Options,
        text: str,
        format_name: str,
        verdict: Verdict,
        read_only: bool,
    ) -> None:
        with ExitStack() as opened:
            connection = self._prepare(opened, user, options, task.mark, read_only, verdict=verdict)
            read_end, write_end = os.pipe()
            opened.callback(os.close, write_end)
            stream = Stream(task, read_end, format_name)
            if not task.offer(stream):
                os.close(read_end)
                return
            try:
                _, stream.counts = connection.run(text.replace(PIPE_MARK, f"/dev/fd/{write_end}"), "Null")
            except ClickHouseError as error:
                stream.error = error
            except Exception as error:  # the thread's own death must reach the one who reads
                stream.error = ClickHouseError(1001, "STD_EXCEPTION", type(error).__name__)

    def _judge(self, user: User, options: Options, text: str) -> Verdict:
        names = {name.removeprefix("param_"): value for name, value in options.params.items()}
        return self._allow_list.judge(text, Rights(user.readonly, options.database or "default"), names)

    def _judge_piped(self, user: User, options: Options, text: str) -> Verdict | None:
        """The verdict when the tree shows our pipe where we put it; on a syntax error the plain text says why."""
        try:
            verdict = self._judge(user, options, text)
        except ClickHouseError as error:
            if error.code == 62:
                return None
            raise
        return verdict if verdict.piped else None

    def _insert(
        self,
        task: Task,
        user: User,
        options: Options,
        statement: Statement,
        insert: InsertParts,
        read_only: bool,
    ) -> Answer:
        if user.readonly:
            raise _readonly(user)
        self._judge(user, options, insert.head)
        with ExitStack() as opened:
            connection = self._prepare(
                opened, user, options, task.mark, read_only, insert=insert, held=statement.held
            )
            counts = connection.insert(
                insert.target,
                insert.format,
                chain(statement.held, statement.rest),
                lambda piece: self._judge(user, options, piece),
            )
        return Answer(b"", insert.format, counts)

    def _prepare(
        self,
        opened: ExitStack,
        user: User,
        options: Options,
        mark: str,
        read_only: bool,
        *,
        verdict: Verdict | None = None,
        whole: bool = False,
        insert: InsertParts | None = None,
        held: Sequence[bytes] = (),
    ) -> Connection:
        """A connection with the request's limits, database, parameters, tables, settings and rights, in this order.

        `verdict` says what the statement sets itself. `whole`: the answer comes as one piece, so a reader's must be
        short.
        """
        opening: AbstractContextManager[Connection] = self._engine.connect()
        connection = opened.enter_context(opening)
        if options.database:
            connection.use(options.database)
        first = {"log_comment": mark, **options.params}
        if insert is not None and insert.format.lower() == "values" and self._may_hold_expressions(held):
            first["input_format_values_interpret_expressions"] = "1"
        if user.readonly:
            first |= reader_limits(self._limits)
        connection.set(first)
        for table in options.tables:
            self._add_table(connection, table)
        if user.readonly:
            self._step_down(connection, options.settings, verdict, whole)
            return connection
        for name in options.settings:
            self._allow_list.check_setting(name)
        connection.set(options.settings)
        if read_only:
            connection.set({"readonly": "2"})
        return connection

    def _step_down(
        self, connection: Connection, settings: Mapping[str, str], verdict: Verdict | None, whole: bool
    ) -> None:
        """Give the connection to a reader: judged settings within the reader's profile, its role, and no more changes.

        What the statement itself sets was judged with it. Only such a statement, and one that asks what may be set,
        runs with readonly=2, where the profile's constraints hold; every other one with readonly=1.
        """
        for name, value in settings.items():
            self._allow_list.check_reader_setting(name, value)
        sets = verdict is not None and (verdict.settings or verdict.shows_settings)
        # 0.9 ms, which a query without settings need not pay: readonly=1 locks them all.
        if settings or sets:
            connection.set({"profile": READER_PROFILE})
        connection.set(settings)
        if whole:
            self._shorten_answer(connection, settings, verdict.settings if verdict else ())
        connection.run(f"SET ROLE {READER_ROLE}", "Null")
        connection.set({"readonly": "2" if sets else "1"})

    def _shorten_answer(
        self, connection: Connection, settings: Mapping[str, str], inside: Sequence[tuple[str, str | None]]
    ) -> None:
        """Bind the answer to a statement that is no plain SELECT, which is held whole."""
        name, most = "max_result_bytes", self._limits.held_answer_bytes_max
        if name in dict(inside):
            raise refused_change(name, "in a statement of this kind it is the server's to decide")
        connection.set({name: str(min(int(Decimal(settings.get(name, most))), most))})

    def _add_table(self, connection: Connection, table: ExternalTable) -> None:
        """A table in memory for this connection alone, made of judged names and types, filled from a plain format."""
        check_format(table.format, PLAIN_INPUT_FORMATS)
        connection.run(self._allow_list.temporary_table(table.name, table.structure, table.format), "Null")
        connection.fill(
            f"INSERT INTO {table.name}",
            f"SELECT count() FROM {table.name}",
            table.format,
            iter((table.data,)),
        )

    def _may_hold_expressions(self, held: Sequence[bytes]) -> bool:
        """Whether VALUES may be evaluated as SQL: read by the allow-list first, and short.

        Only where the reader of values and the reader of SQL cannot take one text for two: no backslash, no comment, no
        quotes but plain ones. The word "file" anywhere in them leaves literals only: the one function that opens
        files needs no grant.
        """
        data = b"".join(held)
        if len(data) > self._limits.values_bytes_max or _UNLIKE_SQL.search(data):
            return False
        try:
            self._allow_list.judge("SELECT " + data.decode().rstrip().rstrip(";"))
        except UnicodeDecodeError:
            return False
        except ClickHouseError as error:
            if error.code == 497:
                raise
            return False
        return True


def _readonly(user: User) -> ClickHouseError:
    return ClickHouseError(164, "READONLY", f"{user.name}: Cannot execute query in readonly mode.")


def _take(pieces: Iterator[bytes], bytes_max: int) -> Iterator[bytes]:
    """Pieces until at least `bytes_max` bytes are taken or there are no more."""
    taken = 0
    for piece in pieces:
        taken += len(piece)
        yield piece
        if taken >= bytes_max:
            return
