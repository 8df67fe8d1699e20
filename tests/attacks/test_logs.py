"""Against the import of logs: whoever asked the server for something wrote into its log."""

from __future__ import annotations

import gzip
from pathlib import Path

from ingest.logs.files import LINE_BYTES_MAX, open_log


def test_a_line_of_gigabytes_in_a_small_file_is_read_by_pieces_and_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(b"a\n" + bytes(30_000_000) + b"\nb\n" + bytes(LINE_BYTES_MAX), 1))
    with open_log(path) as (lines, _):
        assert [(len(line), line[:1]) for line in lines] == [
            (2, b"a"),
            (LINE_BYTES_MAX, b"\0"),
            (2, b"b"),
            (LINE_BYTES_MAX, b"\0"),
        ]
