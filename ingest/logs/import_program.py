"""Imports log files to their end: what was read is in Kafka when it returns (`fairpixel logs import`)."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from ingest.logs.access_log import LineIds
from ingest.logs.dependencies import Dependencies, collect_rarely, find_format
from ingest.logs.files import STDIN, open_log
from ingest.logs.formats import LINES_LOOKED_AT
from ingest.logs.importer import Imported, ImportFailed
from runtime.errors import UserError

# Given a file and a function that tells how many bytes of it are read; gives what is to be called now and then.
BeginFile = Callable[[Path, Callable[[], int]], Callable[[], None]]
ShowProgress = Callable[[Sequence[Path], Imported], AbstractContextManager[BeginFile]]


def import_files(
    dependencies: Dependencies,
    files: Sequence[Path],
    site: str,
    host: str,
    format: str,
    show_progress: ShowProgress,
) -> tuple[Imported, list[str]]:
    """Import files in this order, `-` being standard input. Raises UserError.

    Returns what became of the lines, and the format of each file that has lines.
    """
    site = dependencies.check_site(site, format)
    rejects = dependencies.rejects()
    importing = dependencies.build_import(*dependencies.outbox(), site, rejects)
    collect_rarely()
    formats: list[str] = []
    try:
        importing.send_pending()
        with show_progress(files, importing.result) as begin:
            for path in files:
                with open_log(path) as (lines, position):
                    first = [] if format else list(itertools.islice(lines, LINES_LOOKED_AT))
                    if not format and not first:
                        continue
                    name = format or find_format(first, "standard input" if path == STDIN else path.name)
                    formats.append(name)
                    reader = dependencies.build_reader(name, site, host)
                    ids = LineIds(dependencies.secret)
                    importing.feed(itertools.chain(first, lines), reader, ids, begin(path, position))
        return importing.finish(), formats
    except ImportFailed as error:
        raise UserError(
            f"{error}.", "When `fairpixel status` is well, run the same import again: nothing is added twice."
        ) from None
    except (OSError, EOFError, zlib.error) as error:  # such as a gzip file that ends early
        raise UserError(
            f"The log cannot be read to its end: {error}.",
            "Mend the file and import it again: nothing is added twice.",
        ) from None
