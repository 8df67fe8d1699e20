"""Imports log files to their end: what was read is in Kafka when it returns (`fairpixel logs import`)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from ingest.logs.access_log import LineIds
from ingest.logs.dependencies import Dependencies, collect_rarely, find_format, name_of_format
from ingest.logs.files import name_of, open_log
from ingest.logs.formats import LINES_LOOKED_AT
from ingest.logs.formats.pattern_text import Pattern
from ingest.logs.importer import Imported, ImportFailed, LogImport
from ingest.logs.readings import Reading
from runtime.errors import UserError

# Given a file and a function that tells how many bytes of it are read; gives what is to be called now and then.
BeginFile = Callable[[Path, Callable[[], int]], Callable[[], None]]
ShowProgress = Callable[[Sequence[Path], Imported], AbstractContextManager[BeginFile]]

BROKEN_OFF = "Mend the file and import it again: nothing is added twice."


@dataclass(frozen=True, slots=True)
class ImportedFiles:
    """What became of the lines, the format of each file that has lines, and why a file was not read to its end."""

    result: Imported
    formats: list[str] = field(default_factory=list)
    problems: list[UserError] = field(default_factory=list)


def import_files(
    dependencies: Dependencies,
    files: Sequence[Path],
    site: str,
    host: str,
    format: str | Pattern,
    show_progress: ShowProgress,
) -> ImportedFiles:
    """Import files in this order, `-` being standard input. Raises UserError.

    A file that breaks off, or of which nothing can be read, keeps no other from being imported.
    """
    site = dependencies.check_site(site, name_of_format(format))
    rejects = dependencies.rejects()
    importing = dependencies.build_import(*dependencies.outbox(), site, rejects)
    collect_rarely()
    imported = ImportedFiles(importing.result)
    try:
        importing.send_pending()
        with show_progress(files, importing.result) as begin:
            for path in files:
                try:
                    _import_file(dependencies, importing, path, site, host, format, begin, imported)
                except UserError as problem:
                    imported.problems.append(problem)
        importing.finish()
    except ImportFailed as error:
        raise UserError(
            f"{error}.", "When `fairpixel status` is well, run the same import again: nothing is added twice."
        ) from None
    except OSError as error:
        raise UserError(f"The log cannot be read to its end: {error}.", BROKEN_OFF) from None
    return imported


def _import_file(
    dependencies: Dependencies,
    importing: LogImport,
    path: Path,
    site: str,
    host: str,
    format: str | Pattern,
    begin: BeginFile,
    imported: ImportedFiles,
) -> None:
    """Raises UserError for what is no log of a known format."""
    result, name, damaged = importing.result, name_of(path), list[str]()
    with open_log(path, damaged) as (lines, position):
        first = [] if format else list(itertools.islice(lines, LINES_LOOKED_AT))
        if format or first:
            found = format or find_format(first, name)
            imported.formats.append(name_of_format(found))
            reader = dependencies.build_reader(found, site, host)
            reading = Reading(name, imported.formats[-1], not format, reader)
            reading.lines, reading.invalid = result.skipped - result.lines, -result.invalid
            ids = LineIds(dependencies.secret)
            importing.feed(itertools.chain(first, lines), reader, ids, begin(path, position))
            reading.lines += result.lines - result.skipped
            reading.invalid += result.invalid
            reading.first_invalid = importing.first_invalid
            result.remarks += reading.remarks()
    imported.problems.extend(UserError(f"{sentence}.", BROKEN_OFF) for sentence in damaged)
