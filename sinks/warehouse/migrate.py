"""Bring ClickHouse to the newest schema: numbered SQL files, each applied once, in order, never backwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Protocol

DATABASE = "fairpixel"


class MigrationError(Exception):
    """The schema cannot be brought up to date; the text says which file and what to do."""


class Database(Protocol):
    """What a migration needs of ClickHouse; both raise WarehouseError subclasses."""

    def execute(self, sql: str, params: dict[str, str] | None = None) -> None: ...

    def rows(self, sql: str, params: dict[str, str] | None = None) -> list[dict[str, object]]: ...


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `0001_events.sql`."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text; white space at line ends does not count."""
        return sha256("\n".join(line.rstrip() for line in self.sql.strip().splitlines()).encode()).hexdigest()


def read_migrations() -> tuple[Migration, ...]:
    """The files of `sinks/migrations`, by number. Raises MigrationError for a number that is missing or used twice."""
    found: dict[int, Migration] = {}
    for file in sorted(files("sinks").joinpath("migrations").iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        number, _, name = file.name.removesuffix(".sql").partition("_")
        if not number.isdecimal() or not name:
            raise MigrationError(f"sinks/migrations/{file.name}: expected a name like 0007_what_it_does.sql")
        if int(number) in found:
            raise MigrationError(
                f"sinks/migrations/{file.name}: number {number} is taken; use the next free one"
            )
        found[int(number)] = Migration(int(number), name, file.read_text("utf-8"))
    return tuple(found[number] for number in sorted(found))


def migrate(database: Database, migrations: Sequence[Migration]) -> list[str]:
    """Apply what is missing; returns the names applied. Safe to run at every start and after a crash in the middle.

    ClickHouse has no transactions over DDL, so every statement must bear a second run: see `repeatable`.
    Raises MigrationError when an applied file has changed.
    """
    database.execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
    database.execute(
        f"CREATE TABLE IF NOT EXISTS {DATABASE}.migrations (number UInt32, name String, checksum String, "
        "applied_at DateTime('UTC') DEFAULT now('UTC')) ENGINE = MergeTree ORDER BY number "
        "COMMENT 'Which files of sinks/migrations are applied'"
    )
    applied = {
        int(str(row["number"])): str(row["checksum"])
        for row in database.rows(
            f"SELECT number, any(checksum) AS checksum FROM {DATABASE}.migrations GROUP BY number"
        )
    }
    for migration in migrations:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise MigrationError(
                f"sinks/migrations/{migration.number:04}_{migration.name}.sql was changed after it was applied. "
                "Put the old text back and write the change as a new file with the next number."
            )
    missing = [migration for migration in migrations if migration.number not in applied]
    for migration in missing:
        for statement in split_statements(migration.sql):
            database.execute(repeatable(statement))
        database.execute(
            f"INSERT INTO {DATABASE}.migrations (number, name, checksum) "
            "SELECT {number:UInt32}, {name:String}, {checksum:String}",
            {"number": str(migration.number), "name": migration.name, "checksum": migration.checksum},
        )
    return [f"{migration.number:04}_{migration.name}" for migration in missing]


def repeatable(statement: str) -> str:
    """The statement so that a second run after a crash finds its work done: CREATE x becomes CREATE x IF NOT EXISTS."""
    for kind in ("CREATE TABLE", "CREATE MATERIALIZED VIEW", "CREATE VIEW"):
        if statement.startswith(kind + " ") and not statement.startswith(kind + " IF NOT EXISTS"):
            return f"{kind} IF NOT EXISTS{statement[len(kind) :]}"
    return statement


def split_statements(sql: str) -> Iterator[str]:
    """The statements of a file: cut at each semicolon outside quotes and comments; comments are left out."""
    statement: list[str] = []
    for kind, text in _tokens(sql):
        if kind == "end":
            if whole := "".join(statement).strip():
                yield whole
            statement = []
        elif kind != "comment":
            statement.append(text)
    if whole := "".join(statement).strip():
        yield whole


def _tokens(sql: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(sql):
        char = sql[at]
        if sql.startswith("--", at) or sql.startswith("/*", at):
            mark = "\n" if char == "-" else "*/"
            end = sql.find(mark, at)
            end = len(sql) if end < 0 else end + len(mark) * (char == "/")
            yield "comment", sql[at:end]
        elif char in "'`\"":
            end = at + 1
            while end < len(sql) and sql[end] != char:
                end += 2 if sql[end] == "\\" else 1
            end += 1  # a doubled quote reads as two quoted pieces side by side, which comes to the same
            yield "quoted", sql[at:end]
        else:
            end = at + 1
            yield "end" if char == ";" else "text", char
        at = end
